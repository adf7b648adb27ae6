//! What it costs to push a large package to an agent that stores it on the disk.
//!
//! Beside it the disk's share: the same bytes written by this program in as large
//! pieces, made durable as often.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::Result;
use coap_lite::RequestType;

use crate::agent::{Agent, Firmware, Queue, Settings, Setup};
use crate::blocks::{LARGEST, Push};
use crate::measure::Plan;
use crate::process::Process;
use crate::series::Series;
use crate::table::Table;

/// Measures pushes, each to an agent of its own.
pub(crate) fn measure(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let payload = vec![0x5a; plan.package];
    let size = payload.len() as f64 / MIB;
    let [mut cpu, mut floor, mut user, mut grown, mut written]: [Series; 5] = Default::default();
    for _ in 0..plan.rounds.min(ROUNDS) {
        let settings =
            Settings { firmware: Firmware::ToFile, ..Settings::new(Setup::Bare, Queue::Off) };
        let mut agent = Agent::start_as(lwm2md, settings)?;
        for _ in 0..WARM_UP {
            agent.server.read("/3/0/0")?;
        }
        let (process, before) = (agent.process(), agent.process().memory()?.anonymous);
        let (ticks, bytes) = (process.ticks()?, process.bytes_written()?);
        let (spent, most) = push(&mut agent, &payload)?;
        let (user_ticks, kernel_ticks) = process.ticks()?;
        let (user_ticks, kernel_ticks) = (user_ticks - ticks.0, kernel_ticks - ticks.1);
        cpu.push(spent * 1e3 / size);
        user.push(100.0 * user_ticks as f64 / (user_ticks + kernel_ticks).max(1) as f64);
        grown.push(most.saturating_sub(before) as f64 / 1024.0);
        written.push((process.bytes_written()? - bytes) as f64 / payload.len() as f64);
        floor.push(store(agent.directory(), &payload)? * 1e3 / size);
        agent.stop()?;
    }
    let what = format!("{size} MiB by Block1 of 1024, to the disk");
    table.add(format!("floor: CPU per MiB, {size} MiB, written alone"), "ms", floor.clone());
    let ratio = &cpu / &floor;
    table.judge(format!("CPU per MiB, {what}"), "ms", cpu, MILLISECONDS);
    table.note("C client 26".to_owned());
    table.add(format!("of that in user mode, {what}"), "%", user);
    table.add(format!("CPU per MiB, {what}"), "floors", ratio);
    table.judge(format!("most memory more, {what}"), "KiB", grown, KIB);
    table.add(format!("written to the disk per byte, {what}"), "bytes", written);
    Ok(())
}

/// Pushes the package; gives the seconds of CPU and the most memory seen.
fn push(agent: &mut Agent, payload: &[u8]) -> Result<(f64, u64)> {
    let (process, server) = (agent.process(), &mut agent.server);
    let method = RequestType::Put;
    let push = Push { method, path: "/5/0/0", format: OPAQUE, payload, szx: LARGEST };
    let (mut spent, mut most) = (0.0, 0);
    let blocks: Vec<usize> = (0..push.blocks()).collect();
    for some in blocks.chunks(LOOK_EVERY) {
        let send = || some.iter().try_for_each(|number| push.send(server, *number));
        spent += process.cpu_of(send)?.as_secs_f64();
        most = most.max(process.memory()?.anonymous);
    }
    Ok((spent, most))
}

/// Writes the package to the disk as it is; gives the seconds of CPU.
fn store(directory: &Path, payload: &[u8]) -> Result<f64> {
    let path = directory.join("floor");
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let cpu = Process::new(std::process::id()).cpu_of(|| {
        let mut offset = 0;
        for piece in payload.chunks(16 << LARGEST) {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(piece)?;
            offset += piece.len() as u64;
            if offset.is_multiple_of(SYNC_EVERY) {
                file.sync_data()?;
            }
        }
        Ok(file.sync_data()?)
    })?;
    std::fs::remove_file(path)?;
    Ok(cpu.as_secs_f64())
}

/// What the agent loses at most to a power cut.
const SYNC_EVERY: u64 = 4 * 1024 * 1024;
/// CPU per MiB that we aim at.
const MILLISECONDS: f64 = 15.0;
/// Growth of memory that we aim at.
const KIB: f64 = 256.0;
/// Blocks between two looks at the memory.
const LOOK_EVERY: usize = 64;
const MIB: f64 = 1024.0 * 1024.0;
const OPAQUE: u16 = 42;
const ROUNDS: u32 = 3;
/// Reads after which the agent keeps as many answers for duplicates as it ever will.
const WARM_UP: usize = 200;
