//! libcoap's programs as server and as client, seen from a device of a few lines.

mod fake_device;

use std::time::Duration;

use coap_lite::RequestType;
use fake_device::{FakeDevice, MANUFACTURER};
use lwm2m_interop::libcoap;
use lwm2m_model::Path;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn libcoap_reads_from_the_port_of_its_own_server() {
    if !libcoap::available() {
        eprintln!("not run: no libcoap programs here");
        return;
    }
    let server = libcoap::start_server().unwrap();
    let mut device = FakeDevice::connect(server.address);
    assert_eq!(device.register("dev", "1.2").unwrap(), ["rd"]);
    let answer = device.request(RequestType::Post, &["rd"], &["lt=60"]);
    assert_eq!(answer.header.get_code(), "2.04");

    let address = device.address();
    let _device = device.serve();
    let path = Path::resource(3, 0, 0);
    let get = libcoap::Client::new(server.address, address, "get");
    let output = get.clone().send(&path, &[], LIMIT).unwrap();
    assert!(output.stdout.contains("c:2.05"), "{output:?}");
    assert!(output.stdout.contains(MANUFACTURER), "{output:?}");
    let output = get.clone().observe(1).send(&path, &["pmin=1"], LIMIT).unwrap();
    assert!(output.stdout.contains("Observe:1"), "{output:?}");
    let output = get.accept(40).send(&Path::instance(3, 0), &[], LIMIT).unwrap();
    assert!(output.stdout.contains("</3/0>;pmin=5"), "{output:?}");
    let put = libcoap::Client::new(server.address, address, "put").payload(0, "+01:00");
    let output = put.send(&Path::resource(3, 0, 14), &[], LIMIT).unwrap();
    assert!(output.stdout.contains("c:2.04"), "{output:?}");
}
