//! Lock and Wipe (8) against the double of systemd.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Arguments, Code, Entry, Now, Path, Value, WriteMode};
use lwm2m_objects::{BusHandle, LockAndWipe, LockAndWipeConfig, ObjectHost, ObjectMessage};
use tempfile::TempDir;

use crate::systemd1::{Bus, Calls, End, Start, on_bus};

struct World {
    state: TempDir,
    host: ObjectHost,
    bus: BusHandle,
    /// The targets whose units fail.
    failing: Arc<Mutex<Vec<&'static str>>>,
    calls: Calls,
    _systemd: zbus::Connection,
}

impl World {
    async fn new(bus: &Bus) -> Self {
        let failing = Arc::new(Mutex::new(Vec::new()));
        let fails = failing.clone();
        let start = move |unit: &str| {
            let fails = fails.lock().unwrap().iter().any(|name| unit.contains(name));
            Start::EndsAtOnce(if fails { End::exit(1) } else { End::DONE })
        };
        let (systemd, calls) = bus.systemd(start).await;
        let (supply, handle) = BusHandle::channel();
        supply.send_replace(Some(bus.client.clone()));
        let state = tempfile::tempdir().unwrap();
        let host = host(&state, &handle);
        Self { state, host, bus: handle, failing, calls, _systemd: systemd }
    }

    /// The agent begins anew.
    fn restart(&mut self) {
        self.host = host(&self.state, &self.bus);
    }

    async fn ask(&mut self, path: &str, operation: CallOperation) -> CallResult {
        let path = path.parse().unwrap();
        let call = Call { id: CallId(7), path, operation, server: Some(101) };
        if let Some(result) = self.host.call(&call) {
            return result;
        }
        loop {
            if let ObjectMessage::Reply { result, .. } = self.host.next().await {
                return result;
            }
        }
    }

    async fn write(&mut self, path: &str, entries: &[(&str, Value)]) -> Result<(), Code> {
        let entry = |(path, value): &(&str, Value)| {
            Entry::new(path.parse::<Path>().unwrap(), value.clone())
        };
        let entries = entries.iter().map(entry).collect();
        let write = CallOperation::Write { mode: WriteMode::Replace, entries };
        self.ask(path, write).await.map(drop).map_err(|error| error.code)
    }

    /// State and Result as a server reads them.
    async fn read(&mut self) -> (i64, i64) {
        let Ok(CallReply::Entries(entries)) = self.ask("/8/0", CallOperation::Read).await else {
            panic!("no entries");
        };
        let number = |path: &str| {
            let path: Path = path.parse().unwrap();
            match entries.iter().find(|entry| entry.path == path).and_then(Entry::value) {
                Some(Value::Integer(value)) => *value,
                other => panic!("{path}: {other:?}"),
            }
        };
        (number("/8/0/0"), number("/8/0/5"))
    }

    /// Waits for the end of an operation; what was started for it.
    async fn ended(&mut self) -> Vec<String> {
        let state: Path = "/8/0/0".parse().unwrap();
        while self.host.next().await != ObjectMessage::Changed(state.clone()) {}
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let starts = calls.into_iter().filter(|(method, _)| *method == "StartUnit");
        let unit = |unit: String| {
            let unit = unit.strip_prefix("lwm2md-lock@").and_then(|it| it.strip_suffix(".service"));
            unit.expect("a unit of ours").to_owned()
        };
        starts.map(|(_, name)| unit(name)).collect()
    }
}

