//! A web server with one package, for HTTP and HTTPS: ETag, ranges, a token, and a limit
//! after which it falls silent.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use openssl::ssl::{SslAcceptor, SslMethod};

use super::authority::Certified;

/// The server; its threads end with the process.
pub(crate) struct PackageServer {
    address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<String>>>,
}

/// What it has, and how.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) package: Arc<Vec<u8>>,
    /// Wanted in each request, as `Bearer TOKEN`.
    pub(crate) token: Option<String>,
    /// The first answer stops after so many bytes, and the connection stays.
    pub(crate) silent_after: Option<usize>,
}

impl PackageServer {
    /// Over HTTP.
    pub(crate) fn start(offer: Offer) -> Self {
        Self::listen("http", offer, Ok)
    }

    /// Over HTTPS, as this host.
    pub(crate) fn start_secured(offer: Offer, host: &Certified) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
        acceptor.set_certificate(&host.certificate).unwrap();
        acceptor.set_private_key(&host.key).unwrap();
        let acceptor = acceptor.build();
        Self::listen("https", offer, move |stream| {
            acceptor.accept(stream).map_err(io::Error::other)
        })
    }

    fn listen<S: Read + Write>(
        scheme: &'static str,
        offer: Offer,
        secure: impl Fn(TcpStream) -> io::Result<S> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (heard, secure) = (requests.clone(), Arc::new(secure));
        thread::spawn(move || {
            let mut offer = offer;
            for stream in listener.incoming().map_while(Result::ok) {
                let (this, heard, secure) = (offer.clone(), heard.clone(), secure.clone());
                offer.silent_after = None;
                // Who leaves in the middle is no failure of the server.
                thread::spawn(move || drop(secure(stream).map(|it| serve(it, &this, &heard))));
            }
        });
        Self { address, scheme, requests }
    }

    /// `http://127.0.0.1:8000`
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The Range of each request so far, or nothing.
    pub(crate) fn ranges(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve<S: Read + Write>(
    stream: S,
    offer: &Offer,
    requests: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let range = field("range").unwrap_or_default();
    requests.lock().unwrap().push(range.clone());
    let stream = stream.get_mut();
    let wanted = offer.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some() && field("authorization") != wanted {
        return write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    }
    let size = offer.package.len();
    let from = range.strip_prefix("bytes=").and_then(|it| it.strip_suffix('-'));
    let from = from.filter(|_| field("if-range").as_deref() == Some(ETAG));
    let status = match from {
        Some(from) => {
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{size}", size - 1)
        }
        None => "200 OK".to_owned(),
    };
    let from = from.map_or(0, |from| from.parse().unwrap());
    write!(stream, "HTTP/1.1 {status}\r\nETag: {ETAG}\r\nContent-Length: {}\r\n\r\n", size - from)?;
    let end = offer.silent_after.unwrap_or(size);
    stream.write_all(&offer.package[from..end])?;
    stream.flush()?;
    if end < size {
        thread::sleep(Duration::from_secs(600));
    }
    Ok(())
}

const ETAG: &str = "\"v1\"";
