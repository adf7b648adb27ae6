//! What is measured, in which order, and the budgets.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use crate::agent::{Agent, Queue, Setup};
use crate::channel::Channel;
use crate::floor::Floor;
use crate::process::{Memory, Process};
use crate::request::Request;
use crate::series::Series;
use crate::syscalls::Count;
use crate::table::Table;
use crate::{device, firmware, load, notifications, pull, push, restart, scale, wear};

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// The agent.
    pub(crate) lwm2md: PathBuf,
    /// The agent with objects in memory: `lwm2m-test-device`.
    pub(crate) device: PathBuf,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Runs of each figure.
    pub(crate) rounds: u32,
    /// Reads in a run.
    pub(crate) reads: u32,
    /// Reads while system calls are counted.
    traced_reads: u32,
    /// How long wake-ups and Updates are counted.
    pub(crate) idle: Duration,
    /// How long a whole device is left alone.
    pub(crate) idle_device: Duration,
    /// Bytes of a package that goes to the disk.
    pub(crate) package: usize,
}

impl Plan {
    pub(crate) const FULL: Self = Self {
        rounds: 7,
        reads: 20_000,
        traced_reads: 2_000,
        idle: Duration::from_secs(20),
        idle_device: Duration::from_secs(120),
        package: 64 << 20,
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        reads: 500,
        traced_reads: 100,
        idle: Duration::from_secs(3),
        idle_device: Duration::from_secs(3),
        package: 4 << 20,
    };
}

/// A group of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU and reads in a second, against the floor.
    Speed,
    /// System calls per read.
    Calls,
    /// Bytes of messages, and of a payload in each format.
    Sizes,
    /// Many notifications due together, and memory of observations.
    Notifications,
    /// Small and large trees of objects.
    Scale,
    /// Large writes in blocks.
    Push,
    /// A package pushed to the disk.
    Firmware,
    /// Packages fetched over a slow link that loses packets.
    Pull,
    /// From a start to the first message, with and without a stored registration.
    Restart,
    /// What is written to the disk.
    Wear,
    /// Start, and memory after registration and load.
    Memory,
    /// Wake-ups idle and asleep.
    WakeUps,
    /// All objects that there can be: idle, and read.
    Device,
}

/// Measures these parts; everything if there are none.
///
/// # Errors
/// The agent does not start, or does not do what it should.
pub(crate) fn run(programs: &Programs, plan: &Plan, only: &[Part]) -> Result<Table> {
    let Programs { lwm2md, device } = programs;
    let mut table = Table::default();
    let parts = Part::value_variants().iter().filter(|part| only.is_empty() || only.contains(part));
    for part in parts {
        match part {
            Part::Speed => speed(lwm2md, plan, &mut table)?,
            Part::Calls => calls(lwm2md, plan, &mut table)?,
            Part::Sizes => sizes(lwm2md, &mut table)?,
            Part::Notifications => notifications::measure(device, plan, &mut table)?,
            Part::Scale => scale::measure(device, plan, &mut table)?,
            Part::Push => push::measure(device, plan, &mut table)?,
            Part::Firmware => firmware::measure(lwm2md, plan, &mut table)?,
            Part::Pull => pull::measure(plan, &mut table)?,
            Part::Restart => restart::measure(lwm2md, plan, &mut table)?,
            Part::Wear => wear::measure(lwm2md, device, plan, &mut table)?,
            Part::Memory => memory(lwm2md, plan, &mut table)?,
            Part::WakeUps => wake_ups(lwm2md, plan, &mut table)?,
            Part::Device => device::measure(lwm2md, plan, &mut table)?,
        }
    }
    Ok(table)
}

/// A way of reading.
struct Case {
    path: &'static str,
    outstanding: u32,
    /// CPU of the agent against that of the floor.
    budget: Option<f64>,
}

impl Case {
    fn request(&self) -> Request {
        Request::get(self.path, (self.path == "3/0").then_some(SENML_CBOR as u8))
    }