fn host(state: &TempDir, bus: &BusHandle) -> ObjectHost {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let config = LockAndWipeConfig { lock: names(&["usb", "tty"]), wipe: names(&["data", "logs"]) };
    let mut host = ObjectHost::new(Now::default);
    let out = host.sender();
    host.add(Box::new(LockAndWipe::new(config, state.path(), bus.clone(), out)));
    host
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

/// OBJ-111.
#[test]
fn state_and_result_are_those_of_what_was_done() {
    on_bus(async |bus| {
        let mut world = World::new(&bus).await;
        assert_eq!(world.read().await, (0, 0));
        let state = |value| [("/8/0/0", Value::Integer(value))];

        assert_eq!(world.write("/8/0/0", &state(2)).await, Ok(()));
        assert_eq!(world.read().await.1, 0, "not yet");
        assert_eq!(world.ended().await, ["usb:lock", "tty:lock"]);
        assert_eq!(world.read().await, (2, 2));

        // From all to some: the others are unlocked.
        let targets = [("/8/0/1/3", text("tty"))];
        assert_eq!(world.write("/8/0/1", &targets).await, Ok(()));
        assert_eq!(world.write("/8/0/0", &state(1)).await, Ok(()));
        assert_eq!(world.ended().await, ["tty:lock", "usb:unlock"]);
        assert_eq!(world.read().await, (1, 1));
        world.restart();
        assert_eq!(world.read().await, (1, 1), "kept");

        world.failing.lock().unwrap().push("usb");
        assert_eq!(world.write("/8/0/0", &state(2)).await, Ok(()));
        assert_eq!(world.ended().await, ["usb:lock", "tty:lock"], "one that fails stops no other");
        assert_eq!(world.read().await, (1, 6));
        world.failing.lock().unwrap().clear();

        assert_eq!(world.write("/8/0/0", &state(0)).await, Ok(()));
        assert_eq!(world.ended().await, ["usb:unlock", "tty:unlock"]);
        assert_eq!(world.read().await, (0, 3));
    });
}

/// OBJ-111: nothing is wiped that was not named.
#[test]
fn only_what_is_named_is_wiped() {
    on_bus(async |bus| {
        let mut world = World::new(&bus).await;
        let wipe = || CallOperation::Execute(Arguments::default());
        let refused = world.ask("/8/0/3", wipe()).await.unwrap_err();
        assert_eq!(refused.code, Code::METHOD_NOT_ALLOWED);

        for name in ["usb", "../data", ""] {
            let targets = [("/8/0/4/0", text("data")), ("/8/0/4/1", text(name))];
            assert_eq!(world.write("/8/0/4", &targets).await, Err(Code::BAD_REQUEST), "{name}");
        }
        assert!(world.ask("/8/0/3", wipe()).await.is_err(), "nothing of it was taken over");

        assert_eq!(world.write("/8/0/4", &[("/8/0/4/1", text("logs"))]).await, Ok(()));
        assert_eq!(world.ask("/8/0/3", wipe()).await, Ok(CallReply::Done));
        assert_eq!(world.ended().await, ["logs:wipe"]);
        assert_eq!(world.read().await, (0, 4));
        world.failing.lock().unwrap().push("logs");
        assert_eq!(world.ask("/8/0/3", wipe()).await, Ok(CallReply::Done));
        assert_eq!(world.ended().await, ["logs:wipe"]);
        assert_eq!(world.read().await, (0, 8));
    });
}

#[test]
fn one_operation_runs_at_a_time_and_one_cut_off_counts_as_failed() {
    on_bus(async |bus| {
        let mut world = World::new(&bus).await;
        let (_systemd, _) = bus.systemd(|_| Start::Runs(Box::pin(std::future::pending()))).await;
        drop(std::mem::replace(&mut world._systemd, _systemd));
        let lock = [("/8/0/0", Value::Integer(2))];
        assert_eq!(world.write("/8/0/0", &lock).await, Ok(()));
        assert_eq!(world.write("/8/0/0", &lock).await, Err(Code::SERVICE_UNAVAILABLE));
        world.restart();
        assert_eq!(world.read().await, (0, 6));
    });
}

#[test]
fn without_a_place_for_the_record_nothing_is_done() {
    on_bus(async |bus| {
        let mut world = World::new(&bus).await;
        let file = world.state.path().join("lock-and-wipe.new");
        std::fs::create_dir(file).unwrap();
        let lock = [("/8/0/0", Value::Integer(2))];
        assert_eq!(world.write("/8/0/0", &lock).await, Err(Code::INTERNAL_SERVER_ERROR));
        assert_eq!(world.read().await, (0, 0));
        assert!(world.calls.lock().unwrap().is_empty());
    });
}

#[test]
fn a_write_that_cannot_be_done_says_why_and_changes_nothing() {
    on_bus(async |bus| {
        let mut world = World::new(&bus).await;
        #[rustfmt::skip] // a table: one row a Write
        let cases: [(&str, &[(&str, Value)]); 3] = [
            ("/8/0/0", &[("/8/0/0", Value::Integer(3))]),
            // Some, and none is named.
            ("/8/0/0", &[("/8/0/0", Value::Integer(1))]),
            ("/8/0", &[("/8/0/0", Value::Integer(2)), ("/8/0/1/0", text("camera"))]),
        ];
        for (path, entries) in cases {
            assert_eq!(world.write(path, entries).await, Err(Code::BAD_REQUEST), "{entries:?}");
        }
        assert!(world.calls.lock().unwrap().is_empty());
        // Targets first, whatever stands first.
        let both = [("/8/0/0", Value::Integer(1)), ("/8/0/1/0", text("tty"))];
        assert_eq!(world.write("/8/0", &both).await, Ok(()));
        assert_eq!(world.ended().await, ["tty:lock"]);
    });
}

/// The script that the unit runs takes no other name or verb.
#[test]
fn the_unit_runs_the_file_of_its_target_alone() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../systemd/lwm2md-lock");
    let folder = tempfile::tempdir().unwrap();
    for (name, mode) in [("usb", 0o755), ("data", 0o644)] {
        let path = folder.path().join(name);
        std::fs::write(&path, "#!/bin/sh\necho \"$1\"\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let run = |instance: &str| {
        let mut command = Command::new("/bin/sh");
        command.arg(script).arg(instance).env("LWM2MD_LOCKS", folder.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run("usb:lock"), (Some(0), "lock\n".into()));
    for other in ["usb", "usb:", "usb:burn", ":lock", "../usb:lock", "data:lock", "camera:lock"] {
        assert_eq!(run(other), (Some(69), String::new()), "{other}");
    }
}
