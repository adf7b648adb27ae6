//! What it costs to push something large by Block1.

use std::path::Path;

use anyhow::Result;
use coap_lite::RequestType;

use crate::agent::{Added, Agent};
use crate::blocks::Push;
use crate::floor::Floor;
use crate::measure::Plan;
use crate::notifications::TEST_OBJECT;
use crate::series::Series;
use crate::table::Table;

/// Measures pushes in blocks of different sizes, each in an agent of its own.
pub(crate) fn measure(device: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    for Case { object, path, size, szx, marks } in CASES {
        let mut agent = Agent::start_with(device, object)?;
        let process = agent.process();
        let server = &mut agent.server;
        let mut floor = Floor::start(&server.read("/3/0/0")?.answer)?;
        let payload = vec![0x5a; size];
        let method = RequestType::Put;
        let push = Push { method, path, format: OPAQUE, payload: &payload, szx };
        let last = push.blocks() - 1;
        for _ in 0..WARM_UP {
            server.read("/3/0/0")?;
        }
        let before = process.memory()?.anonymous;
        let mut most = before;
        let (mut cpu, mut least) = (Series::default(), Series::default());
        for _ in 0..plan.rounds.min(ROUNDS) {
            // The memory is looked at now and then, and before the last block.
            let mut spent = 0.0;
            let blocks: Vec<usize> = (0..last).collect();
            for some in blocks.chunks(LOOK_EVERY) {
                let send = || some.iter().try_for_each(|number| push.send(server, *number));
                spent += process.cpu_of(send)?.as_secs_f64();
                most = most.max(process.memory()?.anonymous);
            }
            spent += process.cpu_of(|| push.send(server, last))?.as_secs_f64();
            most = most.max(process.memory()?.anonymous);
            cpu.push(spent * 1e3 * MIB / size as f64);
            let each = spent * 1e6 / push.blocks() as f64;
            least.push(each / floor.microseconds(plan.reads / 20)?);
        }
        let how = if matches!(object, Added::Sink { .. }) { "streamed" } else { "held" };
        let what = format!("{} KiB by Block1 of {}, {how}", size / 1024, 16 << szx);
        let grown = Series::from((most - before) as f64 / 1024.0);
        match marks {
            Some((milliseconds, kib)) => {
                table.judge(format!("CPU per MiB, {what}"), "ms", cpu, milliseconds);
                table.judge(format!("most memory more, {what}"), "KiB", grown, kib);
            }
            None => {
                table.add(format!("CPU per MiB, {what}"), "ms", cpu);
                table.add(format!("most memory more, {what}"), "KiB", grown);
            }
        }
        table.add(format!("CPU per block, {what}"), "floors", least);
        agent.stop()?;
    }
    Ok(())
}

/// A push of so many bytes, in blocks of `16 << szx`.
struct Case {
    object: Added,
    path: &'static str,
    size: usize,
    szx: u8,
    /// Milliseconds and KiB that the C client takes per MiB.
    marks: Option<(f64, f64)>,
}

/// An object that takes opaque values: the agent has one for firmware of its own.
const SINK: Added = Added::Sink { definition: include_str!("../../registry/3442.xml") };

impl Case {
    const fn streamed(size: usize, szx: u8, marks: Option<(f64, f64)>) -> Self {
        Self { object: SINK, path: "/3442/0/150", size, szx, marks }
    }

    /// The value is put together before the object gets it.
    const fn held(size: usize, szx: u8) -> Self {
        Self { object: TEST_OBJECT, path: "/3442/0/150", size, szx, marks: None }
    }
}

const CASES: [Case; 5] = [
    Case::streamed(1 << 20, 6, Some((26.0, 8.0))),
    Case::streamed(64 << 10, 4, None),
    Case::streamed(64 << 10, 2, None),
    Case::streamed(64 << 10, 0, None),
    Case::held(64 << 10, 6),
];
/// Blocks between two looks at the memory.
const LOOK_EVERY: usize = 64;
const MIB: f64 = 1024.0 * 1024.0;
const OPAQUE: u16 = 42;
const ROUNDS: u32 = 3;
/// Reads after which the agent keeps as many answers for duplicates as it ever will.
const WARM_UP: usize = 200;
