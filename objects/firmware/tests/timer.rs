//! What the timer of the system does about a trial, by itself: `systemd/lwm2md-trial` with
//! made-up files, and programs that stand for those of the system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lwm2m_firmware::{is_on_trial, system_identity};
use tempfile::TempDir;

/// A machine of files.
struct Machine(TempDir);

impl Machine {
    /// One that runs slot B, 30 min after its boot, with these facts of its kernel.
    fn new(cmdline: &str, mountinfo: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("proc/cmdline", cmdline);
        machine.write("proc/self/mountinfo", mountinfo);
        machine.write("proc/uptime", "1800.25 3000.00\n");
        machine.write("proc/sys/kernel/random/boot_id", "0b-2\n");
        for program in ["rauc", "systemctl", "sleep"] {
            machine.program(program, "exit 0");
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    /// A program that notes how it was called, and then does `what`.
    fn program(&self, name: &str, what: &str) {
        let path = self.path("bin").join(name);
        let calls = self.path("calls");
        let note = format!("echo \"{name} $*\" >>{}", calls.display());
        self.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{note}\n{what}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn mark(&self, system: &str, limit: &str) {
        let marker = format!("system={system}\nboot=0b-1\nlimit={limit}\n");
        self.write("state/firmware/trial", &marker);
    }

    fn run(&self, argument: Option<&str>) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/lwm2md-trial");
        let path = std::env::var("PATH").unwrap();
        Command::new("sh")
            .arg(script)
            .args(argument)
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("LWM2MD_STATE", self.path("state"))
            .env("LWM2MD_PROC", self.path("proc"))
            .output()
            .unwrap()
    }

    /// What was called.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// What others ask the script before they mark a boot good.
    fn is_settled(&self) -> bool {
        self.run(Some("settled")).status.success()
    }

    fn is_on_trial(&self) -> bool {
        is_on_trial(&self.path("state"), &self.path("proc"))
    }
}

const BACK: [&str; 2] = ["rauc status mark-bad booted", "systemctl reboot"];
const MOUNTS: &str = "\
    22 1 0:1 / / rw - rootfs rootfs rw\n\
    25 1 179:3 / / rw,relatime shared:1 - ext4 /dev/mmcblk0p3 rw\n\
    26 25 0:22 / /proc rw,nosuid shared:5 - proc proc rw\n\
    27 25 179:9 / /data rw shared:6 - ext4 /dev/mmcblk0p9 rw\n";

/// OBJ-92
#[test]
fn the_agent_and_the_timer_see_the_same_system() {
    for (cmdline, mountinfo, identity) in [
        ("quiet root=PARTLABEL=a rauc.slot=A ro\n", MOUNTS, "root=PARTLABEL=a rauc.slot=A"),
        ("rauc.slot=B", "", "rauc.slot=B"),
        ("root=/dev/sda2\tquiet", MOUNTS, "root=/dev/sda2"),
        ("x.root=/dev/sda2 xrauc.slot=A quiet\n", MOUNTS, "/dev/mmcblk0p3"),
        ("root=/dev/* quiet\n", MOUNTS, "root=/dev/*"),
        ("root=\\x20\\n a\n", MOUNTS, "root=\\x20\\n"),
        ("quiet\n", MOUNTS, "/dev/mmcblk0p3"),
        ("\n", "22 1 0:1 / / rw - overlay overlay rw\n", "overlay"),
        ("quiet\n", "26 25 0:22 / /proc rw - proc proc rw\n", ""),
        ("quiet\n", "26 25 0:22 / /\ngarbage\n\n", ""),
        ("", "", ""),
    ] {
        let machine = Machine::new(cmdline, mountinfo);
        assert_eq!(system_identity(&machine.path("proc")), identity, "{cmdline:?}");
        let output = machine.run(Some("identity"));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, format!("{identity}\n"), "{cmdline:?}");
    }
    // Nothing can be read.
    let machine = Machine(tempfile::tempdir().unwrap());
    assert_eq!(system_identity(&machine.path("proc")), "");
    assert_eq!(machine.run(Some("identity")).stdout, b"\n");
}

/// OBJ-92: each way to be on trial or not, and what follows when the time is over.
#[test]
fn a_new_system_that_has_not_proven_itself_is_left_and_nothing_else() {
    let slot_b = "root=/dev/sda3 rauc.slot=B";
    for (what, marked, on_trial) in [
        ("the new system, unproven", Some("root=/dev/sda2 rauc.slot=A"), true),
        ("the old system", Some(slot_b), false),
        ("no update", None, false),
        ("a marker that names no system", Some(""), false),
    ] {
        let machine = Machine::new(slot_b, MOUNTS);
        if let Some(system) = marked {
            machine.mark(system, "900");
        }
        assert_eq!(machine.is_on_trial(), on_trial, "{what}");
        assert_eq!(machine.is_settled(), !on_trial, "{what}");
        let output = machine.run(None);
        assert!(output.status.success(), "{what}: {output:?}");
        assert_eq!(machine.calls(), if on_trial { &BACK[..] } else { &[] }, "{what}");
        let stays = marked.is_some() && !on_trial;
        assert_eq!(machine.path("state/firmware/trial").exists(), stays, "{what}");
        // Until the restart it is on trial; the agent does not take what the timer has.
        assert_eq!(machine.is_on_trial(), on_trial, "{what}");
        assert_eq!(machine.is_settled(), !on_trial, "{what}");
        assert_eq!(machine.path("state/firmware/trial.taken-0b-2").exists(), on_trial, "{what}");
    }
}

#[test]
fn a_system_that_cannot_be_told_from_another_is_not_left() {
    let machine = Machine::new("quiet", "");
    machine.mark("rauc.slot=A", "900");
    assert!(!machine.is_on_trial());
    assert!(machine.run(None).status.success());
    assert!(machine.calls().is_empty());
}

#[test]
fn a_trial_that_is_longer_than_the_timer_has_its_time() {
    for (limit, waits) in [("7200", Some("sleep 5460")), ("1740", None), ("x", None), ("", None)] {
        let machine = Machine::new("rauc.slot=B", "");
        machine.mark("rauc.slot=A", limit);
        assert!(machine.run(None).status.success());
        let calls: Vec<&str> = waits.into_iter().chain(BACK).collect();
        assert_eq!(machine.calls(), calls, "{limit}");
    }
    // Confirmed meanwhile.
    let machine = Machine::new("rauc.slot=B", "");
    machine.mark("rauc.slot=A", "7200");
    let marker = machine.path("state/firmware/trial");
    machine.program("sleep", &format!("rm {}", marker.display()));
    assert!(machine.run(None).status.success());
    assert_eq!(machine.calls(), ["sleep 5460"]);
}

#[test]
fn what_fails_on_the_way_back_keeps_nobody_in_the_new_system() {
    let machine = Machine::new("rauc.slot=B", "");
    machine.mark("rauc.slot=A", "900");
    machine.program("rauc", "exit 1");
    machine.program("systemctl", "[ $# = 2 ]");
    let output = machine.run(None);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(machine.calls(), [BACK[0], BACK[1], "systemctl reboot --force"]);
}

/// The boot loader comes to the old system only after some boots of the new one, and there
/// is no agent: each boot is to be left, but not for ever.
#[test]
fn a_boot_loader_that_counts_tries_gets_its_boots() {
    let machine = Machine::new("rauc.slot=B", "");
    machine.mark("rauc.slot=A", "900");
    machine.program("rauc", "exit 1");
    for boot in 2..=4 {
        machine.write("proc/sys/kernel/random/boot_id", &format!("0b-{boot}\n"));
        // Once a boot, however often it is run.
        for _ in 0..2 {
            assert!(machine.run(None).status.success());
            assert!(machine.is_on_trial() && !machine.is_settled());
        }
        assert_eq!(machine.calls(), BACK.repeat(boot - 1));
    }
    machine.write("proc/sys/kernel/random/boot_id", "0b-5\n");
    assert!(machine.run(None).status.success());
    assert_eq!(machine.calls(), BACK.repeat(3));
    // The old system.
    machine.write("proc/cmdline", "rauc.slot=A");
    assert!(machine.run(None).status.success() && machine.is_settled());
    assert_eq!(machine.calls(), BACK.repeat(3));
}

/// A file system that the new kernel mounts read-only.
#[test]
fn a_marker_that_cannot_be_taken_keeps_nobody_in_the_new_system() {
    let machine = Machine::new("rauc.slot=B", "");
    machine.mark("rauc.slot=A", "900");
    machine.program("mv", "exit 1");
    assert!(machine.run(None).status.success());
    let calls = machine.calls();
    assert_eq!(calls.get(1..), Some(&BACK.map(String::from)[..]), "{calls:?}");
    // Confirmed in the last moment.
    let machine = Machine::new("rauc.slot=B", "");
    machine.mark("rauc.slot=A", "900");
    machine.program("mv", "rm \"$1\"; exit 1");
    assert!(machine.run(None).status.success());
    assert_eq!(machine.calls().len(), 1);
}

#[test]
fn a_marker_that_is_a_link_is_none() {
    let machine = Machine::new("rauc.slot=B", "");
    machine.write("state/firmware/other", "system=rauc.slot=A\n");
    let marker = machine.path("state/firmware/trial");
    std::os::unix::fs::symlink(machine.path("state/firmware/other"), marker).unwrap();
    assert!(machine.run(None).status.success());
    assert!(machine.calls().is_empty());
}
