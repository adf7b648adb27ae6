//! How much of a link a package that is fetched makes use of.
//!
//! The sources of packages fetch from servers of this program over a link that is made
//! here. What is measured is the time from the first packet to the last byte.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use lwm2m_engine::Fetched;
use lwm2m_transport::{CoapSource, HttpFetch, Origin, OriginCredentials};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;

use crate::link::{Interface, Link};
use crate::measure::Plan;
use crate::series::Series;
use crate::sources::{Way, serve};
use crate::table::Table;

/// Measures all ways over links that differ in time and loss. They are measured at the
/// same time, each in a network of its own: what takes time is to wait.
pub(crate) fn measure(plan: &Plan, table: &mut Table) -> Result<()> {
    let rounds = plan.rounds.min(ROUNDS);
    // What TCP makes of a loss is the kernel's affair.
    let control = fs::read_to_string(CONGESTION_CONTROL).unwrap_or_default();
    let control = control.trim();
    let links = ROUND_TRIPS.into_iter().flat_map(|ms| LOSSES.map(|loss| (ms, loss)));
    let runs: Vec<_> = links
        .map(|(milliseconds, loss)| {
            let round_trip = Duration::from_millis(milliseconds);
            let link = Link { rate: RATE, round_trip, loss, seed: 1 };
            (milliseconds, loss, thread::spawn(move || over(link, rounds)))
        })
        .collect();
    for (milliseconds, loss, run) in runs {
        let on = format!("{milliseconds} ms, {} % lost", loss * 100.0);
        let result = run.join().map_err(|_| anyhow!("a link has failed"))?;
        let times = match result {
            Ok(times) => times,
            Err(error) => {
                table.not_run(format!("fetched over {on}"), format!("{error:#}"));
                continue;
            }
        };
        for (way, times) in Way::ALL.into_iter().zip(times) {
            let share: Series =
                times.iter().map(|s| 100.0 * size(way) as f64 * 8.0 / RATE / s).collect();
            table.add(format!("{}: of the rate, {on}", way.name()), "%", share);
            let took = format!("{:.1} s for {} KiB", times.median(), size(way) / 1024);
            table.note(if way == Way::Tcp { format!("{took}, {control}") } else { took });
            if way == Way::Coap {
                let alone = one_by_one(milliseconds);
                let ratio = times.iter().map(|seconds| alone / seconds).collect();
                table.add(format!("coap: of one block a round trip, {on}"), "times", ratio);
            }
        }
    }
    Ok(())
}

/// The seconds of each way over this link.
fn over(link: Link, rounds: u32) -> Result<[Series; 4]> {
    let interface = Interface::new()?;
    let mut times: [Series; 4] = Default::default();
    for round in 0..rounds {
        for (way, times) in Way::ALL.into_iter().zip(&mut times) {
            let link = Link { seed: link.seed + u64::from(round), ..link };
            let over = AtomicBool::new(false);
            let time = thread::scope(|scope| {
                let carrier = scope.spawn(|| interface.carry(&link, &over));
                let time = run(way);
                over.store(true, Ordering::Relaxed);
                carrier.join().map_err(|_| anyhow!("the link has failed"))??;
                time
            });
            times.push(time?.as_secs_f64());
        }
    }
    Ok(times)
}

/// Fetches a package once.
fn run(way: Way) -> Result<Duration> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let authority = serve(size(way)).await?;
        let started = Instant::now();
        let bytes = match way {
            Way::Tcp => {
                let mut stream = TcpStream::connect(way.address()).await?;
                let mut bytes = 0;
                let mut buffer = vec![0; 16 * 1024];
                loop {
                    match stream.read(&mut buffer).await? {
                        0 => break bytes,
                        some => bytes += some,
                    }
                }
            }
            Way::Http | Way::Https | Way::Coap => fetch(way, &authority).await?,
        };
        if bytes != size(way) {
            bail!("{} brought {bytes} bytes", way.name());
        }
        Ok(started.elapsed())
    })
}

/// Fetches with a source of ours; gives the bytes that came.
async fn fetch(way: Way, authority: &[u8]) -> Result<usize> {
    let (out, mut parts) = mpsc::channel(1);
    let uri = way.uri();
    let count = async {
        let mut bytes = 0;
        while let Some(fetched) = parts.recv().await {
            match fetched {
                Fetched::Begin { .. } => {}
                Fetched::Part(part) => bytes += part.len(),
            }
        }
        bytes
    };
    let (end, bytes) = match way {
        Way::Coap => {
            let source = CoapSource::default();
            tokio::join!(source.fetch(&uri, None, out), count)
        }
        Way::Https => {
            let file = tempfile::NamedTempFile::new()?;
            fs::write(file.path(), authority)?;
            let origin = Origin::parse(&format!("{}://{}", way.name(), way.address()))?;
            let credentials = OriginCredentials::new(origin)?.with_ca(file.path().into())?;
            let source = HttpFetch::new(vec![credentials])?;
            tokio::join!(source.fetch(&uri, None, out), count)
        }
        Way::Tcp | Way::Http => {
            let source = HttpFetch::default();
            tokio::join!(source.fetch(&uri, None, out), count)
        }
    };
    end.with_context(|| uri)?;
    Ok(bytes)
}

/// The seconds that a package over CoAP takes with a round trip for each block and no
/// loss.
fn one_by_one(milliseconds: u64) -> f64 {
    let blocks = size(Way::Coap).div_ceil(BLOCK);
    let bytes = BLOCK + AROUND_BLOCK;
    blocks as f64 * (milliseconds as f64 / 1e3 + bytes as f64 * 8.0 / RATE)
}

const fn size(way: Way) -> usize {
    match way {
        Way::Tcp | Way::Http | Way::Https => 4 << 20,
        Way::Coap => 256 << 10,
    }
}

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Bits a second.
const RATE: f64 = 10e6;
/// In milliseconds.
const ROUND_TRIPS: [u64; 3] = [0, 50, 200];
const LOSSES: [f64; 2] = [0.0, 0.01];
const ROUNDS: u32 = 3;
const BLOCK: usize = 1024;
/// Bytes of a request for a block and of the headers of its answer.
const AROUND_BLOCK: usize = 120;
