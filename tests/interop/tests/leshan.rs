//! The Leshan server and its harness, seen from a device of a few lines.

mod fake_device;

use std::process::Command;
use std::time::Duration;

use coap_lite::RequestType;
use fake_device::{FakeDevice, MANUFACTURER};
use lwm2m_interop::leshan::{Leshan, java_available};
use lwm2m_interop::{CancelBy, Event, Refusal, Server, program};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, Version, WriteMode};

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

/// `None`, with a line that says so, on a machine without Java.
fn start(leshan: &Leshan) -> Option<Server> {
    if !java_available() {
        eprintln!("not run: no Java compiler and Maven here");
        return None;
    }
    Some(leshan.start().unwrap())
}

#[test]
fn a_device_steps_down_to_1_1_and_is_read_written_and_observed() {
    let Some(mut server) = start(&Leshan::new()) else { return };
    let mut device = FakeDevice::connect(server.coap_address());

    assert_eq!(device.register("dev", "1.2"), Err("4.12".to_owned()));
    let refused =
        |event: &Event| matches!(event, Event::Answered { code, .. } if *code == Code::new(4, 12));
    server.wait_event(LIMIT, refused).unwrap();

    let location = device.register("dev", "1.1").unwrap();
    let registration = server.wait_registration("dev", LIMIT).unwrap();
    assert_eq!(registration.version, Version::V1_1);
    assert_eq!((registration.lifetime, registration.binding.as_str()), (300, "U"));
    assert_eq!(registration.address, device.address());
    assert_eq!(location, ["rd", &registration.id]);
    assert!(!registration.is_queue_mode);
    let version = &registration.link("/3").unwrap().attributes["ver"];
    assert_eq!(version.as_deref(), Some("1.1"));
    assert_eq!(server.registrations().unwrap(), [registration]);

    let device = device.serve();
    let manufacturer: Path = "/3/0/0".parse().unwrap();
    let answer = server.read("dev", &manufacturer, Some(ContentFormat::TEXT)).unwrap();
    assert_eq!(answer.code, Some(Code::CONTENT));
    assert_eq!(answer.format, Some(ContentFormat::TEXT));
    assert_eq!(answer.payload, MANUFACTURER.as_bytes());
    assert_eq!(answer.value(&manufacturer), Some(&Value::String(MANUFACTURER.to_owned())));

    let offset = "/3/0/14".parse().unwrap();
    let value = Value::String("+01:00".to_owned());
    let text = Some(ContentFormat::TEXT);
    let answer = server.write("dev", &offset, WriteMode::Replace, text, &value).unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED));
    let instance = Path::instance(3, 0);
    let entries =
        [Entry::new(offset, value), Entry::new("/3/0/13".parse().unwrap(), Value::Time(1))];
    let answer = server
        .write_entries("dev", &instance, WriteMode::Partial, Some(ContentFormat::TLV), &entries)
        .unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED));
    let answer = server.write_attributes("dev", &manufacturer, "pmin=1&pmax=5").unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED));
    let answer = server.discover("dev", &instance, &[]).unwrap();
    assert_eq!(answer.link("/3/0").unwrap().attributes["pmin"].as_deref(), Some("5"));

    let answer = server.observe("dev", &manufacturer, None, &[]).unwrap();
    assert_eq!((answer.code, answer.observe), (Some(Code::CONTENT), Some(1)));
    let reboot_stand_in: Path = "/3/0/12".parse().unwrap();
    assert_eq!(
        server.execute("dev", &reboot_stand_in, Some("0='x'")).unwrap().code,
        Some(Code::CHANGED)
    );
    let notification = server.wait_notification(&manufacturer, LIMIT).unwrap();
    assert_eq!(notification.value(&manufacturer), Some(&Value::String("changed".to_owned())));
    server.cancel_observe("dev", &manufacturer, CancelBy::Reset).unwrap();
    server.observe("dev", &manufacturer, None, &[]).unwrap();
    let answer = server.cancel_observe("dev", &manufacturer, CancelBy::Request).unwrap();
    assert_eq!((answer.code, answer.observe), (Some(Code::CONTENT), None));
    let gone = server.cancel_observe("dev", &manufacturer, CancelBy::Request).unwrap_err();
    assert_eq!(gone.refusal(), Some(Refusal::BadCommand));

    refusals_are_told_apart(&mut server);
    drop(device);
}

