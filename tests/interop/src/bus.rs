//! A private message bus with doubles of the services that the agent asks: what a case
//! may not do to the machine that it runs on.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tempfile::TempDir;

use crate::program::Running;

/// A bus of its own; it ends with the value.
pub struct Bus {
    daemon: lwm2m_test_bus::Bus,
    /// The logs of the doubles.
    folder: TempDir,
}

/// A service of the bus that only notes how it is called.
pub struct Double {
    _mock: Running,
    log: PathBuf,
}

impl Bus {
    /// `None`, with a line that says so, where dbus-daemon or python3-dbusmock is
    /// missing.
    pub fn start() -> Option<Self> {
        let daemon = lwm2m_test_bus::Bus::start_for_mocks()?;
        Some(Self { daemon, folder: TempDir::new().expect("a temporary directory") })
    }

    /// For `--bus`.
    pub fn address(&self) -> &str {
        self.daemon.address()
    }

    /// Starts a double from a template of python-dbusmock; it owns its name.
    pub fn double(&self, name: &str, template: &str, parameters: &str) -> Double {
        let log = self.folder.path().join(template);
        let mut mock = self.daemon.mock();
        mock.args(["--template", template, "--parameters", parameters]);
        mock.arg("--logfile").arg(&log);
        let mock = Running::start(&mut mock).expect("the double starts");
        self.wait_owner(name);
        Double { _mock: mock, log }
    }

    /// Lets a method of the double with this name take its time, and do nothing else.
    ///
    /// # Panics
    /// If the double does not take it.
    pub fn delay(&self, name: &str, method: &str, signature: &str, time: Duration) {
        let mut add = self.send(name, &format!("/{}", name.replace('.', "/")));
        add.arg("org.freedesktop.DBus.Mock.AddMethod");
        add.args([name, method, signature, ""].map(|text| format!("string:{text}")));
        add.arg(format!("string:import time; time.sleep({})", time.as_secs_f64()));
        let added = add.status().is_ok_and(|status| status.success());
        assert!(added, "{name} takes another {method}");
    }

    /// Waits until somebody owns a name.
    fn wait_owner(&self, name: &str) {
        let has_owner = || {
            let mut ask = self.send("org.freedesktop.DBus", "/org/freedesktop/DBus");
            ask.args(["org.freedesktop.DBus.GetNameOwner", &format!("string:{name}")]);
            ask.status().is_ok_and(|status| status.success())
        };
        wait(&format!("an owner of {name}"), has_owner);
    }

    /// A call, without its method.
    fn send(&self, name: &str, path: &str) -> Command {
        let mut send = Command::new("dbus-send");
        send.arg(format!("--bus={}", self.address()));
        send.args(["--print-reply", &format!("--dest={name}"), path]);
        send.stdout(Stdio::null()).stderr(Stdio::null());
        send
    }
}

impl Double {
    /// The calls so far, each with its arguments; properties and signals are left out.
    pub fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        // TIME METHOD ARGUMENTS
        let calls = log.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned()));
        let is_other = |call: &str| OTHERS.iter().any(|other| call.starts_with(other));
        calls.filter(|call| !is_other(call)).collect()
    }

    /// Waits for a call that begins so.
    #[track_caller]
    pub fn wait_call(&self, call: &str) {
        wait(call, || self.calls().iter().any(|known| known.starts_with(call)));
    }
}

#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "no {what} within {LIMIT:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// For what takes no time, on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// What a log has beside the calls of methods.
const OTHERS: [&str; 3] = ["Get", "Set /", "emit "];
/// Neither a file nor a name of the bus tells a plain program when it is there.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
