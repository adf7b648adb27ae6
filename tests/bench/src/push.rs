//! What it costs to push something large by Block1.

use std::path::Path;

use anyhow::Result;
use coap_lite::RequestType;

use crate::agent::Agent;
use crate::blocks::Push;
use crate::floor::Floor;
use crate::measure::Plan;
use crate::notifications::TEST_OBJECT;
use crate::series::Series;
use crate::table::Table;

/// Measures pushes in blocks of different sizes, each in an agent of its own.
pub(crate) fn measure(device: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    for (size, szx, pushes, mark) in PUSHES {
        let mut agent = Agent::start_with(device, TEST_OBJECT, 1)?;
        let process = agent.process();
        let server = &mut agent.server;
        let mut floor = Floor::start(&server.read("/3/0/0")?.answer)?;
        let payload = vec![0x5a; size];
        let (method, path) = (RequestType::Put, "/3442/0/150");
        let push = Push { method, path, format: OPAQUE, payload: &payload, szx };
        for _ in 0..WARM_UP {
            server.read("/3/0/0")?;
        }
        let before = process.memory()?.anonymous;
        let mut most = before;
        let (mut cpu, mut least) = (Series::default(), Series::default());
        let bytes = size * pushes;
        for _ in 0..plan.rounds.min(ROUNDS) {
            let mut spent = 0.0;
            for _ in 0..pushes {
                // The memory is looked at before the last block, when most is held.
                let last = push.blocks() - 1;
                spent += process
                    .cpu_of(|| (0..last).try_for_each(|number| push.send(server, number)))?
                    .as_secs_f64();
                most = most.max(process.memory()?.anonymous);
                spent += process.cpu_of(|| push.send(server, last))?.as_secs_f64();
                most = most.max(process.memory()?.anonymous);
            }
            cpu.push(spent * 1e3 * MIB / bytes as f64);
            let blocks = (push.blocks() * pushes) as f64;
            least.push(spent * 1e6 / blocks / floor.microseconds(plan.reads / 20)?);
        }
        let what = format!("{} KiB by Block1 of {}", bytes / 1024, 16 << szx);
        match mark {
            Some(mark) => table.judge(format!("CPU per MiB, {what}"), "ms", cpu, mark),
            None => table.add(format!("CPU per MiB, {what}"), "ms", cpu),
        }
        table.add(format!("CPU per block, {what}"), "floors", least);
        let grown = Series::from((most - before) as f64 / 1024.0);
        table.add(format!("most memory more, {what}"), "KiB", grown);
        agent.stop()?;
    }
    Ok(())
}

/// Bytes of a push, size exponent, pushes one after the other, and the milliseconds per
/// MiB that the C client takes.
const PUSHES: [(usize, u8, usize, Option<f64>); 4] = [
    (64 << 10, 6, 16, Some(26.0)),
    (64 << 10, 4, 1, None),
    (64 << 10, 2, 1, None),
    (64 << 10, 0, 1, None),
];
const MIB: f64 = 1024.0 * 1024.0;
const OPAQUE: u16 = 42;
const ROUNDS: u32 = 3;
/// Reads after which the agent keeps as many answers for duplicates as it ever will.
const WARM_UP: usize = 200;
