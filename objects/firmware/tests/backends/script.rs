//! The back end that is a script: the program that the unit runs, with scripts of the
//! test, started by a double of systemd.

use std::fs;
use std::future::pending;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lwm2m_firmware::{
    Backend, Downgrade, Failure, Installed, Package, PackageInfo, ProgressSink, Reason,
    ScriptBackend, ScriptName, Slot, WithPolicy,
};
use lwm2m_objects::{BusHandle, Roots};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::systemd1::{Bus, End, Start, on_bus};

/// What root has: scripts, answers and a package of the agent's.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for folder in ["backends.d", "answers"] {
            fs::create_dir(root.path(folder)).unwrap();
        }
        fs::write(root.path("package"), "the package").unwrap();
        root
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Installs the script.
    fn script(&self, lines: &str) {
        let path = self.path("backends.d/board-1");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn answer(&self, verb: &str) -> PathBuf {
        self.path("answers").join(format!("board-1:{verb}"))
    }

    /// What the unit does, with other folders.
    fn run(&self) -> impl Fn(&str) -> Start + Send + Sync + 'static {
        let folder = self.0.path().to_owned();
        move |unit| Start::EndsAtOnce(run(&folder, unit))
    }

    /// The back end on a bus; it works for as long as the sender is there.
    fn backend(&self, bus: &Bus) -> (ScriptBackend, watch::Sender<Option<zbus::Connection>>) {
        let (supply, handle) = BusHandle::channel();
        supply.send_replace(Some(bus.client.clone()));
        let name = ScriptName::new("board-1").unwrap();
        (ScriptBackend::new(handle, name, self.path("answers")), supply)
    }

    async fn inspect(&self, bus: &Bus) -> Result<PackageInfo, Failure> {
        let (backend, _supply) = self.backend(bus);
        backend.inspect(&Package::Stored(self.path("package"))).await
    }

    async fn install(&self, bus: &Bus) -> Result<Installed, Failure> {
        let (backend, _supply) = self.backend(bus);
        backend.install(&Package::Stored(self.path("package")), &ProgressSink::nowhere()).await
    }

    async fn slot(&self, bus: &Bus) -> Slot {
        let (backend, _supply) = self.backend(bus);
        backend.slot().await
    }
}

fn run(folder: &Path, unit: &str) -> End {
    let instance = unit.strip_prefix("lwm2md-backend@").unwrap().strip_suffix(".service").unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/lwm2md-backend");
    let status = Command::new(program)
        .arg(instance)
        .env("LWM2MD_BACKENDS", folder.join("backends.d"))
        .env("LWM2MD_PACKAGE", folder.join("package"))
        .env("RUNTIME_DIRECTORY", folder.join("answers"))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    End::exit(status.code().unwrap())
}

/// OBJ-91
#[test]
fn a_script_inspects_and_installs_a_package() {
    let root = Root::new();
    root.script(
        r#"case $1 in
        inspect) printf 'name=board\nversion=%s\n' "$(cat "$LWM2MD_PACKAGE")" ;;
        install) cp "$LWM2MD_PACKAGE" "$0.installed" && echo reboot=yes ;;
        slot) echo slot=B; [ -z "$LWM2MD_PACKAGE" ] ;;
        esac >"$LWM2MD_ANSWER""#,
    );
    on_bus(async |bus| {
        let (_systemd, calls) = bus.systemd(root.run()).await;
        let info = root.inspect(&bus).await.unwrap();
        assert_eq!((info.name.as_str(), info.version.as_str()), ("board", "the package"));
        assert_eq!(root.slot(&bus).await, Slot::Booted("B".into()));
        for _ in 0..2 {
            assert_eq!(root.install(&bus).await, Ok(Installed::NeedsReboot(None)));
        }
        let installed = fs::read_to_string(root.path("backends.d/board-1.installed")).unwrap();
        assert_eq!(installed, "the package");
        assert_eq!(calls.lock().unwrap()[0].1, "lwm2md-backend@board-1:inspect.service");
    });
}