/// Requests that the fake device resets, ignores, or answers with an error.
fn refusals_are_told_apart(server: &mut Server) {
    let read = |server: &Server, endpoint: &str, path: &str| {
        server.read(endpoint, &path.parse().unwrap(), None)
    };
    let missing = read(server, "dev", "/3/0/9").unwrap();
    assert_eq!((missing.code, missing.values.len()), (Some(Code::NOT_FOUND), 0));
    assert_eq!(read(server, "dev", "/3/0/4").unwrap_err().refusal(), Some(Refusal::Rejected));
    assert_eq!(read(server, "else", "/3/0/0").unwrap_err().refusal(), Some(Refusal::NotRegistered));
    server.set_timeout(SHORT);
    assert_eq!(read(server, "dev", "/3/0/5").unwrap_err().refusal(), Some(Refusal::Timeout));
    assert_eq!(
        server.wait_registration("else", SHORT).unwrap_err().refusal(),
        Some(Refusal::Timeout)
    );
}

#[test]
fn a_query_that_leshan_cannot_say_reaches_the_device() {
    let Some(server) = start(&Leshan::new()) else { return };
    let mut device = FakeDevice::connect(server.coap_address());
    device.register("dev", "1.1").unwrap();
    let _device = device.serve();
    let command = serde_json::json!({
        "cmd": "read", "endpoint": "dev", "path": "/3/0/1", "query": ["edge=1", "con=1"],
    });
    assert_eq!(server.request(command).unwrap().payload, b"edge=1&con=1");
}

#[test]
fn update_sleep_and_deregistration_are_told_as_events() {
    let Some(server) = start(&Leshan::new().awake(SHORT)) else { return };
    let mut device = FakeDevice::connect(server.coap_address());
    let answer = device.request(RequestType::Post, &["rd"], &["ep=q", "lwm2m=1.1", "b=U", "Q"]);
    assert_eq!(answer.header.get_code(), "2.01");
    let registration = server.wait_registration("q", LIMIT).unwrap();
    assert!(registration.is_queue_mode);
    server.wait_event(LIMIT, |event| matches!(event, Event::Sleeping { .. })).unwrap();
    let asleep = server.read("q", &Path::resource(3, 0, 0), None).unwrap_err();
    assert_eq!(asleep.refusal(), Some(Refusal::Sleeping));

    let location = ["rd", &registration.id];
    let answer = device.request(RequestType::Post, &location, &["lt=77"]);
    assert_eq!(answer.header.get_code(), "2.04");
    let updated = |event: &Event| matches!(event, Event::Updated(now) if now.lifetime == 77);
    server.wait_event(LIMIT, updated).unwrap();
    let answer = device.request(RequestType::Delete, &location, &[]);
    assert_eq!(answer.header.get_code(), "2.02");
    let left = |event: &Event| matches!(event, Event::Unregistered { is_expired: false, .. });
    server.wait_event(LIMIT, left).unwrap();
    assert!(server.registrations().unwrap().is_empty());
}

#[test]
fn a_device_with_the_right_key_registers_over_dtls() {
    let Some(client) = program::find("coap-client-openssl") else {
        eprintln!("not run: no coap-client-openssl here");
        return;
    };
    let Some(server) = start(&Leshan::new()) else { return };
    server.add_psk("dev", "identity", b"sixteen bytes ok").unwrap();
    let taken = server.add_psk("other", "identity", b"sixteen bytes ok").unwrap_err();
    assert_eq!(taken.refusal(), Some(Refusal::BadCommand));

    let uri = format!("coaps://{}/rd?ep=dev&lwm2m=1.1&b=U", server.coaps_address().unwrap());
    let mut command = Command::new(client);
    command.args(["-m", "post", "-u", "identity", "-k", "sixteen bytes ok", "-t", "40"]);
    let output = program::run(command.args(["-e", fake_device::LINKS, &uri]), LIMIT).unwrap();
    let registration = server.wait_registration("dev", LIMIT);
    let registration = registration.unwrap_or_else(|e| panic!("{e}\n{output:?}"));
    assert_eq!(registration.scheme, "coaps");
}
