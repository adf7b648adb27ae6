//! Scripts and the prompt, with a device that answers, notifies and updates.

mod device;

use std::io::{self, Write};
use std::sync::Arc;

use coap_lite::{CoapOption, Packet};
use device::{CON, Device, code, number, path, server, set_number, texts};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value};
use lwm2m_test_server::Server;
use lwm2m_test_server::prompt::{self, Flow, PromptError, Session};
use lwm2m_test_server::script::{Interpreter, Script, ScriptError};
use tokio::sync::Notify;

/// Answers until the test ends; registers when told.
async fn live(mut device: Device, start: Arc<Notify>) {
    start.notified().await;
    let answer = device.register("thing", &[]).await;
    let location = texts(&answer, CoapOption::LocationPath).join("/");
    loop {
        let request = device.receive().await;
        if code(&request).class() != 0 || code(&request).byte() == 0 {
            continue;
        }
        let mut answer = answer_to(&request);
        let observes = number(&request, CoapOption::Observe) == Some(0);
        if observes {
            set_number(&mut answer, CoapOption::Observe, 1);
        }
        device.send(&answer).await;
        if observes {
            for (number, value) in [(2, "1700000001"), (3, "1700000002")] {
                let packet = device.notification(request.get_token(), CON, number, value);
                device.send(&packet).await;
            }
        }
        if texts(&request, CoapOption::UriPath) == ["1", "0", "8"] {
            let update = device.request(2, &location, &[]);
            device.send(&update).await;
        }
    }
}

fn answer_to(request: &Packet) -> Packet {
    let target = format!("/{}", texts(request, CoapOption::UriPath).join("/"));
    let method = code(request).byte();
    let reply = |code, format: ContentFormat, payload: &[u8]| {
        Device::piggybacked(request, code, format.0, payload)
    };
    let text = ContentFormat::TEXT;
    match (method, target.as_str()) {
        (1, "/3") => {
            reply(Code::CONTENT, ContentFormat::LINK, b"</3>;ver=1.2,</3/0>,</3/0/7>;pmin=1")
        }
        (1, "/3/0") => {
            let entries = [
                Entry::new(Path::resource(3, 0, 0), Value::String("ACME".into())),
                Entry::new(Path::resource(3, 0, 9), Value::Integer(77)),
            ];
            let format = ContentFormat::SENML_CBOR;
            let mut payload = Vec::new();
            lwm2m_codec::encode(format, &path("/3/0"), &entries, &mut payload).unwrap();
            reply(Code::CONTENT, format, &payload)
        }
        (1, "/3/0/13") => reply(Code::CONTENT, text, b"1700000000"),
        (2 | 3, "/1/0/1" | "/1/0/8" | "/1/0") => reply(Code::CHANGED, text, &[]),
        (2, "/3/0/4") => reply(Code::METHOD_NOT_ALLOWED, text, b"not today"),
        _ => reply(Code::NOT_FOUND, text, &[]),
    }
}

async fn stage() -> (Server, Session, Arc<Notify>) {
    let server = server(|_| {}).await;
    let start = Arc::new(Notify::new());
    tokio::spawn(live(Device::new(&server).await, start.clone()));
    let session = Session::new(server.clone()).unwrap();
    (server, session, start)
}