    /// Adds a ratio, judged if there is a budget.
    fn put(&self, table: &mut Table, name: String, unit: &'static str, ratio: Series) {
        match self.budget {
            Some(budget) => table.judge(name, unit, ratio, budget),
            None => table.add(name, unit, ratio),
        }
    }
}

/// A load and what its runs came to.
struct Speed {
    request: Request,
    outstanding: u32,
    reads: u32,
    warm: bool,
    /// CPU in milliseconds for 10,000 reads.
    cpu: Series,
    /// Reads in a second.
    rate: Series,
    /// Ticks in user mode and in the kernel, of all runs.
    ticks: (u64, u64),
}

impl Speed {
    fn of(request: Request, outstanding: u32, reads: u32) -> Self {
        let (cpu, rate) = (Series::default(), Series::default());
        Self { request, outstanding, reads, warm: false, cpu, rate, ticks: (0, 0) }
    }

    /// Adds the percentage of the CPU time that is spent in user mode.
    fn put_user_share(&self, table: &mut Table, name: String) {
        let (user, system) = self.ticks;
        match user + system {
            0..LEAST_TICKS => table.not_run(name, "the runs are too short to tell"),
            all => table.add(name, "%", Series::from(100.0 * user as f64 / all as f64)),
        }
    }

    /// Runs it once. The first run is there to warm up and does not count.
    fn run(&mut self, process: Process, channel: &mut Channel) -> Result<()> {
        let ((user, system), before) = (process.ticks()?, process.cpu_time()?);
        let took = load::run(channel, &mut self.request, self.reads, self.outstanding)?;
        let cpu = process.cpu_time()? - before;
        let after = process.ticks()?;
        if self.warm {
            self.ticks.0 += after.0 - user;
            self.ticks.1 += after.1 - system;
            let reads = f64::from(self.reads);
            self.cpu.push(cpu.as_secs_f64() * 1e3 * 10_000.0 / reads);
            self.rate.push(reads / took.as_secs_f64());
        }
        self.warm = true;
        Ok(())
    }
}

fn speed(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut agent = Agent::start(lwm2md, Setup::Bare, Queue::Off)?;
    let mut secure = Agent::start(lwm2md, Setup::BusAndDtls, Queue::Off)?;
    let answer = agent.server.read("/3/0/0")?.answer;
    let mut floor = Floor::start(&answer)?;
    let (process, secure_process) = (agent.process(), secure.process());
    let mut alone = None;
    for outstanding in [1, 32] {
        let small = || Speed::of(Request::get("3/0/0", None), outstanding, plan.reads);
        let (mut least, mut dtls) = (small(), small());
        let cases = CASES.iter().filter(|case| case.outstanding == outstanding);
        let mut runs: Vec<(&Case, Speed)> =
            cases.map(|case| (case, Speed::of(case.request(), outstanding, plan.reads))).collect();
        // The sides take turns, so that what disturbs the machine disturbs all.
        for _ in 0..=plan.rounds {
            least.run(floor.process(), &mut floor.channel)?;
            for (_, speed) in &mut runs {
                speed.run(process, &mut agent.server.channel)?;
            }
            dtls.run(secure_process, &mut secure.server.channel)?;
        }
        report(table, outstanding, &least, &runs);
        let name = format!("CPU per read of /3/0/0 with DTLS, {outstanding} outstanding");
        table.add(name, "floors", &dtls.cpu / &least.cpu);
        // The budgets have one floor, which seems to be that of one outstanding.
        if let Some(alone) = &alone {
            for (case, speed) in &runs {
                let name = format!("CPU per read of /{}, {outstanding} outstanding", case.path);
                case.put(table, name, "floors of 1 out.", &speed.cpu / alone);
            }
        }
        alone.get_or_insert(least.cpu);
    }
    secure.stop()?;
    agent.stop()
}

