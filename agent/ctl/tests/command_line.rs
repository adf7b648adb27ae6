//! The program against a fake daemon on a private bus: screens, JSON, errors and
//! exit codes.

mod fake_agent;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use fake_agent::{Bus, FakeAgent};

/// Exit code, standard output, standard error.
fn run(bus: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lwm2mctl"))
        .args(["--bus", bus])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn commands_print_what_the_daemon_says() {
    let Some(bus) = Bus::start() else { return };
    let agent = FakeAgent::start(&bus);
    let cases: [(&[&str], &str); 26] = [
        (
            &["status"],
            "\
urn:dev:ops:0A1B2C-GW100-4711
lwm2md 0.1.0, running for 90 s, 3 objects

server 101  coaps://lwm2m.example.org
  state         not registered, waits for its next attempt
  next attempt  in 60 s
  last error    no answer to the DTLS handshake in 60 s
  LwM2M         1.1, lifetime 5 min
  security      DTLS with a pre-shared key
  observations  0
",
        ),
        (
            &["servers"],
            "\
SERVER  STATE    NEXT                  URI
101     waiting  next attempt in 60 s  coaps://lwm2m.example.org
",
        ),
        (
            &["objects"],
            "\
OBJECT  NAME          VERSION  INSTANCES
/1      LwM2M Server  1.2      0
/3303   Temperature   1.1      none
",
        ),
        (
            &["objects", "--json"],
            "[{\"id\":1,\"instances\":[0],\"name\":\"LwM2M Server\",\"version\":\"1.2\"},\
             {\"id\":3303,\"instances\":[],\"name\":\"Temperature\",\"version\":\"1.1\"}]\n",
        ),
        (&["read", "/3/0/9"], "/3/0/9  Battery Level  87 %\n"),
        (
            &["read", "/3/0/9", "/3/0/9"],
            "/3/0/9  Battery Level  87 %\n/3/0/9  Battery Level  87 %\n",
        ),
        (
            &["--json", "read", "/3/0/9"],
            "[{\"name\":\"Battery Level\",\"path\":\"/3/0/9\",\"type\":\"Integer\",\"unit\":\"%\",\"value\":87}]\n",
        ),
        (&["write", "/3/0/15", "Europe/Berlin"], "/3/0/15 is written\n"),
        (&["write", "/3303/0/5601", "-5"], "/3303/0/5601 is written\n"),
        (&["write", "/3/0/15", "", "--json"], "{\"done\":true}\n"),
        (&["exec", "/3/0/12"], "/3/0/12 is executed\n"),
        (&["exec", "/5/0/2", "0='U',3"], "/5/0/2 is executed\n"),
        (&["create", "/3442/7", "110=a b", "1120/0=-5"], "/3442/7 is created\n"),
        (&["create", "/3442"], "/3442/2 is created\n"),
        (&["create", "/3442", "--json"], "{\"created\":\"/3442/2\"}\n"),
        (&["delete", "/3442/7"], "/3442/7 is deleted\n"),
        (&["delete", "/3442/0/1120/5"], "/3442/0/1120/5 is deleted\n"),
        (&["discover", "/3"], "/3\n/3/0\n/3/0/9\n"),
        (&["discover", "/", "--json"], "[\"/3\",\"/3/0\",\"/3/0/9\"]\n"),
        (&["update"], "the Update is on its way; lwm2mctl status shows the result\n"),
        (&["update", "101", "--json"], "{\"done\":true}\n"),
        (
            &["factory-reset", "--yes"],
            "what servers had written is removed; the device registers as configured\n",
        ),
        (
            &["observe", "/3/0/9", "pmin=1", "gt=50.5", "--count", "2"],
            "/3/0/9  Battery Level  87 %\n/3/0/9  Battery Level  86 %\n",
        ),
        (
            &["observe", "/3/0/9", "--count", "1", "--json"],
            "{\"id\":7,\"values\":[{\"name\":\"Battery Level\",\"path\":\"/3/0/9\",\
             \"type\":\"Integer\",\"unit\":\"%\",\"value\":87}]}\n",
        ),
        (
            &["monitor", "--count", "2", "--bytes"],
            "\
101 <- Read /3/0/9
101 -> Read /3/0/9 2.05 [text, 2 bytes]
      /3/0/9  Battery Level  87 %
      0000  38 37  87
",
        ),
        (
            &["monitor", "--count", "1", "--json"],
            "{\"code\":null,\"detail\":\"\",\"direction\":\"received\",\"format\":null,\
             \"operation\":\"Read\",\"path\":\"/3/0/9\",\"payload\":\"\",\"server\":101,\"values\":[]}\n",
        ),
    ];
    for (arguments, expected) in cases {
        let (code, out, err) = run(bus.address(), arguments);
        assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""), "{arguments:?}");
    }
    let (code, out, _) = run(bus.address(), &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(status["servers"][0]["next_in"], 60);
    assert_eq!(status["servers"][0]["registered_for"], serde_json::Value::Null);
    let (_, out, _) = run(bus.address(), &["servers", "--json"]);
    let servers: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(servers[0]["state"], "waiting");

    let calls = agent.calls();
    for expected in [
        "write /3/0/15 Europe/Berlin",
        "write /3303/0/5601 -5",
        "execute /5/0/2 0='U',3",
        "create /3442/7 110=a b 1120/0=-5",
        "create /3442",
        "delete /3442/0/1120/5",
        "update 0",
        "update 101",
        "factory reset",
        "observe /3/0/9 pmin=1&gt=50.5",
        "cancel 7",
        "monitor true",
        "monitor false",
    ] {
        assert!(calls.iter().any(|call| call == expected), "{expected} in {calls:?}");
    }
}

