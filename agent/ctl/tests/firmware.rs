//! `lwm2mctl firmware` against a fake daemon: how an update stands, its consent, and its
//! progress as lines, on a terminal and as JSON.

mod fake_agent;

use std::process::{Command, Stdio};

use fake_agent::{Bus, FakeAgent};
use lwm2m_bus::FirmwareStatus;

/// Exit code, standard output, standard error.
fn run(bus: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lwm2mctl"))
        .args(["--bus", bus])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn status(state: u32, result: u32) -> FirmwareStatus {
    FirmwareStatus { state, result, severity: 1, ..FirmwareStatus::default() }
}

fn downloading(bytes: u64) -> FirmwareStatus {
    FirmwareStatus { bytes: Some(bytes), size: Some(1000), ..status(1, 0) }
}

fn installing(percent: u32, message: &str) -> FirmwareStatus {
    FirmwareStatus {
        step: Some("installing".into()),
        percent: Some(percent),
        message: Some(message.into()),
        ..status(3, 0)
    }
}

/// An update from its first byte to its end.
fn whole_update() -> Vec<FirmwareStatus> {
    vec![
        downloading(100),
        downloading(150),
        downloading(500),
        FirmwareStatus { automatic: true, ..status(2, 0) },
        installing(0, "Checking bundle"),
        installing(60, "Copying image to rootfs.1"),
        FirmwareStatus { cause: Some("no room".into()), ..status(2, 8) },
    ]
}

const END: &str = "\
state   2, Downloaded
result  8, update failed
cause   no room
";

#[test]
fn it_says_how_an_update_stands_and_why_the_last_one_failed() {
    let Some(bus) = Bus::start() else { return };
    let update = FirmwareStatus {
        cause: Some("the signature is wrong".into()),
        uri: Some("coap://h/x".into()),
        ..status(0, 5)
    };
    let agent = FakeAgent::start_with(&bus, vec![update]);
    let expected = "\
state   0, Idle
result  5, integrity check failed
cause   the signature is wrong
URI     coap://h/x
";
    // Nothing is under way, so that there is nothing to follow.
    for arguments in [&["firmware"][..], &["firmware", "--follow"]] {
        assert_eq!(run(bus.address(), arguments), (0, expected.into(), String::new()));
    }
    let (code, out, _) = run(bus.address(), &["firmware", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["cause"].as_str()), (0, Some("the signature is wrong")));
    assert_eq!((&json["consent_within"], &json["percent"]), (&json["null"], &json["null"]));

    let refused = (5, String::new(), "lwm2mctl: no update waits for consent\n".into());
    assert_eq!(run(bus.address(), &["firmware", "accept"]), refused);
    drop(agent);
}

/// OBJ-86
#[test]
fn consent_is_asked_for_and_given() {
    let Some(bus) = Bus::start() else { return };
    let waiting = FirmwareStatus { consent_within: Some(3120), ..status(2, 11) };
    let agent = FakeAgent::start_with(&bus, vec![waiting]);
    let (code, out, _) = run(bus.address(), &["firmware"]);
    assert_eq!(code, 0);
    assert!(out.contains("waits for your consent, and begins by itself in 52 min;\n"), "{out}");
    let (code, out, err) = run(bus.address(), &["firmware", "accept"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "the update begins; lwm2mctl firmware --follow shows it\n");
    let accepted = run(bus.address(), &["firmware", "accept", "--json"]);
    assert_eq!(accepted, (0, "{\"done\":true}\n".into(), String::new()));
    assert_eq!(agent.calls(), ["accept", "accept"]);
}

#[test]
fn a_pipe_gets_a_line_for_each_step() {
    let Some(bus) = Bus::start() else { return };
    let _agent = FakeAgent::start_with(&bus, whole_update());
    let (code, out, err) = run(bus.address(), &["firmware", "--follow"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines = "\
Downloading: 10 %
Downloading: 50 %
Downloaded
Updating: 0 %, Checking bundle
Updating: 60 %, Copying image to rootfs.1
";
    assert_eq!(out, format!("{lines}{END}"));
    let (_, out, _) = run(bus.address(), &["firmware", "--follow", "--json"]);
    let states: Vec<u64> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|update| update["state"].as_u64().unwrap())
        .collect();
    assert_eq!(states, [1, 1, 1, 2, 3, 3, 2]);
}

/// A terminal is had from script(1), where there is one.
#[test]
fn a_terminal_gets_a_bar_for_each_state() {
    let Some(bus) = Bus::start() else { return };
    let _agent = FakeAgent::start_with(&bus, whole_update());
    let command = format!(
        "stty cols 60; {} --bus {} firmware --follow",
        env!("CARGO_BIN_EXE_lwm2mctl"),
        bus.address()
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: script is not installed");
        return;
    };
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{out}");
    // What each line has shown, one after the other.
    let shown: Vec<Vec<&str>> = out
        .split("\r\n")
        .map(|line| line.split('\r').map(str::trim_end).filter(|it| !it.is_empty()).collect())
        .collect();
    let bars: [&[&str]; 3] = [
        &[
            "Downloading [#.............]  10 %  100 of 1000 bytes",
            "Downloading [##............]  15 %  150 of 1000 bytes",
            "Downloading [#######.......]  50 %  500 of 1000 bytes",
        ],
        &["Downloaded"],
        &[
            "Updating [..............]   0 %  Checking bundle",
            "Updating [########......]  60 %  Copying image to rootfs.1",
        ],
    ];
    assert_eq!(shown[..3], bars);
    assert_eq!(shown[3..].concat(), END.lines().collect::<Vec<_>>());
}

#[test]
fn without_the_object_or_the_daemon_there_is_nothing_to_show() {
    let Some(bus) = Bus::start() else { return };
    let commands: [&[&str]; 3] =
        [&["firmware"], &["firmware", "--follow"], &["firmware", "accept"]];
    for arguments in commands {
        let (code, out, err) = run(bus.address(), arguments);
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}");
        assert!(err.starts_with("lwm2mctl: lwm2md is not on the bus "), "{err}");
    }
    let _agent = FakeAgent::start(&bus);
    for arguments in commands {
        let gone = (4, String::new(), "lwm2mctl: object 5 does not exist on this device\n".into());
        assert_eq!(run(bus.address(), arguments), gone, "{arguments:?}");
    }
    let (code, _, err) = run(bus.address(), &["firmware", "accept", "--follow"]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = run(bus.address(), &["firmware", "acept"]);
    assert_eq!(code, 2);
    assert!(err.contains("accept"), "{err}");
}

/// It restarts into the new system, perhaps.
#[test]
fn a_daemon_that_leaves_ends_the_bar() {
    let Some(bus) = Bus::start() else { return };
    let agent = FakeAgent::start_with(&bus, vec![installing(10, "x")]);
    let mut program = Command::new(env!("CARGO_BIN_EXE_lwm2mctl"))
        .args(["--bus", bus.address(), "firmware", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; "Updating: 10 %, x\n".len()];
    std::io::Read::read_exact(program.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(agent);
    let output = program.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), err.as_str()),
        (Some(3), "lwm2mctl: lwm2md has left the bus\n")
    );
}
