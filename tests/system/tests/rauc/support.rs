//! A device in the laboratory and what the tests ask of it.

use std::time::Duration;

use lwm2m_interop::scenario;
use lwm2m_system_tests::{RaucLab, Slots};
use rauc_dbus::{Event, InstallOptions, Installation, Installer, Outcome, Progress, SlotStatus};

/// A laboratory and its service as a client sees it.
pub(crate) struct Device {
    pub(crate) lab: RaucLab,
    pub(crate) rauc: Installer,
}

/// Runs a scenario with a device of its own and keeps a record of it; where RAUC cannot
/// run it only says so.
pub(crate) fn with_device(name: &str, slots: Slots, scenario: impl AsyncFnOnce(Device)) {
    let Some(lab) = RaucLab::start(slots).unwrap() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let builder = zbus::connection::Builder::address(lab.bus());
        let connection = builder.method_timeout(LIMIT).build().await.unwrap();
        let rauc = Installer::new(&connection);
        let run = scenario(Device { lab, rauc });
        tokio::time::timeout(LIMIT, run).await.expect("the scenario ends in time");
    });
    scenario::ran("rauc", name).unwrap();
}

impl Device {
    /// Starts to install a bundle without options.
    pub(crate) async fn start(&self, bundle: &str) -> Installation {
        let options = InstallOptions::default();
        self.rauc.install(&self.lab.bundle(bundle), &options).await.unwrap()
    }

    /// Installs a bundle without options.
    pub(crate) async fn install(&self, bundle: &str) -> Outcome {
        self.start(bundle).await.outcome().await.unwrap()
    }

    /// What is known about a slot.
    pub(crate) async fn slot(&self, name: &str) -> SlotStatus {
        let slots = self.rauc.slots().await.unwrap();
        slots.into_iter().find(|(slot, _)| slot == name).unwrap().1
    }
}

/// Everything that an installation tells from now on.
pub(crate) async fn follow(installation: &mut Installation) -> (Vec<Progress>, Outcome) {
    let mut steps = Vec::new();
    loop {
        match installation.next().await.unwrap() {
            Event::Progress(step) => steps.push(step),
            Event::Finished(outcome) => return (steps, outcome),
        }
    }
}

/// Waits for a step of an installation.
pub(crate) async fn wait_step(installation: &mut Installation, message: &str) {
    loop {
        match installation.next().await.unwrap() {
            Event::Progress(step) if step.message == message => return,
            Event::Progress(_) => {}
            Event::Finished(outcome) => panic!("{outcome:?} before \"{message}\""),
        }
    }
}

/// For anything here, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
