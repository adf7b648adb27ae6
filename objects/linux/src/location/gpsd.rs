//! gpsd over TCP (gpsd(8)): a watch that is open while it is wanted.
//!
//! 1. Wanted: connect, ask for reports, take fixes line by line.
//! 2. Not wanted: close; gpsd then lets the receiver rest, too.
//! 3. Refused or gone: again after a back-off, which somebody new who wants a fix cuts
//!    short.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::outage::Outage;
use super::report::Report;
use super::track::{Gone, Track};
use crate::source::Wanted;
use crate::sources::lines::{Line, Lines};

/// Measures until the object is gone.
pub(super) async fn run(address: String, mut track: Track) {
    let mut outage = Outage::default();
    loop {
        let step = match track.wanted() {
            Wanted::No => track.changed().await,
            Wanted::Yes => visit(&address, &mut track, &mut outage).await,
        };
        if step.is_err() {
            return;
        }
    }
}

/// One connection, and the pause after it if it ended by itself.
async fn visit(address: &str, track: &mut Track, outage: &mut Outage) -> Result<(), Gone> {
    let mut warned = false;
    let error = match connect(address).await {
        Ok(stream) => match listen(stream, track, outage, &mut warned).await? {
            Ended::Unwanted => return Ok(()),
            Ended::Broken(error) => error,
        },
        Err(error) => error,
    };
    if outage.begins() {
        tracing::warn!(%error, "gpsd at {address} cannot be used; it is tried again");
    }
    outage.pause(track).await
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let connect = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(WATCH).await?;
        Ok(stream)
    };
    timeout(CONNECT_TIME_LIMIT, connect)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))
}

enum Ended {
    Unwanted,
    Broken(io::Error),
}

async fn listen(
    stream: TcpStream,
    track: &mut Track,
    outage: &mut Outage,
    warned: &mut bool,
) -> Result<Ended, Gone> {
    let mut lines = Lines::new(stream, MAX_LINE);
    let mut second = Instant::now();
    let mut lines_of_second = 0;
    while track.wanted() == Wanted::Yes {
        if second.elapsed() >= Duration::from_secs(1) {
            (second, lines_of_second) = (Instant::now(), 0);
        } else if lines_of_second >= MAX_LINES_PER_SECOND {
            warn_once(warned, "a flood");
            pause_until(second + Duration::from_secs(1), track).await?;
            continue;
        }
        let line = tokio::select! {
            line = lines.next() => line,
            changed = track.changed() => {
                changed?;
                continue;
            }
        };
        lines_of_second += 1;
        let report = match line {
            Ok(Line::Text(line)) => Report::parse(line),
            Ok(Line::TooLong) => Report::Nonsense("a line without end"),
            Ok(Line::End) => {
                let error =
                    io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection");
                return Ok(Ended::Broken(error));
            }
            Err(error) => return Ok(Ended::Broken(error)),
        };
        match report {
            Report::Nonsense(what) => warn_once(warned, what),
            Report::Fix(fix) => {
                outage.end();
                track.put(fix);
            }
            // Only a peer that speaks as gpsd does ends an outage.
            Report::NoFix | Report::Other => outage.end(),
        }
    }
    Ok(Ended::Unwanted)
}

fn warn_once(warned: &mut bool, what: &str) {
    if !std::mem::replace(warned, true) {
        tracing::warn!("gpsd sends {what}; such lines are ignored");
    }
}

/// Waits, and nothing shortens it but that nobody wants a fix any more.
async fn pause_until(until: Instant, track: &mut Track) -> Result<(), Gone> {
    loop {
        tokio::select! {
            () = sleep_until(until) => return Ok(()),
            changed = track.changed() => {
                changed?;
                if track.wanted() == Wanted::No {
                    return Ok(());
                }
            }
        }
    }
}

const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true};\n";
const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);
/// Satellites in view make the longest lines, of a few KiB.
const MAX_LINE: usize = 64 * 1024;
/// Ten fixes a second of ten receivers, with their satellites, stay below it.
const MAX_LINES_PER_SECOND: u32 = 500;
