//! A web server of a few lines, whose every byte a test decides.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, Resume};
use lwm2m_transport::HttpFetch;
use openssl::ssl::{Ssl, SslContext};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

/// What a server does next.
#[derive(Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// So many bytes of the pattern that `pattern` tells.
    Pattern(u64),
}

/// What it does for a request, given the head of it; then it closes the connection.
pub(crate) type Script = dyn Fn(&str) -> Vec<Step> + Send + Sync;

/// It listens on a port of its own until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_with(None, Arc::new(script)).await
    }

    pub(crate) async fn start_with(tls: Option<SslContext>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, tls.clone(), script.clone(), seen.clone()));
            }
        });
        Self { address, heads, task }
    }

    /// One that answers all alike.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_| vec![Step::Send(answer.clone())]).await
    }

    pub(crate) fn uri(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<SslContext>,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let Some(tls) = tls else { return answer(stream, &*script, &seen).await };
    let mut stream = SslStream::new(Ssl::new(&tls).unwrap(), stream).unwrap();
    if Pin::new(&mut stream).accept().await.is_ok() {
        answer(stream, &*script, &seen).await;
    }
}

async fn answer<S>(mut stream: S, script: &Script, seen: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.clone());
    for step in script(&head) {
        let sent = match step {
            Step::Send(bytes) => stream.write_all(&bytes).await,
            Step::Pattern(len) => send_pattern(&mut stream, len).await,
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
    // It says goodbye, and reads what the client may still say.
    if stream.shutdown().await.is_ok() {
        let _ = stream.read(&mut [0; 1]).await;
    }
}

async fn send_pattern(stream: &mut (impl AsyncWrite + Unpin), len: u64) -> std::io::Result<()> {
    let mut at = 0;
    while at < len {
        let piece: Vec<u8> = (at..len.min(at + 8192)).map(pattern).collect();
        stream.write_all(&piece).await?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// The byte at a place of a package whose places differ.
pub(crate) fn pattern(at: u64) -> u8 {
    u8::try_from(at.wrapping_mul(0x9E37_79B9) >> 13 & 0xff).unwrap()
}

/// What one attempt brought.
#[derive(Debug, Default)]
pub(crate) struct Got {
    /// Offset, size and ETag.
    pub(crate) begin: Option<(u64, Option<u64>, Option<Vec<u8>>)>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: usize,
    pub(crate) failure: Option<FetchFailure>,
}

impl Got {
    #[track_caller]
    pub(crate) fn failed(&self, kind: FetchFailureKind, cause: &str) {
        let failure = self.failure.as_ref().expect("a failure");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.cause.contains(cause), "expected {cause:?}: {failure}");
        assert!(!failure.cause.contains(['\n', '\r']), "{failure:?}");
    }

    /// Offset, size, and that it ended well.
    #[track_caller]
    pub(crate) fn succeeded(&self, offset: u64, size: Option<u64>) {
        assert_eq!(self.failure, None);
        let (begun, told, _) = self.begin.as_ref().expect("a begin");
        assert_eq!((*begun, *told), (offset, size));
    }
}

/// One attempt, its order checked.
pub(crate) async fn attempt(fetch: &HttpFetch, uri: &str, resume: Option<Resume>) -> Got {
    let (out, mut parts) = mpsc::channel(1);
    let mut got = Got::default();
    let take = async {
        let mut got = Got::default();
        while let Some(fetched) = parts.recv().await {
            match fetched {
                Fetched::Begin { offset, size, etag } => {
                    assert!(got.begin.is_none(), "one Begin");
                    got.begin = Some((offset, size, etag));
                }
                Fetched::Part(bytes) => {
                    assert!(got.begin.is_some(), "Begin comes first");
                    assert!((1..=lwm2m_engine::MAX_PART).contains(&bytes.len()));
                    got.bytes.extend(bytes);
                    got.parts += 1;
                }
            }
        }
        got
    };
    let (result, taken) = tokio::join!(fetch.fetch(uri, resume, out), take);
    got.failure = result.err();
    Got { failure: got.failure, ..taken }
}

pub(crate) async fn get(uri: &str) -> Got {
    attempt(&HttpFetch::default(), uri, None).await
}

pub(crate) fn resume(offset: u64, etag: &str) -> Option<Resume> {
    Some(Resume { offset, etag: etag.as_bytes().to_vec() })
}