async fn play(text: &str) -> (Result<(), ScriptError>, String) {
    let (_server, mut session, start) = stage().await;
    start.notify_one();
    let mut out = Vec::new();
    let result = match Script::parse::<Session>(text) {
        Ok(script) => script.run(&mut session, &mut out).await,
        Err(error) => Err(error),
    };
    (result, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn a_whole_conversation_passes() {
    let (result, out) = play(
        r#"
# The device registers by itself.
expect registered
expect awake

devices
read /3/0
expect 2.05
expect format senml-cbor
expect /3/0/0 = "ACME"
expect /3/0/0 != U
expect /3/0/9 >= 77
expect /3/0/9 present
expect /3/0/10 absent
discover /3 2
expect link /3 ver=1.2
expect link /3/0/7 pmin=1
expect link /3/0/9 absent
write /1/0/1 60
expect 2.04
write /1/0 1=60 6=true --partial
exec /1/0/8
expect 2.04
expect updated within 20
exec /3/0/4
expect 4.05
observe /3/0/13 pmin=1
expect /3/0/13 = 1700000000
expect notification /3/0/13 > 1700000001 within 20
cancel /3/0/13
read /5/0/1
expect 4.04
help
quit
read /6
"#,
    )
    .await;
    result.unwrap();
    assert!(out.contains("/3/0/9  Battery Level  77 %"), "{out}");
    assert!(out.contains("4.05 Method Not Allowed"), "{out}");
    assert!(out.contains("  not today\n"), "{out}");
    assert!(out.contains("notification 3 of /3/0/13, CON"), "{out}");
    assert!(!out.contains("read /6"), "{out}");
}

#[tokio::test]
async fn a_line_that_does_not_hold_is_named_with_what_came() {
    for (script, message) in [
        (
            "expect registered\nread /3/0\nexpect /3/0/0 = \"U\"",
            "line 3: expect /3/0/0 = \"U\"\n  expected: /3/0/0 = \"U\"\n  came: \"ACME\"",
        ),
        (
            "expect registered\nread /3/0\nexpect 4.04",
            "line 3: expect 4.04\n  expected: 4.04\n  came: 2.05 Content",
        ),
        (
            "expect registered\nexec /3/0/4\nexpect 2.04",
            "line 3: expect 2.04\n  expected: 2.04\n  came: 4.05 Method Not Allowed, not today",
        ),
        (
            "expect registered\n\nread /5",
            "line 3: read /5\n  expected: success\n  came: 4.04 Not Found",
        ),
        (
            "expect registered\nread /3/0\nexpect /3/0/0 absent",
            "line 3: expect /3/0/0 absent\n  expected: /3/0/0 absent\n  came: /3/0/0 = \"ACME\"",
        ),
        (
            "expect registered\nexpect asleep within 0",
            "line 2: expect asleep within 0\n  expected: asleep within 0\n  came: sleep did not happen within 0 s",
        ),
        (
            "expect registered\nexpect notification /3/0/13",
            "line 2: expect notification /3/0/13\n  expected: notification /3/0/13\n  came: /3/0/13 is not observed",
        ),
        (
            "expect registered\nobserve /3/0/13\nexpect notification /3/0/13 < 5 within 1",
            "line 3: expect notification /3/0/13 < 5 within 1\n  expected: notification /3/0/13 < 5 within 1\n  came: /3/0/13 = 1700000002",
        ),
        ("expect 2.05", "line 1: expect 2.05\n  expected: 2.05\n  came: no request was made"),
    ] {
        let (result, _) = play(script).await;
        assert_eq!(result.unwrap_err().to_string(), message, "{script}");
    }
}

#[tokio::test]
async fn a_slip_is_found_before_anything_runs() {
    for (script, message) in [
        ("read /3/0\n\n  raed /3", "line 3: raed /3\n  no command \"raed\", did you mean read?"),
        ("expct 2.05", "line 1: expct 2.05\n  no command \"expct\", did you mean expect?"),
        (
            "read /3/0\nexpect 2.5",
            "line 2: expect 2.5\n  cannot expect \"2.5\": a code such as 2.05, a path, created, link, format, \
             no answer, notification, registered, deregistered, updated, asleep or awake",
        ),
    ] {
        let (result, out) = play(script).await;
        let error = result.unwrap_err();
        assert!(matches!(error, ScriptError::Syntax { .. }));
        assert_eq!((error.to_string().as_str(), out.as_str()), (message, ""));
    }
}

#[tokio::test]
async fn the_session_needs_a_device_and_a_choice_among_several() {
    let (server, mut session, start) = stage().await;
    let mut say = async |line: &str| {
        let mut out = Vec::new();
        let flow = session.run(&prompt::parse(line).unwrap(), &mut out).await.unwrap();
        (flow, String::from_utf8(out).unwrap())
    };
    let none = "no device is registered\n".to_owned();
    assert_eq!(say("read /3/0").await, (Flow::Continue, none.clone()));
    assert_eq!(say("devices").await, (Flow::Continue, none));
    start.notify_one();
    say("wait registered").await;
    Device::registered(&server, "other", &["Q"]).await;
    let several = "several devices are registered (other, thing): choose one with use ENDPOINT\n";
    assert_eq!(say("read /3/0").await.1, several);
    assert_eq!(say("use nobody").await.1, "nobody is not registered\n");
    assert!(say("use thing").await.1.starts_with("thing at 127.0.0.1:"));
    assert!(say("read /3/0").await.1.starts_with("2.05 Content, senml-cbor, "));
    assert!(say("devices").await.1.contains("other at"));
    assert_eq!(say("cancel /3/0/13").await.1, "/3/0/13 is not observed\n");
    assert_eq!(say("help raed").await.1, "no command \"raed\", did you mean read?\n");
    assert_eq!(say("quit").await, (Flow::Quit, String::new()));
}

/// A program with a command of its own.
struct Program {
    session: Session,
    naps: u32,
}

#[derive(Debug)]
enum Own {
    Nap,
    Prompt(prompt::Command),
}

impl Interpreter for Program {
    type Command = Own;

    fn parse(line: &str) -> Result<Own, PromptError> {
        match line {
            "nap" => Ok(Own::Nap),
            line => prompt::parse(line).map(Own::Prompt),
        }
    }

    async fn run<W: Write>(&mut self, command: &Own, out: &mut W) -> io::Result<Flow> {
        match command {
            Own::Nap => {
                self.session.begin();
                self.naps += 1;
                writeln!(out, "zzz")?;
                Ok(Flow::Continue)
            }
            Own::Prompt(command) => self.session.run(command, out).await,
        }
    }

    fn session(&mut self) -> &mut Session {
        &mut self.session
    }
}

#[tokio::test]
async fn a_program_adds_its_own_commands_to_scripts() {
    let (_server, session, start) = stage().await;
    start.notify_one();
    let mut program = Program { session, naps: 0 };
    let script = "expect registered\nread /9\nexpect 4.04\nnap\nread /3/0\nexpect 2.05\nnap";
    let script = Script::parse::<Program>(script).unwrap();
    let mut out = Vec::new();
    script.run(&mut program, &mut out).await.unwrap();
    assert_eq!(program.naps, 2);
    assert!(String::from_utf8(out).unwrap().ends_with("> nap\nzzz\n"));
}
