//! How long an agent takes to be back: from the start of its process to its first
//! message at the server.

use std::path::Path;
use std::thread::sleep;

use anyhow::Result;

use crate::agent::{Agent, Queue, Setup};
use crate::measure::{Plan, SETTLED};
use crate::series::Series;
use crate::table::Table;

/// Measures first starts, which register, and starts with a stored registration, which
/// update it; with DTLS the latter resume the session too.
pub(crate) fn measure(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    for setup in Setup::ALL {
        let (mut first, mut again) = (Series::default(), Series::default());
        let (mut first_cpu, mut again_cpu) = (Series::default(), Series::default());
        for _ in 0..plan.rounds {
            let agent = Agent::start(lwm2md, setup, Queue::Off)?;
            first.push(agent.start.as_secs_f64() * 1e3);
            // What it has stored is on the disk by then.
            sleep(SETTLED);
            first_cpu.push(agent.process().cpu_time()?.as_secs_f64() * 1e3);
            let agent = agent.restart(lwm2md)?;
            again.push(agent.start.as_secs_f64() * 1e3);
            sleep(SETTLED);
            again_cpu.push(agent.process().cpu_time()?.as_secs_f64() * 1e3);
            agent.stop()?;
        }
        let name = setup.name();
        let ratio = &again / &first;
        table.add(format!("first start to Register, {name}"), "ms", first);
        table.add(format!("restart to Update, {name}"), "ms", again);
        table.add(format!("restart to Update, {name}"), "of first start", ratio);
        table.add(format!("first start: CPU until registered, {name}"), "ms", first_cpu);
        table.add(format!("restart: CPU until registered, {name}"), "ms", again_cpu);
    }
    Ok(())
}
