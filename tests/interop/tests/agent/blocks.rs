//! aiocoap with bodies in blocks, separate answers, lost and doubled datagrams (RFC 7252 4,
//! RFC 7959, RFC 9175).

use std::time::Duration;

use lwm2m_interop::aiocoap::Aiocoap;
use lwm2m_interop::{AgentConfig, Bus, Disturbance, Double, Event, Namespace, Server, scenario};
use lwm2m_model::{Code, ContentFormat, WriteMode};

use crate::support::*;

/// CORE-92, TRN-07, 37: one Request-Tag, each block once and in order.
#[test]
fn a_register_in_blocks_has_one_tag() {
    with_aiocoap("registers in blocks", &Aiocoap::new(), |server| {
        let config = with_test_object(server.coap_address()).instances(INSTANCES);
        let (_agent, registration) = register(&server, &config);
        for id in 0..INSTANCES {
            assert!(registration.link(&format!("/3442/{id}")).is_some(), "{id}");
        }
        let events = server.take_events().unwrap();
        let blocks = blocks(&events);
        let numbers: Vec<u32> = blocks.iter().map(|block| block.number).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>(), "{blocks:?}");
        assert!(numbers.len() > 2, "{blocks:?}");
        let rightly = |block: &Block<'_>| {
            (block.method, block.path, block.option) == ("POST", "/rd", "block1")
                && block.tag == blocks[0].tag
                && !block.tag.is_empty()
        };
        assert!(blocks.iter().all(rightly), "{blocks:?}");
    });
}

/// RFC 7959 3.2: the agent fetches what the server has cut, and is registered with it.
#[test]
fn an_answer_in_blocks_is_fetched() {
    let aiocoap = Aiocoap::new().answer_bytes(3000);
    with_aiocoap("fetches an answer in blocks", &aiocoap, |server| {
        let (agent, _) = register(&server, &nosec(server.coap_address()));
        agent.wait_log("registered with LwM2M 1.2", LIMIT).unwrap();
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        let events = server.take_events().unwrap();
        let blocks = blocks(&events);
        let fetched: Vec<(&str, u32)> =
            blocks.iter().map(|block| (block.option, block.number)).collect();
        assert_eq!(fetched, [("block2", 1), ("block2", 2)]);
        // It is one registration for all that.
        registered_once(&events);
    });
}

/// CORE-199, TRN-38: the request comes again with what the server wants to see, whole and
/// in blocks.
#[test]
fn a_challenge_is_answered() {
    for (name, instances) in [("answers a challenge", 1), ("answers a challenge in blocks", 250)] {
        with_aiocoap(name, &Aiocoap::new().challenge(), |server| {
            let config = with_test_object(server.coap_address()).instances(instances);
            let (_agent, registration) = register(&server, &config);
            let last = format!("/3442/{}", instances - 1);
            assert!(registration.link(&last).is_some(), "{registration:?}");
            let events = server.take_events().unwrap();
            registered_once(&events);
            let code = |event: &Event| match event {
                Event::Answered { code, .. } => Some(*code),
                _ => None,
            };
            let codes: Vec<Code> = events.iter().filter_map(code).collect();
            assert_eq!(codes, [Code::UNAUTHORIZED, Code::CREATED]);
        });
    }
}

/// TRN-36: aiocoap cuts at 1024 bytes, and asks for the blocks of the answer.
#[test]
fn a_long_value_is_written_and_read_back() {
    with_aiocoap("writes and reads in blocks", &Aiocoap::new(), |server| {
        let _agent = register(&server, &with_test_object(server.coap_address()));
        write_and_read(&server, 10_000);
        // A shorter one afterwards: nothing of the longer one is left.
        write_and_read(&server, 2000);
    });
}

/// TRN-41: an empty acknowledgement, then a confirmable answer.
#[test]
fn a_separate_answer_registers() {
    let aiocoap = Aiocoap::new().answer_after(LONGER_THAN_ACK_TIMEOUT);
    with_aiocoap("registers with a separate answer", &aiocoap, |server| {
        let (agent, _) = register(&server, &nosec(server.coap_address()));
        agent.wait_log("registered with LwM2M 1.2", LIMIT).unwrap();
        assert_eq!(read_text(&server, "/3/0/16"), "U");
        registered_once(&server.take_events().unwrap());
    });
}

/// TRN-41: a slow service of the device is no reason to be asked again.
#[test]
fn a_slow_write_is_answered_separately() {
    let name = "answers a slow Write separately";
    let Some(slow) = slow_clock(name) else { return };
    with_aiocoap(name, &Aiocoap::new(), |server| {
        let config = nosec(server.coap_address()).bus(slow.bus.address());
        slow.set_zone(&server, &config);
    });
}

