//! Packages from the web server of Python's standard library, which knows neither ETags
//! nor ranges.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use lwm2m_engine::{FetchFailureKind, Fetched, Resume};
use lwm2m_interop::{program, scenario};
use lwm2m_transport::HttpFetch;
use tokio::sync::mpsc;

/// Killed when the test ends.
struct WebServer(Child);

impl Drop for WebServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// OBJ-94: without an ETag nothing proves that the rest belongs to what is stored.
#[tokio::test]
async fn packages_come_from_the_web_server_of_python() {
    let name = "fetches a package over HTTP";
    if program::find("python3").is_none() {
        eprintln!("not run: {name}: needs Python");
        return scenario::not_run("python", "needs Python").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let package: Vec<u8> = (0..1_000_003_u32).map(|at| (at.wrapping_mul(97) >> 5) as u8).collect();
    std::fs::create_dir(dir.path().join("releases")).unwrap();
    std::fs::write(dir.path().join("releases/fw 1.bin"), &package).unwrap();
    std::fs::write(dir.path().join("releases/index.html"), b"a page").unwrap();
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]);
    command.arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = WebServer(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Serving HTTP on 127.0.0.1 port 8000 (http://127.0.0.1:8000/) ...
    let (_, base) = line.split_once('(').unwrap();
    let base = base.split("/)").next().unwrap();

    let resume = Some(Resume { offset: 1000, etag: b"\"a\"".to_vec() });
    for resume in [None, resume] {
        let got = attempt(&format!("{base}/releases/fw%201.bin"), resume).await.unwrap();
        assert_eq!((got.0, got.1), (0, Some(1_000_003)));
        assert!(got.2 == package);
    }
    // It redirects to the folder with a slash, whose page it then sends.
    assert_eq!(attempt(&format!("{base}/releases"), None).await.unwrap().2, b"a page");
    let missing = attempt(&format!("{base}/none"), None).await;
    assert_eq!(missing.unwrap_err(), FetchFailureKind::InvalidUri);
    scenario::ran("python", name).unwrap();
}

/// Offset, size and bytes.
async fn attempt(
    uri: &str,
    resume: Option<Resume>,
) -> Result<(u64, Option<u64>, Vec<u8>), FetchFailureKind> {
    let (out, mut parts) = mpsc::channel(1);
    let fetch = HttpFetch::default();
    let take = async {
        let (mut begun, mut bytes) = ((0, None), Vec::new());
        while let Some(fetched) = parts.recv().await {
            match fetched {
                Fetched::Begin { offset, size, .. } => begun = (offset, size),
                Fetched::Part(part) => bytes.extend(part),
            }
        }
        (begun.0, begun.1, bytes)
    };
    let (result, taken) = tokio::join!(fetch.fetch(uri, resume, out), take);
    result.map(|()| taken).map_err(|failure| failure.kind)
}
