//! What an agent writes to the disk: while it starts, while it idles, and for what a
//! server has it do.

use std::path::Path;
use std::thread::sleep;

use anyhow::Result;
use coap_lite::{CoapOption, RequestType};

use crate::agent::{Agent, Queue, Settings, Setup};
use crate::measure::{Plan, SETTLED};
use crate::notifications::{TEST_OBJECT, observe, path, write_all};
use crate::series::Series;
use crate::table::Table;

/// Counts the bytes that the agent has the kernel write.
pub(crate) fn measure(lwm2md: &Path, device: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    idle(lwm2md, plan, table)?;
    notifying(device, plan, table)
}

/// The lifetime is so short that some seconds have the Updates of as many days.
fn idle(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let settings = Settings { lifetime: LIFETIME, ..Settings::new(Setup::Bare, Queue::Off) };
    let mut agent = Agent::start_as(lwm2md, settings)?;
    sleep(SETTLED);
    let process = agent.process();
    let started = process.bytes_written()?;
    let updates = (plan.idle.as_secs() as u32 / (LIFETIME / 2)).max(1);
    for _ in 0..updates {
        agent.server.take_update()?;
    }
    sleep(SETTLED);
    let idled = process.bytes_written()? - started;
    agent.server.exchange(RequestType::Get, "/3/0/13", |packet| {
        packet.add_option(CoapOption::Observe, Vec::new());
    })?;
    sleep(SETTLED);
    let observed = process.bytes_written()? - started - idled;
    agent.stop()?;
    table.add("written from first start to Register", "bytes", Series::from(started as f64));
    table.note("of pages that are new".to_owned());
    // An agent whose lifetime is a day sends an Update a day.
    let a_day = idled as f64 / f64::from(updates);
    table.judge("written per day, idle, lifetime 86400", "bytes", Series::from(a_day), 0.0);
    table.note(format!("{updates} Updates wrote {idled} bytes"));
    table.add("written per Observe", "bytes", Series::from(observed as f64));
    Ok(())
}

/// Notifications have numbers, which are reserved on the disk many at a time, for each
/// observation its own.
fn notifying(device: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut agent = Agent::start_with(device, TEST_OBJECT)?;
    let (process, server) = (agent.process(), &mut agent.server);
    write_all(server, WRITTEN, 0, 0)?;
    observe(server, &path(WRITTEN, 0))?;
    sleep(SETTLED);
    let before = process.bytes_written()?;
    let notifications = (plan.reads / 2) as usize;
    for round in 1..=notifications {
        write_all(server, WRITTEN, round, 1)?;
    }
    sleep(SETTLED);
    let bytes = (process.bytes_written()? - before) as f64;
    agent.stop()?;
    let each = bytes / notifications as f64;
    table.add("written per notification", "bytes", Series::from(each));
    table.note(format!("{notifications} of an observation wrote {bytes} bytes"));
    let a_day = Series::from(each * MINUTES_OF_A_DAY);
    table.add("written per day, a notification a minute", "bytes", a_day);
    Ok(())
}

/// In seconds; an Update is sent when half of it is over.
const LIFETIME: u32 = 2;
/// Resource instances that a Write changes, as few as the test object has resources for;
/// one of them is observed.
const WRITTEN: usize = 4;
const MINUTES_OF_A_DAY: f64 = 1440.0;