/// TRN-41, 40: the answer is sent until it is acknowledged, and the clock is set once.
#[test]
fn a_slow_write_is_answered_under_loss() {
    let name = "answers a slow Write separately under loss";
    let Some(slow) = slow_clock(name) else { return };
    // The third datagram is the answer, and then the acknowledgement of its repetition.
    let loss = Disturbance { lose_to_server: 3, lose_to_device: 3, double: 0 };
    disturbed(name, Aiocoap::new(), &loss, |server, config| {
        slow.set_zone(server, &config.bus(slow.bus.address()));
    });
}

/// A private bus with a timedated that takes its time.
struct SlowClock {
    name: &'static str,
    bus: Bus,
    timedated: Double,
}

fn slow_clock(name: &'static str) -> Option<SlowClock> {
    let Some(bus) = Bus::start() else {
        not_run(name, "slow-clock", "needs dbus-daemon and python3-dbusmock");
        return None;
    };
    let timedated = bus.double(TIMEDATED, "timedated", r#"{"Timezone": "Asia/Tokyo"}"#);
    bus.delay(TIMEDATED, "SetTimezone", "sb", LONGER_THAN_ANSWERS_TAKE);
    Some(SlowClock { name, bus, timedated })
}

impl SlowClock {
    fn set_zone(&self, server: &Server, config: &AgentConfig) {
        let agent = config.start().unwrap();
        server.wait_registration(ENDPOINT, UNDER_LOSS).unwrap();
        agent.wait_log("registered with LwM2M 1.2", UNDER_LOSS).unwrap();
        agent.wait_log("is on the bus", LIMIT).unwrap();
        let (mode, format) = (WriteMode::Replace, ContentFormat::TEXT);
        let zone = path("/3/0/15");
        let answer = server.write_payload(ENDPOINT, &zone, mode, format, b"Europe/Paris").unwrap();
        assert_eq!((answer.code, answer.is_separate), (Some(Code::CHANGED), true), "{answer:?}");
        let calls = self.timedated.calls();
        let set = calls.iter().filter(|call| call.starts_with("SetTimezone")).count();
        assert_eq!(set, 1, "{calls:?}");
        // What takes no time is answered with the acknowledgement.
        let quick = server.read(ENDPOINT, &path("/3/0/16"), Some(format)).unwrap();
        assert!(!quick.is_separate, "{quick:?}");
        scenario::ran("slow-clock", self.name).unwrap();
    }
}

/// TRN-30, 37, 40: the same in a network that loses every third datagram each way.
#[test]
fn a_register_in_blocks_survives_loss() {
    let loss = Disturbance { lose_to_server: 3, lose_to_device: 3, double: 0 };
    disturbed("registers in blocks under loss", Aiocoap::new(), &loss, |server, config| {
        let config = config.instances(INSTANCES);
        let agent = config.start().unwrap();
        let registration = server.wait_registration(ENDPOINT, UNDER_LOSS).unwrap();
        agent.wait_log("registered with LwM2M 1.2", UNDER_LOSS).unwrap();
        for id in 0..INSTANCES {
            assert!(registration.link(&format!("/3442/{id}")).is_some(), "{id}");
        }
        registered_once(&server.take_events().unwrap());
    });
}

/// TRN-36, 40: both sides send again, and each block counts once.
#[test]
fn blocks_in_both_directions_survive_loss() {
    let loss = Disturbance { lose_to_server: 3, lose_to_device: 4, double: 0 };
    disturbed("writes and reads in blocks under loss", hasty(), &loss, |server, config| {
        let agent = config.start().unwrap();
        server.wait_registration(ENDPOINT, UNDER_LOSS).unwrap();
        agent.wait_log("registered with LwM2M 1.2", UNDER_LOSS).unwrap();
        write_and_read(server, 6000);
        let done =
            agent.log().iter().filter(|line| line.contains("Write /3442/0/150 done")).count();
        assert_eq!(done, 1, "{:?}", agent.log());
    });
}

/// TRN-40; CORE-141: datagrams that come twice, and answers that are lost, execute
/// nothing twice.
#[test]
fn an_execute_runs_once_under_loss_and_in_duplicate() {
    let disturbance = Disturbance { lose_to_server: 4, lose_to_device: 0, double: 2 };
    disturbed("executes once under loss and twofold", hasty(), &disturbance, |server, config| {
        let agent = config.start().unwrap();
        server.wait_registration(ENDPOINT, UNDER_LOSS).unwrap();
        agent.wait_log("registered with LwM2M 1.2", UNDER_LOSS).unwrap();
        for round in 0..EXECUTIONS {
            let argument = format!("0='{round}'");
            let at = path("/3442/0/3");
            assert_code(&server.execute(ENDPOINT, &at, Some(&argument)).unwrap(), Code::CHANGED);
        }
        assert_eq!(executions(&agent.log()), EXECUTIONS);
    });
}

/// TRN-41: the separate answer, or the acknowledgement of it, is lost on the way.
#[test]
fn a_separate_answer_survives_loss() {
    let loss = Disturbance { lose_to_server: 2, lose_to_device: 2, double: 0 };
    let aiocoap = hasty().answer_after(LONGER_THAN_ACK_TIMEOUT);
    disturbed("registers with a separate answer under loss", aiocoap, &loss, |server, config| {
        let agent = config.start().unwrap();
        agent.wait_log("registered with LwM2M 1.2", UNDER_LOSS).unwrap();
        registered_once(&server.take_events().unwrap());
    });
}

#[derive(Debug)]
struct Block<'a> {
    method: &'a str,
    path: &'a str,
    option: &'a str,
    number: u32,
    tag: &'a [u8],
}