fn report(table: &mut Table, outstanding: u32, floor: &Speed, runs: &[(&Case, Speed)]) {
    let what = format!("{outstanding} outstanding");
    table.add(format!("floor: CPU per 10,000 answers, {what}"), "ms", floor.cpu.clone());
    floor.put_user_share(table, format!("floor: of that in user mode, {what}"));
    table.add(format!("floor: answers, {what}"), "1/s", floor.rate.clone());
    for (case, speed) in runs {
        let path = case.path;
        let ratio = &speed.cpu / &floor.cpu;
        table.add(format!("CPU per 10,000 reads of /{path}, {what}"), "ms", speed.cpu.clone());
        speed.put_user_share(table, format!("of that in user mode, /{path}, {what}"));
        let name = format!("CPU per read of /{path}, {what}");
        case.put(table, name, "floors", ratio);
        table.add(format!("reads of /{path}, {what}"), "1/s", speed.rate.clone());
        table.add(format!("reads of /{path}, {what}"), "floors", &speed.rate / &floor.rate);
    }
}

fn calls(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut agent = Agent::start(lwm2md, Setup::Bare, Queue::Off)?;
    for case in &CASES {
        let name =
            format!("system calls per read of /{}, {} outstanding", case.path, case.outstanding);
        let count = match Count::start(agent.process()) {
            Ok(count) => count,
            Err(error) => {
                table.not_run(name, format!("{error:#}"));
                continue;
            }
        };
        let (reads, mut request) = (plan.traced_reads, case.request());
        load::run(&mut agent.server.channel, &mut request, reads, case.outstanding)?;
        let calls = count.stop()?;
        let series = Series::from(calls.total as f64 / f64::from(reads));
        match case.budget {
            Some(_) => table.judge(name, "calls", series, CALLS_PER_READ),
            None => table.add(name, "calls", series),
        }
        table.note(calls.per_read(reads));
    }
    agent.stop()
}

fn sizes(lwm2md: &Path, table: &mut Table) -> Result<()> {
    let mut agent = Agent::start(lwm2md, Setup::Bare, Queue::Off)?;
    let server = &mut agent.server;
    let mut size = |name: &str, bytes: usize| {
        table.add(name, "bytes", Series::from(bytes as f64));
    };
    size("Register", server.greeting);
    size("Update", server.update()?.len());
    for (name, path) in [("/3/0/0", "/3/0/0"), ("/3/0 in SenML CBOR", "/3/0")] {
        let exchange =
            if path == "/3/0" { server.read_in(path, SENML_CBOR)? } else { server.read(path)? };
        size(&format!("Read of {name}: request"), exchange.request.len());
        size(&format!("Read of {name}: answer"), exchange.answer.len());
    }
    size("notification of /3/0/13", server.notification()?.len());
    let mut smallest = None;
    for (name, format, of_example) in FORMATS {
        let bytes = server.fetch("/3/0", format)? as f64;
        let smallest = *smallest.get_or_insert(bytes);
        let name = format!("payload of /3/0 in {name}");
        table.add(name.clone(), "bytes", Series::from(bytes));
        table.note(format!("the example of Core: {of_example}"));
        table.add(name, "of LwM2M CBOR", Series::from(bytes / smallest));
    }
    agent.stop()
}

