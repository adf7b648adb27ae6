//! A web server of files that answers requests for ranges (RFC 9110 14).

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

/// Serves the files of the directory that `sibling` is in; the origin.
pub(crate) fn serve(sibling: String) -> String {
    let folder = Path::new(&sibling).parent().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            // A client that leaves is no fault.
            thread::spawn(move || drop(answer(stream, &folder)));
        }
    });
    origin
}

/// Answers one client until it leaves.
fn answer(mut stream: TcpStream, folder: &Path) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        let mut range = None;
        for line in lines.by_ref() {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            range = range.or_else(|| line.strip_prefix("range: bytes=").map(str::to_owned));
        }
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
        let name = target.trim_start_matches('/').split('?').next().unwrap_or_default();
        let Ok(bytes) = fs::read(folder.join(name)) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let whole = bytes.len();
        let (status, from, to) = match range.as_deref().and_then(|range| range.split_once('-')) {
            Some((from, to)) => {
                let last = to.parse().unwrap_or(whole - 1).min(whole - 1);
                ("206 Partial Content", from.parse().unwrap_or(0), last + 1)
            }
            None => ("200 OK", 0, whole),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n\
             Content-Range: bytes {from}-{}/{whole}\r\n\r\n",
            to - from,
            to - 1
        );
        stream.write_all(head.as_bytes())?;
        if method != "HEAD" {
            stream.write_all(&bytes[from..to])?;
        }
    }
    Ok(())
}