#[test]
fn refusals_are_one_line_and_an_exit_code() {
    let Some(bus) = Bus::start() else { return };
    let _agent = FakeAgent::start(&bus);
    let cases: [(&[&str], i32, &str); 8] = [
        (&["read", "/3/0/99"], 4, "lwm2mctl: there is no such resource\n"),
        (&["read", "/0"], 5, "lwm2mctl: keys are never shown\n"),
        (&["read", "/3/0/10"], 1, "lwm2mctl: the object is busy\n"),
        (
            &["write", "/3/0/13", "now"],
            2,
            "lwm2mctl: write /3/0/13: expected Time, got text \"now\"\n",
        ),
        (&["exec", "/3/0/4"], 5, "lwm2mctl: polkit refuses the reboot\n"),
        (&["create", "/3"], 5, "lwm2mctl: instances of Device are not made\n"),
        (&["delete", "/3442/9"], 4, "lwm2mctl: there is no instance /3442/9\n"),
        (&["update", "7"], 4, "lwm2mctl: there is no server 7\n"),
    ];
    for (arguments, code, message) in cases {
        assert_eq!(
            run(bus.address(), arguments),
            (code, String::new(), message.to_owned()),
            "{arguments:?}"
        );
    }
}

#[test]
fn wrong_usage_says_what_is_right() {
    // No bus is asked: this address leads nowhere.
    let cases: [(&[&str], &str); 20] = [
        (&["stats"], "a similar subcommand exists: 'status'"),
        (&["read"], "<PATH>"),
        (&["read", "3/0"], "invalid value '3/0' for '<PATH>...'"),
        (&["read", "/3/65535"], "invalid value '/3/65535'"),
        (&["read", "/3/0", "--jsn"], "a similar argument exists: '--json'"),
        (&["write", "/3/0", "x"], "expected a resource such as /3/0/15"),
        (&["write", "/3/0/15"], "<VALUE>"),
        (&["exec", "/3/0"], "expected a resource such as /3/0/12"),
        (&["exec", "/3/0/12", "x"], "arguments look like 0='U',3"),
        (&["create", "/3442/0/1"], "expected an instance such as /3442/7, or an object"),
        (&["create", "/3442", "110"], "expected RESOURCE=VALUE such as 110=text"),
        (&["create", "/3442", "x=1"], "expected RESOURCE=VALUE such as 110=text"),
        (&["delete", "/3442"], "expected an instance such as /3442/7, or a resource instance"),
        (&["delete", "/3442/0/1"], "expected an instance such as /3442/7, or a resource instance"),
        (&["observe", "/"], "expected an object or something below it"),
        (&["observe", "/3/0/9", "pmn=1"], "lwm2mctl: \"pmn\" is no attribute"),
        (&["observe", "/3/0/9", "lt=5", "gt=5"], "lwm2mctl: lt, gt and st contradict"),
        (&["observe", "/3/0/9", "--count", "0"], "invalid value '0'"),
        (&["factory-reset"], "there is no terminal to ask on; say --yes"),
        (&["update", "65535"], "65535 is not in 1..=65534"),
    ];
    for (arguments, message) in cases {
        let (code, out, err) = run("unix:path=/nowhere", arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
    }
    let (code, _, err) = run("sesion", &["status"]);
    assert_eq!(code, 2);
    assert!(err.contains("expected system, session or an address such as"), "{err}");
}

#[test]
fn an_unreachable_daemon_is_named_with_its_bus() {
    let (code, out, err) = run("unix:path=/nowhere/bus", &["status"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (3, "", 1));
    assert!(err.starts_with("lwm2mctl: cannot reach the bus unix:path=/nowhere/bus: "), "{err}");
    assert!(err.ends_with("; is the address right?\n"), "{err}");

    let Some(bus) = Bus::start() else { return };
    for command in [&["status"][..], &["monitor"], &["observe", "/3/0/9"]] {
        let (code, out, err) = run(bus.address(), command);
        let expected = format!(
            "lwm2mctl: lwm2md is not on the bus {}: start it there, or name its bus with --bus\n",
            bus.address()
        );
        assert_eq!((code, out.as_str(), err), (3, "", expected), "{command:?}");
    }
}

#[test]
fn ctrl_c_cancels_the_observation_and_is_no_failure() {
    let Some(bus) = Bus::start() else { return };
    let agent = FakeAgent::start(&bus);
    let mut program = Command::new(env!("CARGO_BIN_EXE_lwm2mctl"))
        .args(["--bus", bus.address(), "observe", "/3/0/9"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "/3/0/9  Battery Level  87 %");
    // The shell's own kill: a small system has no other.
    let interrupt = format!("kill -INT {}", program.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    assert_eq!(program.wait().unwrap().code(), Some(0));
    assert!(agent.calls().contains(&"cancel 7".to_owned()));
}

#[test]
fn a_daemon_that_leaves_ends_the_stream() {
    let Some(bus) = Bus::start() else { return };
    let agent = FakeAgent::start(&bus);
    let mut program = Command::new(env!("CARGO_BIN_EXE_lwm2mctl"))
        .args(["--bus", bus.address(), "monitor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "101 <- Read /3/0/9");
    drop(agent);
    let output = program.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "lwm2mctl: lwm2md has left the bus\n");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let Some(bus) = Bus::start() else { return };
    let _agent = FakeAgent::start(&bus);
    let mut program = Command::new(env!("CARGO_BIN_EXE_lwm2mctl"))
        .args(["--bus", bus.address(), "monitor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(program.stdout.take());
    let output = program.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}
