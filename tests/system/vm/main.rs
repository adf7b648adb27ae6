//! Firmware updates of a whole device: real reboots, a real boot loader, power cuts.
//! `cargo xtask system-test vm` runs it.
//!
//! The scenarios go on from each other with one machine; after one that fails, the next
//! has another. Each prints a line; the exit status is 0 if all of them passed.

mod device;
mod scenarios;
mod web;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lwm2m_interop::setup::target_directory;
use lwm2m_system_tests::VmLab;
use tokio::time::timeout;

use device::{Device, Fault};
use scenarios::SCENARIOS;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Fault::from).and_then(|runtime| runtime.block_on(run(&wanted))) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("vm: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios whose names hold one of `wanted`, or all; how many failed.
async fn run(wanted: &[String]) -> Result<usize, Fault> {
    let logs = target_directory().with_file_name("vm-logs");
    fs::create_dir_all(&logs)?;
    let lab = VmLab::prepare()?;
    let mut report = Report::new(&logs)?;
    let (mut device, mut passed, mut failed) = (None, 0, 0);
    for (name, scenario) in SCENARIOS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let begin = Instant::now();
        let played = timeout(SCENARIO_LIMIT, async {
            let present = match device.take() {
                Some(device) => device,
                None => {
                    let console = logs.join(format!("console-{}.log", passed + failed + 1));
                    Device::start(&lab, &console).await?
                }
            };
            scenario(&present).await.map(|seen| (seen, present))
        });
        let result = played.await.unwrap_or_else(|_| Err(Fault::new("it takes too long")));
        let seconds = begin.elapsed().as_secs();
        match result {
            Ok((seen, present)) => {
                passed += 1;
                device = Some(present);
                report.line(&format!("ok     {seconds:4} s  {name}: {seen}"))?;
            }
            Err(fault) => {
                failed += 1;
                report.line(&format!("FAILED {seconds:4} s  {name}: {fault}"))?;
            }
        }
    }
    report.line(&format!("{passed} passed, {failed} failed"))?;
    eprintln!("vm: consoles and report are in {}", logs.display());
    Ok(failed)
}

/// Lines for people and for the file that stays.
struct Report {
    file: File,
}

impl Report {
    fn new(logs: &Path) -> Result<Self, Fault> {
        let path: PathBuf = logs.join("report.txt");
        Ok(Self { file: File::create(path)? })
    }

    fn line(&mut self, text: &str) -> Result<(), Fault> {
        writeln!(std::io::stdout(), "{text}")?;
        writeln!(self.file, "{text}")?;
        Ok(())
    }
}

/// Far beyond what any of them needs on a busy machine without KVM.
const SCENARIO_LIMIT: Duration = Duration::from_secs(1500);
