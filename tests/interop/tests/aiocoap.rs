//! The aiocoap server and its harness, seen from a device of a few lines.

mod fake_device;

use std::time::Duration;

use coap_lite::RequestType;
use fake_device::{FakeDevice, MANUFACTURER};
use lwm2m_interop::aiocoap::{self, Aiocoap};
use lwm2m_interop::{CancelBy, Event, Refusal};
use lwm2m_model::{Code, ContentFormat, Path, Version, WriteMode};

const LIMIT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_device_registers_is_read_written_observed_and_leaves() {
    if !aiocoap::available() {
        eprintln!("not run: no Python with virtual environments here");
        return;
    }
    let mut server = Aiocoap::new().start().unwrap();
    let mut device = FakeDevice::connect(server.coap_address());
    let answer = device.request(RequestType::Post, &["rd"], &["lwm2m=1.2"]);
    assert_eq!(answer.header.get_code(), "4.00");

    let location = device.register("dev", "1.2").unwrap();
    let registration = server.wait_registration("dev", LIMIT).unwrap();
    assert_eq!(registration.version, Version::V1_2);
    assert_eq!(registration.address, device.address());
    assert_eq!(registration.link("/3").unwrap().attributes["ver"].as_deref(), Some("1.1"));
    let location: Vec<_> = location.iter().map(String::as_str).collect();
    device.request(RequestType::Post, &location, &["lt=77"]);
    let updated = |event: &Event| matches!(event, Event::Updated(now) if now.lifetime == 77);
    server.wait_event(LIMIT, updated).unwrap();

    let device = device.serve();
    let manufacturer = Path::resource(3, 0, 0);
    let answer = server.read("dev", &manufacturer, None).unwrap();
    assert_eq!((answer.code, answer.format), (Some(Code::CONTENT), Some(ContentFormat::TEXT)));
    assert_eq!(answer.payload, MANUFACTURER.as_bytes());
    let offset = Path::resource(3, 0, 14);
    let answer = server
        .write_payload("dev", &offset, WriteMode::Replace, ContentFormat::TEXT, b"+01:00")
        .unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED));
    let answer = server.write_attributes("dev", &manufacturer, "pmin=1&edge=1").unwrap();
    assert_eq!(answer.code, Some(Code::CHANGED));
    let answer = server.discover("dev", &Path::instance(3, 0), &["depth=1"]).unwrap();
    assert_eq!(answer.link("/3/0").unwrap().attributes["pmin"].as_deref(), Some("5"));

    let answer = server.observe("dev", &manufacturer, None, &["pmin=1"]).unwrap();
    assert_eq!(answer.observe, Some(1));
    let execute = Path::resource(3, 0, 12);
    assert_eq!(server.execute("dev", &execute, None).unwrap().code, Some(Code::CHANGED));
    assert_eq!(server.wait_notification(&manufacturer, LIMIT).unwrap().payload, b"changed");
    server.cancel_observe("dev", &manufacturer, CancelBy::Reset).unwrap();

    let read = |path: &str| server.read("dev", &path.parse().unwrap(), None);
    assert_eq!(read("/3/0/9").unwrap().code, Some(Code::NOT_FOUND));
    assert_eq!(read("/3/0/4").unwrap_err().refusal(), Some(Refusal::Rejected));
    server.set_timeout(SHORT);
    let silent = server.read("dev", &Path::resource(3, 0, 5), None).unwrap_err();
    assert_eq!(silent.refusal(), Some(Refusal::Timeout));
    drop(device);
}

#[test]
fn a_deregistered_device_is_gone() {
    if !aiocoap::available() {
        eprintln!("not run: no Python with virtual environments here");
        return;
    }
    let server = Aiocoap::new().start().unwrap();
    let mut device = FakeDevice::connect(server.coap_address());
    let location = device.register("dev", "1.1").unwrap();
    let location: Vec<_> = location.iter().map(String::as_str).collect();
    let answer = device.request(RequestType::Delete, &location, &[]);
    assert_eq!(answer.header.get_code(), "2.02");
    assert!(server.registrations().unwrap().is_empty());
    let answer = device.request(RequestType::Post, &location, &[]);
    assert_eq!(answer.header.get_code(), "4.04");
}

#[test]
fn the_plain_client_shows_what_a_server_answers() {
    if !aiocoap::available() {
        eprintln!("not run: no Python with virtual environments here");
        return;
    }
    let server = Aiocoap::new().start().unwrap();
    let uri = format!("coap://{}/nothing", server.coap_address());
    let output = aiocoap::client(&[&uri], LIMIT).unwrap();
    assert!(output.stderr.contains("4.04"), "{output:?}");
}
