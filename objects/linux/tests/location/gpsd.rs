//! A gpsd that says what the test says.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::LIMIT;

/// It listens.
pub(crate) struct Gpsd(TcpListener);

/// Somebody watches it.
pub(crate) struct Watched(BufReader<TcpStream>);

impl Gpsd {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Waits for the next connection and its watch.
    pub(crate) async fn watched(&self) -> Watched {
        let accept = async {
            let mut stream = BufReader::new(self.0.accept().await.unwrap().0);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            assert_eq!(line, "?WATCH={\"enable\":true,\"json\":true};\n");
            Watched(stream)
        };
        timeout(LIMIT, accept).await.expect("a watch in time")
    }
}

impl Watched {
    pub(crate) async fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Waits until nobody watches any more.
    pub(crate) async fn closed(mut self) {
        let mut rest = Vec::new();
        let read = timeout(LIMIT, self.0.read_to_end(&mut rest)).await;
        // Closed with lines that were not read, it is a reset.
        let _ = read.expect("the end in time");
        assert_eq!(rest, b"");
    }
}

/// A report with a fix at this latitude, so many seconds after 1970.
pub(crate) fn tpv(latitude: f64, seconds: u32) -> String {
    let (minute, second) = (seconds / 60, seconds % 60);
    format!(
        r#"{{"class":"TPV","mode":2,"time":"1970-01-01T00:{minute:02}:{second:02}.000Z","lat":{latitude},"lon":11.5}}"#
    )
}