/// OBJ-80
#[test]
fn a_package_older_than_what_the_script_says_runs_is_refused() {
    let root = Root::new();
    on_bus(async |bus| {
        let (_systemd, calls) = bus.systemd(root.run()).await;
        for (slot, refused) in [
            ("slot=A\\nversion=1.10", Some((Reason::Unsupported, "version 1.9, older than 1.10"))),
            ("slot=A\\nversion=1.8", None),
            ("slot=A", None),
            ("what?", Some((Reason::Unavailable, "the version that runs is not known: "))),
        ] {
            root.script(&format!(
                "case $1 in inspect) echo version=1.9 ;; slot) printf '{slot}\\n' ;; esac \
                 >\"$LWM2MD_ANSWER\""
            ));
            let (backend, _supply) = root.backend(&bus);
            let roots = Roots::below(&root.path("nothing"));
            let backend = WithPolicy::new(backend, Downgrade::Refuse, roots);
            calls.lock().unwrap().clear();
            let sink = ProgressSink::nowhere();
            let failure =
                backend.install(&Package::Stored(root.path("package")), &sink).await.err();
            let matches = match (&failure, refused) {
                (Some(failure), Some((reason, cause))) => {
                    failure.reason == reason && failure.cause.contains(cause)
                }
                (None, None) => true,
                _ => false,
            };
            assert!(matches, "{slot}: {failure:?}");
            let calls = calls.lock().unwrap();
            let is_installed = calls.iter().any(|(_, unit, ..)| unit.contains(":install."));
            assert_eq!(is_installed, refused.is_none(), "{slot}");
        }
    });
}

/// OBJ-91
#[test]
fn a_restart_follows_where_there_are_slots_or_the_script_says_so() {
    let unknown = "the verb slot names no slot";
    #[rustfmt::skip] // a table: one row an answer
    let cases = [
        // The answers of slot and of install.
        ("", "", Ok(Installed::Done)),
        ("", "reboot=no", Ok(Installed::Done)),
        ("", "reboot=yes", Err(unknown)),
        ("slot=A", "", Ok(Installed::NeedsReboot(None))),
        ("slot=A", "reboot=no", Ok(Installed::Done)),
        ("slot=A", "reboot=yes", Ok(Installed::NeedsReboot(None))),
        ("what?", "reboot=yes", Err("the booted slot is not known")),
        ("slot=A", "restart=yes", Err("line 1: expected name=")),
    ];
    let root = Root::new();
    on_bus(async |bus| {
        let (_systemd, _) = bus.systemd(root.run()).await;
        for (slot, install, expected) in cases {
            root.script(&format!(
                "case $1 in slot) echo '{slot}' ;; install) echo '{install}' ;; esac \
                 >\"$LWM2MD_ANSWER\""
            ));
            match (root.install(&bus).await, expected) {
                (Err(failure), Err(part)) => assert!(failure.cause.contains(part), "{failure:?}"),
                (result, expected) => {
                    assert_eq!(result.ok(), expected.ok(), "{slot:?}, {install:?}");
                }
            }
        }
    });
}

/// OBJ-92
#[test]
fn a_system_is_confirmed_or_rejected_by_the_verb_of_that_name() {
    let root = Root::new();
    on_bus(async |bus| {
        let (_systemd, _) = bus.systemd(root.run()).await;
        let (backend, _supply) = root.backend(&bus);
        for (verb, confirmed, rejected) in [("confirm", true, false), ("reject", false, true)] {
            root.script(&format!(
                "[ $1 = {verb} ] && exit; echo 'cause=no variable' >\"$LWM2MD_ANSWER\"; exit 1"
            ));
            let (confirm, reject) = (backend.confirm().await, backend.reject().await);
            assert_eq!((confirm.is_ok(), reject.is_ok()), (confirmed, rejected), "{verb}");
            let failure = confirm.err().or_else(|| reject.err()).unwrap();
            assert!(failure.ends_with("exit code 1: no variable"), "{failure}");
        }
    });
}

/// OBJ-90
#[test]
fn every_exit_code_says_what_is_wrong_with_a_package() {
    let root = Root::new();
    on_bus(async |bus| {
        let (_systemd, _) = bus.systemd(root.run()).await;
        for code in 1..=255 {
            root.script(&format!("echo 'cause=it is {code}' >\"$LWM2MD_ANSWER\"; exit {code}"));
            let reason = match code {
                2 => Reason::NoSpace,
                5 => Reason::Integrity,
                6 => Reason::Unsupported,
                // Nothing of the script's: 69 and systemd's own.
                69 | 200..=243 => Reason::Unavailable,
                _ => Reason::Other,
            };
            let failure = root.inspect(&bus).await.unwrap_err();
            assert_eq!(failure.reason, reason, "{failure:?}");
            let told = failure.cause.ends_with(&format!("exit code {code}: it is {code}"));
            assert_eq!(told, !(200..=243).contains(&code), "{failure:?}");
            if code == 69 {
                let slot = root.slot(&bus).await;
                assert!(matches!(slot, Slot::Unknown(why) if why.ends_with("it is 69")));
            }
        }
    });
}

