//! An agent with all objects that need nothing but this machine: sensors, connectivity,
//! and a position from a gpsd that the bench plays.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use coap_lite::{CoapOption, RequestType};

use crate::agent::{Agent, Queue, Settings, Setup};
use crate::load;
use crate::measure::{MIB, Plan, SENML_CBOR};
use crate::request::Request;
use crate::series::Series;
use crate::table::Table;

/// What such an agent costs while nobody asks, and what a Read of each object takes.
pub(crate) fn measure(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let gpsd = gpsd()?;
    idle(lwm2md, gpsd, plan, table)?;
    reads(lwm2md, gpsd, plan, table)
}

fn start(lwm2md: &Path, gpsd: SocketAddr) -> Result<Agent> {
    let settings = Settings::new(Setup::BusAndDtls, Queue::Off);
    Agent::start_as(lwm2md, Settings { gpsd: Some(gpsd), ..settings })
}

fn idle(lwm2md: &Path, gpsd: SocketAddr, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut agent = start(lwm2md, gpsd)?;
    // The instance of Location comes with the first fix.
    agent.server.take_update()?;
    sleep(THREADS_END);
    let process = agent.process();
    let (wake_ups, cpu) = (process.wake_ups()?, process.cpu_time()?);
    sleep(plan.idle_device);
    let wake_ups = (process.wake_ups()? - wake_ups) as f64 / plan.idle_device.as_secs_f64();
    let cpu = (process.cpu_time()? - cpu).as_secs_f64() * 1e3;
    let memory = process.memory()?;
    agent.stop()?;
    let seconds = plan.idle_device.as_secs();
    table.judge("wake-ups of a whole device, idle", "1/s", Series::from(wake_ups), 0.0);
    table.note(format!("over {seconds} s; sensors, connectivity and position, nothing observed"));
    table.add("CPU of a whole device, idle", "ms", Series::from(cpu));
    table.note(format!("over {seconds} s"));
    let of = |bytes: u64| Series::from(bytes as f64 / MIB);
    table.add("private memory of a whole device", "MiB", of(memory.unique));
    table.add("of that not in a file, whole device", "MiB", of(memory.anonymous));
    Ok(())
}

fn reads(lwm2md: &Path, gpsd: SocketAddr, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut agent = start(lwm2md, gpsd)?;
    // The source stays open, and its last fix fresh.
    let end = Instant::now() + FIX_LIMIT;
    let observe = |packet: &mut coap_lite::Packet| {
        packet.add_option(CoapOption::Observe, Vec::new());
        packet.add_option(CoapOption::UriQuery, b"pmin=86400".to_vec());
    };
    while let Err(error) = agent.server.exchange(RequestType::Get, "/6/0/5", observe) {
        if Instant::now() > end {
            return Err(error.context("no fix"));
        }
        sleep(Duration::from_millis(20));
    }
    agent.server.take_update()?;
    let mut took = PATHS.map(|_| Series::default());
    let mut requests: Vec<Request> = (0..PATHS.len())
        .map(|place| {
            let path = PATHS[place];
            let format = (place > 0).then_some(SENML_CBOR as u8);
            Request::get(path, format).numbered(place)
        })
        .collect();
    let number = plan.reads / 20;
    // The first round is there to warm up.
    for round in 0..=plan.rounds {
        for (request, series) in requests.iter_mut().zip(&mut took) {
            let all = load::run(&mut agent.server.channel, request, number, 1)?;
            if round > 0 {
                series.push(all.as_secs_f64() * 1e6 / f64::from(number));
            }
        }
    }
    agent.stop()?;
    let [least, others @ ..] = &took;
    table.add("a Read of /3/0/0 over DTLS takes", "µs", least.clone());
    for (path, series) in PATHS[1..].iter().zip(others) {
        table.add(format!("a Read of /{path} over DTLS takes"), "µs", series.clone());
        table.add(format!("a Read of /{path}"), "of /3/0/0", series / least);
    }
    Ok(())
}

/// A gpsd with a fix each second for whoever watches; it ends with the program.
fn gpsd() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen as gpsd")?;
    let address = listener.local_addr()?;
    spawn(move || {
        for stream in listener.incoming().flatten() {
            spawn(move || tell(stream));
        }
    });
    Ok(address)
}

fn tell(stream: TcpStream) -> Option<()> {
    let mut watch = String::new();
    BufReader::new(stream.try_clone().ok()?).read_line(&mut watch).ok()?;
    let mut stream = stream;
    for second in 0_u64.. {
        let (minutes, seconds) = (second / 60 % 60, second % 60);
        let line = format!(
            "{{\"class\":\"TPV\",\"mode\":3,\"time\":\"2026-01-01T00:{minutes:02}:{seconds:02}Z\",\
             \"lat\":48.137,\"lon\":11.575,\"altMSL\":519.0,\"eph\":4.0,\"speed\":1.5,\"track\":90.0}}\n"
        );
        stream.write_all(line.as_bytes()).ok()?;
        sleep(Duration::from_secs(1));
    }
    None
}

/// The first is what the others are compared with.
const PATHS: [&str; 4] = ["3/0/0", "3/0", "4/0", "6/0"];
/// Threads that the start took for files have ended by then; their wake-ups go with them.
const THREADS_END: Duration = Duration::from_secs(12);
const FIX_LIMIT: Duration = Duration::from_secs(10);