fn blocks(events: &[Event]) -> Vec<Block<'_>> {
    let block = |event| match event {
        &Event::Block { ref method, ref path, ref option, number, ref tag } => {
            Some(Block { method, path, option, number, tag })
        }
        _ => None,
    };
    events.iter().filter_map(block).collect()
}

/// One Register reached the server's own code, however often it came.
fn registered_once(events: &[Event]) {
    let is_register = |event: &&Event| matches!(event, Event::Registered { .. });
    assert_eq!(events.iter().filter(is_register).count(), 1, "{events:?}");
}

fn write_and_read(server: &Server, length: usize) {
    let bytes: Vec<u8> = (0..length).map(|place| (place / 251 + place % 251) as u8).collect();
    let (at, format) = (path("/3442/0/150"), ContentFormat::OPAQUE);
    let mode = WriteMode::Replace;
    let answer = server.write_payload(ENDPOINT, &at, mode, format, &bytes).unwrap();
    assert_code(&answer, Code::CHANGED);
    let answer = server.read(ENDPOINT, &at, Some(format)).unwrap();
    assert_eq!((answer.code, answer.format), (Some(Code::CONTENT), Some(format)));
    assert_eq!(answer.payload, bytes);
}

fn executions(log: &[String]) -> usize {
    log.iter().filter(|line| line.contains("Execute /3442/0/3 done")).count()
}

/// Runs `scenario` in a network of its own, with a server there and the configuration of
/// an agent there; asserts that what was asked for happened to datagrams.
fn disturbed(
    name: &str,
    aiocoap: Aiocoap,
    disturbance: &Disturbance,
    scenario: impl FnOnce(&Server, AgentConfig),
) {
    let Some(namespace) = Namespace::new().unwrap() else {
        return not_run(name, "loss", "needs root, ip, nft and nf_tables");
    };
    with_aiocoap(name, &aiocoap.namespace(&namespace), |mut server| {
        server.set_timeout(UNDER_LOSS);
        namespace.disturb(server.coap_address().port(), disturbance).unwrap();
        let config = with_test_object(server.coap_address()).namespace(&namespace);
        scenario(&server, config);
        let counted = namespace.disturbed().unwrap();
        let happened = [
            (disturbance.lose_to_server, counted.lost_to_server),
            (disturbance.lose_to_device, counted.lost_to_device),
            (disturbance.double, counted.doubled),
        ];
        assert!(happened.iter().all(|(asked, count)| *asked == 0 || *count > 0), "{counted:?}");
        scenario::ran("loss", name).unwrap();
    });
}

/// A server that soon sends again what is not acknowledged.
fn hasty() -> Aiocoap {
    Aiocoap::new().ack_timeout(Duration::from_millis(300))
}

const TIMEDATED: &str = "org.freedesktop.timedate1";
/// The agent answers with an empty acknowledgement after one second.
const LONGER_THAN_ANSWERS_TAKE: Duration = Duration::from_secs(2);
/// Links to which take about 3 KiB.
const INSTANCES: u16 = 250;
const EXECUTIONS: usize = 12;
/// aiocoap acknowledges after a tenth of a second; the agent sends again after two to
/// three seconds what is not acknowledged.
const LONGER_THAN_ACK_TIMEOUT: Duration = Duration::from_millis(3500);
/// For several exchanges with all their retransmissions.
const UNDER_LOSS: Duration = Duration::from_secs(60);