#[test]
fn an_answer_that_is_none_fails_and_an_old_one_is_not_taken_for_new() {
    let root = Root::new();
    on_bus(async |bus| {
        let (_systemd, _) = bus.systemd(root.run()).await;
        for (lines, part) in [
            ("head -c 5000 /dev/zero >\"$LWM2MD_ANSWER\"", "longer than 4096 bytes"),
            ("printf '\\377' >\"$LWM2MD_ANSWER\"", "is no UTF-8 text"),
            ("rm \"$LWM2MD_ANSWER\"", "No such file"),
            ("ln -sf /etc/passwd \"$LWM2MD_ANSWER\"", "symbolic links"),
            ("echo all is well >\"$LWM2MD_ANSWER\"", "line 1: expected name="),
        ] {
            root.script(lines);
            let failure = root.inspect(&bus).await.unwrap_err();
            assert!(failure.cause.contains(part), "{part}: {failure:?}");
            assert_eq!(failure.reason, Reason::Unknown);
            let _ = fs::remove_file(root.answer("inspect"));
        }
        fs::write(root.answer("inspect"), "name=old\nversion=1\n").unwrap();
        root.script("exit 0");
        assert_eq!(root.inspect(&bus).await, Ok(PackageInfo::default()));
    });
}

#[test]
fn what_cannot_be_run_says_nothing_of_the_package() {
    let root = Root::new();
    on_bus(async |bus| {
        let unavailable = async |part: &str| {
            let failure = root.inspect(&bus).await.unwrap_err();
            assert_eq!(failure.reason, Reason::Unavailable, "{failure:?}");
            assert!(failure.cause.contains(part), "{part}: {failure:?}");
        };
        {
            let (_systemd, _) = bus.systemd(root.run()).await;
            unavailable("exit code 69: there is no executable").await;
            root.script("exit 0");
            fs::remove_file(root.path("package")).unwrap();
            unavailable("exit code 69: there is no file").await;
            // What the agent could put there.
            symlink("/etc/passwd", root.path("package")).unwrap();
            unavailable("exit code 69: there is no file").await;
            // No room for the answer is none of the package's faults.
            fs::remove_file(root.answer("inspect")).unwrap();
            fs::create_dir(root.answer("inspect")).unwrap();
            unavailable("exit code 69").await;
        }
        for (error, part) in [
            ("org.freedesktop.systemd1.NoSuchUnit", "is it installed?"),
            ("org.freedesktop.DBus.Error.AccessDenied", "lwm2md.rules"),
        ] {
            let (_systemd, _) = bus.systemd(move |_| Start::Refused(error)).await;
            unavailable(part).await;
        }
        let slot = root.slot(&bus).await;
        assert!(matches!(slot, Slot::Unknown(why) if why.contains("systemd is not on the bus")));
    });
}

#[test]
fn a_script_without_an_end_is_ended_by_its_unit() {
    let root = Root::new();
    on_bus(async |bus| {
        let timeout = End { job: "failed", result: "timeout", status: 15 };
        let (_systemd, _) =
            bus.systemd(move |_| Start::Runs(Box::pin(async move { timeout }))).await;
        let failure = root.install(&bus).await.unwrap_err();
        assert_eq!(failure.reason, Reason::Unknown);
        assert!(failure.cause.contains("longer than its TimeoutStartSec"), "{failure:?}");
    });
}

/// systemd joins a start to one that still runs, which would be of another package.
#[test]
fn one_verb_runs_at_a_time() {
    let root = Root::new();
    on_bus(async |bus| {
        let (_systemd, calls) = bus.systemd(|_| Start::Runs(Box::pin(pending()))).await;
        let (backend, _supply) = root.backend(&bus);
        let package = Package::Stored(root.path("package"));
        let both = async { tokio::join!(backend.inspect(&package), backend.inspect(&package)) };
        let first = async {
            while calls.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = both => panic!("neither ends"),
            () = first => {}
        }
        // Had the second been sent, this would come after it.
        let manager = "org.freedesktop.systemd1";
        let path = "/org/freedesktop/systemd1";
        let interface = Some("org.freedesktop.systemd1.Manager");
        bus.client.call_method(Some(manager), path, interface, "GetUnit", &"x").await.unwrap();
        let calls: Vec<_> = calls.lock().unwrap().iter().map(|(method, _)| *method).collect();
        assert_eq!(calls, ["StartUnit", "GetUnit"]);
    });
}

#[test]
fn a_verb_is_asked_for_again_when_systemd_was_executed_anew() {
    let root = Root::new();
    root.script("echo version=2 >\"$LWM2MD_ANSWER\"");
    on_bus(async |bus| {
        let (first, calls) = bus.systemd(|_| Start::Runs(Box::pin(pending()))).await;
        let inspect = root.inspect(&bus);
        let renew = async {
            while calls.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
            first.release_name("org.freedesktop.systemd1").await.unwrap();
            bus.systemd(root.run()).await
        };
        let (info, _second) = tokio::join!(inspect, renew);
        assert_eq!(info.unwrap().version, "2");
    });
}
