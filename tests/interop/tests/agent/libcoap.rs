//! libcoap as server, and as client from the server's port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use lwm2m_interop::libcoap::{self, Client, CoapServer};
use lwm2m_interop::{Agent, AgentConfig, program, scenario};
use lwm2m_model::Path;
use serde_json::json;

use crate::support::*;

#[test]
fn registers_is_read_and_says_farewell() {
    with_libcoap("registers, is read and leaves", |server| {
        let config = nosec(server.address).general("deregister_on_stop", true);
        let (agent, device) = register_at(&server, &config);
        let output =
            Client::new(server.address, device, "get").send(&path("/3/0/16"), &[], LIMIT).unwrap();
        assert!(output.stdout.contains("c:2.05") && output.stdout.contains("'U'"), "{output:?}");
        let output = Client::new(server.address, device, "put")
            .payload(0, "600")
            .send(&path("/1/0/5"), &[], LIMIT)
            .unwrap();
        assert!(output.stdout.contains("c:2.04"), "{output:?}");
        let output =
            Client::new(server.address, device, "get").send(&path("/0/0/5"), &[], LIMIT).unwrap();
        assert!(output.stdout.contains("c:4.01"), "{output:?}");
        assert_eq!(agent.stop().unwrap().code(), Some(0));
        let log = server.stop();
        let text = format!("{}{}", log.stdout, log.stderr);
        assert!(text.contains("c:POST") && text.contains("c:2.01"), "{text}");
        assert!(text.contains("c:DELETE") && text.contains("c:2.02"), "{text}");
    });
}

#[test]
fn a_body_comes_in_small_blocks() {
    with_libcoap("is read in small blocks", |server| {
        let (_agent, device) = register_at(&server, &nosec(server.address));
        let output = Client::new(server.address, device, "get")
            .block_size(16)
            .accept(112)
            .send(&Path::instance(1, 0), &[], LIMIT)
            .unwrap();
        for block in ["Block2:0/M/16", "Block2:1/M/16", "Block2:2/M/16"] {
            assert!(output.stdout.contains(block), "no {block}: {output:?}");
        }
        assert!(!output.stdout.contains("c:4."), "{output:?}");
    });
}

#[test]
fn notifications_come_until_the_client_is_gone() {
    with_libcoap("is observed", |server| {
        let (agent, device) = register_at(&server, &nosec(server.address));
        let output = Client::new(server.address, device, "get")
            .observe(4)
            .send(&path("/3/0/16"), &["pmax=1"], LIMIT)
            .unwrap();
        let notifications = output.stdout.matches("Observe:").count();
        // The answer, and one a second; the request has an Observe option too.
        assert!(notifications >= 4, "{output:?}");
        agent.wait_log("observes /3/0/16", LIMIT).unwrap();
    });
}

#[test]
fn links_are_discovered() {
    with_libcoap("is discovered", |server| {
        let (_agent, device) = register_at(&server, &nosec(server.address));
        let output = Client::new(server.address, device, "get")
            .accept(40)
            .send(&Path::instance(1, 0), &["depth=1"], LIMIT)
            .unwrap();
        assert!(output.stdout.contains("</1/0>,</1/0/0>,</1/0/1>"), "{output:?}");
    });
}

/// Runs `scenario` with a libcoap server and keeps a record of it; without the programs
/// it only says so.
/// OBJ-94, OBJ-95: the package stands at the server itself, beside the registrations.
#[test]
fn a_package_is_fetched_in_blocks() {
    with_libcoap("gives a package to the agent", |server| {
        let folder = tempfile::tempdir().unwrap();
        let (package, installed) = (folder.path().join("package"), folder.path().join("installed"));
        let bytes: Vec<u8> = (0..100_003_u32).map(|at| (at / 7 % 251) as u8).collect();
        std::fs::write(&package, &bytes).unwrap();
        let uri = format!("coap://{}/fw", server.address);
        let mut put = Command::new("coap-client-notls");
        put.args(["-m", "put", "-b", "1024", "-f"]).arg(&package).arg(&uri);
        let put = program::run(&mut put, LIMIT).unwrap();
        assert!(put.status.is_some_and(|it| it.success()), "{put:?}");

        let firmware = json!({ "backend": "file", "path": installed });
        let config = nosec(server.address).general("objects", json!({ "firmware": firmware }));
        let (agent, device) = register_at(&server, &config);
        let request = |method: &str| Client::new(server.address, device, method);
        let output = request("put").payload(0, &uri).send(&path("/5/0/1"), &[], LIMIT).unwrap();
        assert!(output.stdout.contains("c:2.04"), "{output:?}");
        agent.wait_log("firmware update: Downloaded", LIMIT).unwrap();
        let output = request("post").send(&path("/5/0/2"), &[], LIMIT).unwrap();
        assert!(output.stdout.contains("c:2.04"), "{output:?}");
        agent.wait_log("result 1 (", LIMIT).unwrap();
        assert!(std::fs::read(&installed).unwrap() == bytes);
    });
}

fn with_libcoap(name: &str, scenario: impl FnOnce(CoapServer)) {
    if !libcoap::available() {
        return not_run(name, "libcoap", "needs the programs of libcoap");
    }
    scenario(libcoap::start_server().unwrap());
    scenario::ran("libcoap", name).unwrap();
}

/// An agent that is registered, and its address, which the server does not tell.
fn register_at(server: &CoapServer, config: &AgentConfig) -> (Agent, SocketAddr) {
    let agent = config.start().unwrap();
    agent.wait_log("registered with LwM2M 1.2", LIMIT).unwrap();
    let sockets = std::fs::read_to_string("/proc/net/udp").unwrap();
    // Addresses as the kernel has them in memory, ports as numbers, all in hexadecimal.
    let hex = |address: SocketAddr| {
        let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not IPv4") };
        format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
    };
    let remote = hex(server.address);
    let local = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&remote.as_str()))
        .unwrap_or_else(|| panic!("no socket at {remote}:\n{sockets}"))[1]
        .to_owned();
    let (_, port) = local.split_once(':').unwrap();
    let port = u16::from_str_radix(port, 16).unwrap();
    (agent, (Ipv4Addr::LOCALHOST, port).into())
}