/// Start and memory: each run is an agent of its own.
fn memory(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    for (setup, budget) in Setup::ALL.into_iter().zip(PRIVATE_MIB) {
        let mut start = Series::default();
        let (mut registered, mut loaded) = (Vec::new(), Vec::new());
        let mut used = Ok(Series::default());
        for _ in 0..plan.rounds {
            let mut agent = Agent::start(lwm2md, setup, Queue::Off)?;
            start.push(agent.start.as_secs_f64() * 1e3);
            sleep(SETTLED);
            registered.push(agent.process().memory()?);
            for case in &CASES {
                let (channel, mut request) = (&mut agent.server.channel, case.request());
                load::run(channel, &mut request, plan.reads / 10, case.outstanding)?;
            }
            loaded.push(agent.process().memory()?);
            let (process, channel) = (agent.process(), &mut agent.server.channel);
            let mut request = Request::get("3/0/0", None);
            let bytes = process
                .memory_used_by(|| load::run(channel, &mut request, plan.reads, 1).map(drop));
            match (&mut used, bytes) {
                (Ok(used), Ok(bytes)) => used.push(bytes as f64 / MIB),
                (Ok(_), Err(error)) => used = Err(format!("{error:#}")),
                (Err(_), _) => {}
            }
            agent.stop()?;
        }
        let name = setup.name();
        table.add(format!("start to Register, {name}"), "ms", start);
        let figures = |runs: &[Memory], of: fn(&Memory) -> u64| -> Series {
            runs.iter().map(|memory| of(memory) as f64 / MIB).collect()
        };
        for (when, runs) in [("registered", &registered), ("after load", &loaded)] {
            let unique = figures(runs, |memory| memory.unique);
            let what = format!("{name}, {when}");
            if when == "registered" {
                table.judge(format!("private memory, {what}"), "MiB", unique, budget);
            } else {
                table.add(format!("private memory, {what}"), "MiB", unique);
            }
            let anonymous = figures(runs, |memory| memory.anonymous);
            table.add(format!("of that not in a file, {what}"), "MiB", anonymous);
            table.add(format!("PSS, {what}"), "MiB", figures(runs, |memory| memory.pss));
            table.add(format!("RSS, {what}"), "MiB", figures(runs, |memory| memory.rss));
        }
        let what = format!("private memory that reads of /3/0/0 use, {name}");
        match used {
            Ok(used) => table.add(what, "MiB", used),
            Err(reason) => table.not_run(what, reason),
        }
    }
    Ok(())
}

/// Counts them for all set-ups at the same time.
fn wake_ups(lwm2md: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
    let mut agents = Vec::new();
    for setup in Setup::ALL {
        for (queue, state) in [(Queue::Off, "idle"), (Queue::On, "asleep")] {
            let name = format!("wake-ups, {state}, {}", setup.name());
            agents.push((name, Agent::start(lwm2md, setup, queue)?));
        }
    }
    // A second later those with queue mode sleep, and all have settled.
    sleep(ASLEEP);
    let mut before = Vec::new();
    for (_, agent) in &agents {
        before.push(agent.process().wake_ups()?);
    }
    sleep(plan.idle);
    for ((name, agent), before) in agents.into_iter().zip(before) {
        let count = agent.process().wake_ups()? - before;
        let per_second = count as f64 / plan.idle.as_secs_f64();
        table.judge(name, "1/s", Series::from(per_second), 0.0);
        agent.stop()?;
    }
    Ok(())
}

const CASES: [Case; 4] = [
    Case { path: "3/0/0", outstanding: 1, budget: Some(1.3) },
    Case { path: "3/0", outstanding: 1, budget: None },
    Case { path: "3/0/0", outstanding: 32, budget: Some(0.7) },
    Case { path: "3/0", outstanding: 32, budget: None },
];

/// With fewer ticks of the kernel a share says nothing.
const LEAST_TICKS: u64 = 20;
/// Wait, receive, send.
const CALLS_PER_READ: f64 = 3.0;
/// Private memory of a registered agent, in the order of [`Setup::ALL`].
const PRIVATE_MIB: [f64; 3] = [1.2, 2.0, 3.0];
pub(crate) const MIB: f64 = 1024.0 * 1024.0;
pub(crate) const SENML_CBOR: u16 = 112;
/// Formats of a whole instance, and the bytes that the Device instance of Core 7.5 has
/// in each.
const FORMATS: [(&str, u16, &str); 4] = [
    ("LwM2M CBOR", 11544, "118"),
    ("TLV", 11542, "121"),
    ("SenML CBOR", SENML_CBOR, "196"),
    ("SenML JSON", 110, "about 400"),
];

/// The agent has done by then what follows a registration.
pub(crate) const SETTLED: Duration = Duration::from_millis(500);
/// The agents with queue mode sleep by then.
const ASLEEP: Duration = Duration::from_secs(3);
