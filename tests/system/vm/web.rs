//! A web server with the bundles: GET with ETags and ranges (RFC 9110 13.1.5, 14), so
//! that a fetch can go on where it was, and an answer that stops half-way.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lwm2m_system_tests::VmLab;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::device::Fault;

/// A running server; it ends when this is dropped.
pub(crate) struct Web {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    /// Bytes after which an answer stops.
    most: usize,
    /// Where the last answer began.
    begin: usize,
}

impl Web {
    pub(crate) async fn start(lab: &VmLab) -> Result<Self, Fault> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State { most: usize::MAX, begin: 0 }));
        let (lab, shared) = (lab.clone(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (lab, state) = (lab.clone(), Arc::clone(&shared));
                // A client that is gone hears no answer.
                tokio::spawn(async move { answer(stream, &lab, &state).await.ok() });
            }
        });
        Ok(Self { port, state, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Answers stop after so many bytes, from now on.
    pub(crate) fn stop_after(&self, most: usize) {
        lock(&self.state).most = most;
    }

    /// The offset in the bundle at which the last answer began.
    pub(crate) fn last_begin(&self) -> usize {
        lock(&self.state).begin
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(stream: TcpStream, lab: &VmLab, state: &Mutex<State>) -> Result<(), Fault> {
    let mut stream = BufReader::new(stream);
    let (mut path, mut range, mut condition) = (String::new(), 0, None);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((_, rest)) = line.split_once("GET /") {
            rest.split(' ').next().unwrap_or_default().clone_into(&mut path);
        }
        match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
            Some((name, value)) if name == "range" => {
                let first = value.trim_start_matches("bytes=").trim_end_matches('-');
                range = first.parse().unwrap_or(0);
            }
            Some((name, value)) if name == "if-range" => condition = Some(value.to_owned()),
            _ => {}
        }
    }
    let name = path.trim_end_matches(".raucb");
    let Ok(bundle) = lab.bundle(name) else {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(());
    };
    let (size, tag) = (bundle.len(), format!("\"{name}-{}\"", bundle.len()));
    let begin = if condition.is_none_or(|wanted| wanted == tag) { range.min(size - 1) } else { 0 };
    let status = match begin {
        0 => "200 OK".to_owned(),
        _ => format!("206 Partial Content\r\nContent-Range: bytes {begin}-{}/{size}", size - 1),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        size - begin
    );
    let most = {
        let mut state = lock(state);
        state.begin = begin;
        state.most
    };
    stream.write_all(head.as_bytes()).await?;
    let end = size.min(begin.saturating_add(most));
    stream.write_all(bundle.get(begin..end).unwrap_or_default()).await?;
    if end < size {
        tokio::time::sleep(HANGS).await;
    }
    Ok(())
}

/// Nothing panics while it is held.
fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long an answer that stops leaves its client waiting.
const HANGS: Duration = Duration::from_secs(600);
