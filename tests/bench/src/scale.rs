//! What a resource costs in a small and in a large tree: Register, Discover, Read.

use std::path::Path;

use anyhow::Result;

use crate::agent::{Added, Agent};
use crate::floor::Floor;
use crate::measure::Plan;
use crate::process::Process;
use crate::series::Series;
use crate::server::Server;
use crate::table::Table;

/// Something done with these instances, which are all.
type Run = fn(&mut Server, &[u16]) -> Result<()>;

/// An operation on the whole tree.
struct Sweep {
    name: &'static str,
    run: Run,
    /// Microseconds of CPU per resource in the smallest tree.
    smallest: Option<Series>,
}

/// Measures trees of 100 to 100,000 resources, each against the smallest.
pub(crate) fn measure(device: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut sweeps = SWEEPS.map(|(name, run)| Sweep { name, run, smallest: None });
    for count in INSTANCES {
        let mut agent =
            Agent::start_with(device, Added::InMemory { definition: LOCATION, instances: count })?;
        let process = agent.process();
        let mut floor = Floor::start(&agent.server.read("/3/0/0")?.answer)?;
        let resources = f64::from(count) * RESOURCES;
        let instances: Vec<u16> = (0..count).collect();
        let (mut least, mut costs) = (Series::default(), [(); 4].map(|()| Ok(Series::default())));
        for _ in 0..plan.rounds.min(ROUNDS) {
            least.push(floor.microseconds(plan.reads / 20)?);
            for (sweep, cost) in sweeps.iter().zip(&mut costs) {
                let Ok(series) = cost else { continue };
                match per_sweep(sweep, process, &mut agent.server, &instances) {
                    Ok(microseconds) => series.push(microseconds / resources),
                    Err(error) => *cost = Err(format!("{error:#}")),
                }
            }
        }
        for (sweep, cost) in sweeps.iter_mut().zip(costs) {
            let name = format!("{}: CPU per resource, of {resources}", sweep.name);
            let cost = match cost {
                Ok(cost) => cost,
                Err(reason) => {
                    table.not_run(name, reason);
                    continue;
                }
            };
            table.add(name.clone(), "µs", cost.clone());
            table.add(name.clone(), "floors", &cost / &least);
            match &sweep.smallest {
                Some(smallest) => table.judge(name, "of 100", &cost / smallest, FLAT),
                None => sweep.smallest = Some(cost),
            }
        }
        agent.stop()?;
    }
    Ok(())
}

/// Microseconds of CPU for a sweep. In a small tree it is done again and again.
fn per_sweep(
    sweep: &Sweep,
    process: Process,
    server: &mut Server,
    instances: &[u16],
) -> Result<f64> {
    let times = (LEAST_INSTANCES / instances.len()).max(1);
    let cpu = process.cpu_of(|| (0..times).try_for_each(|_| (sweep.run)(server, instances)))?;
    Ok(cpu.as_secs_f64() * 1e6 / times as f64)
}

fn each(server: &mut Server, instances: &[u16], format: u16) -> Result<()> {
    instances
        .iter()
        .try_for_each(|instance| server.read_in(&format!("/{OBJECT}/{instance}"), format).map(drop))
}

const SWEEPS: [(&str, Run); 4] = [
    ("Register", |server, _| server.register_anew()),
    ("Discover of each instance", |server, instances| each(server, instances, LINK_FORMAT)),
    ("Read of each instance", |server, instances| each(server, instances, SENML_CBOR)),
    ("Read of the object by Block2", |server, _| {
        server.fetch(&format!("/{OBJECT}"), LWM2M_CBOR).map(drop)
    }),
];
/// Each instance has ten resources, and all of them can be read.
const LOCATION: &str = include_str!("../../registry/3336.xml");
const OBJECT: u16 = 3336;
const RESOURCES: f64 = 10.0;
const INSTANCES: [u16; 3] = [10, 1000, 10_000];
/// So many are asked for at least.
const LEAST_INSTANCES: usize = 1000;
/// A tree is large: few rounds tell enough.
const ROUNDS: u32 = 3;
/// What counts as flat: a tree that is a thousand times as large does not fit the
/// caches of the processor.
const FLAT: f64 = 1.5;
const LINK_FORMAT: u16 = 40;
const SENML_CBOR: u16 = 112;
const LWM2M_CBOR: u16 = 11544;
