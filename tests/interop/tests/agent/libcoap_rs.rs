//! libcoap-rs as server: the wrapper of libcoap that cannot be an LwM2M client.

use lwm2m_interop::libcoap_rs::{self, LibcoapRs};
use lwm2m_interop::{Event, Server, scenario};
use lwm2m_model::{Code, ContentFormat, Version, WriteMode};

use crate::support::*;

/// Its De-register is refused with 4.05, since the library takes no DELETE: the agent
/// ends all the same.
#[test]
fn registers_updates_and_ends() {
    with_libcoap_rs("registers, updates and ends", |server| {
        let config =
            nosec(server.coap_address()).account("lifetime", 4).general("deregister_on_stop", true);
        let (agent, registration) = register(&server, &config);
        assert_eq!((registration.version, registration.lifetime), (Version::V1_2, 4));
        assert!(registration.link("/3/0").is_some(), "{registration:?}");
        server.wait_event(LIMIT, |event| matches!(event, Event::Updated(_))).unwrap();
        assert_eq!(agent.stop().unwrap().code(), Some(0));
    });
}

/// CORE-92, TRN-37: libcoap puts the body together, or no link would be here.
#[test]
fn a_long_list_of_instances_is_registered_in_blocks() {
    with_libcoap_rs("registers in blocks", |server| {
        let config = with_test_object(server.coap_address()).instances(INSTANCES);
        let (_agent, registration) = register(&server, &config);
        for id in 0..INSTANCES {
            assert!(registration.link(&format!("/3442/{id}")).is_some(), "{id}");
        }
    });
}

/// TRN-36: libcoap cuts the request, and puts the answer together.
#[test]
fn a_long_value_is_written_and_read_back() {
    with_libcoap_rs("writes and reads in blocks", |mut server| {
        // Requests leave with an Update, and answers are fetched with another.
        server.set_timeout(LIMIT);
        let config = with_test_object(server.coap_address()).account("lifetime", 4);
        let (agent, _) = register(&server, &config);
        let bytes: Vec<u8> = (0..5000).map(|place| (place / 251 + place % 251) as u8).collect();
        let (at, format) = (path("/3442/0/150"), ContentFormat::OPAQUE);
        let mode = WriteMode::Replace;
        server.write_payload(ENDPOINT, &at, mode, format, &bytes).unwrap();
        agent.wait_log("Write /3442/0/150 done", LIMIT).unwrap();
        let answer = server.read(ENDPOINT, &at, Some(format)).unwrap();
        assert_eq!((answer.code, answer.format), (Some(Code::CONTENT), Some(format)));
        assert_eq!(answer.payload, bytes);
    });
}

/// Runs `scenario` with a libcoap-rs server and keeps a record of it; where it cannot be
/// built it only says so.
fn with_libcoap_rs(name: &str, scenario: impl FnOnce(Server)) {
    if !libcoap_rs::available() {
        return not_run(name, "libcoap-rs", "needs autotools and libclang");
    }
    scenario(LibcoapRs.start().unwrap());
    scenario::ran("libcoap-rs", name).unwrap();
}

/// Links to which take more than 6 KiB.
const INSTANCES: u16 = 550;
