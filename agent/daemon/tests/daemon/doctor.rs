//! `Diagnose`: each area broken on purpose, and found.

use lwm2m_bus::{Finding, Verdict, first_to_fix};
use lwm2m_test_bus::ModemManager;
use lwm2m_test_server::ServerConfig;

use crate::support::{Bus, Daemon, Lab, Link, closed_port, configuration, server, server_with};

const KEY: &str = "hex: \"11111111111111111111111111111111\"";

/// A daemon on a bus of its own, when it has said `line`.
async fn started(text: &str, line: &str) -> Option<(Lab, Bus, Daemon)> {
    let lab = Lab::new(text);
    let bus = Bus::start(&lab)?;
    let mut daemon = lab.start_on(&Bus::address(&lab));
    daemon.shows("info: D-Bus: org.lwm2md is on").await;
    if !line.is_empty() {
        daemon.shows(line).await;
    }
    Some((lab, bus, daemon))
}

/// What is found in an area; one line each.
fn in_area<'a>(findings: &'a [Finding], area: &str) -> &'a Finding {
    let found: Vec<_> = findings.iter().filter(|finding| finding.area == area).collect();
    assert_eq!(found.len(), 1, "{area} in {findings:#?}");
    found[0]
}

fn assert_first(findings: &[Finding], area: &str, text: &str, advice: &str) {
    let first = first_to_fix(findings).unwrap();
    assert_eq!((first.area.as_str(), first.verdict()), (area, Verdict::Failed), "{findings:#?}");
    assert!(first.text.contains(text), "{first:?}");
    assert!(first.advice.as_ref().unwrap().contains(advice), "{first:?}");
}

#[tokio::test]
async fn a_registered_agent_is_well_but_for_services_that_are_not_there() {
    let dtls = ServerConfig {
        coap: None,
        coaps: Some(([127, 0, 0, 1], 0).into()),
        psk: vec![(b"right".to_vec(), vec![0x11; 16])],
        ..ServerConfig::default()
    };
    let (_server, address) = server_with(dtls).await;
    let text = configuration(&[Link::psk(101, address, "right", KEY)]);
    let ran = started(&text, "info: server 101: registered").await;
    let Some((_lab, bus, daemon)) = ran else { return };
    let found = bus.client().await.diagnose().await.unwrap();
    for (area, text) in [
        ("configuration", "lwm2md.yaml is valid"),
        ("keys", "the key of one server can be read"),
        ("clock", "it is set"),
        ("store", "is stored"),
        ("DNS", "leads to 127.0.0.1"),
        ("route", "is reached from 127.0.0.1"),
        ("port", "the server answers"),
        ("handshake", "done (psk)"),
        ("registration", "registered with LwM2M 1.2"),
    ] {
        let finding = in_area(&found, area);
        assert_eq!((finding.verdict(), &finding.advice), (Verdict::Ok, &None), "{finding:?}");
        assert!(finding.text.contains(text), "{finding:?}");
    }
    // Neither logind nor polkit is on this bus; what a server may do without them is less.
    let rights: Vec<_> = found.iter().filter(|it| it.area == "D-Bus rights").collect();
    for (finding, service) in rights.iter().zip(["login1", "PolicyKit1"]) {
        assert_eq!(finding.verdict(), Verdict::Warning);
        assert!(finding.text.contains(&format!("{service} is not on the bus")), "{finding:?}");
    }
    assert_eq!((rights.len(), found.len()), (2, 11), "{found:#?}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_keeps_the_agent_from_its_server_is_found() {
    let dtls = ServerConfig {
        coap: None,
        coaps: Some(([127, 0, 0, 1], 0).into()),
        psk: vec![(b"right".to_vec(), vec![0x11; 16])],
        ..ServerConfig::default()
    };
    let (_server, address) = server_with(dtls).await;
    let closed = closed_port();
    let nameless = Link { uri: "coap://lwm2m.invalid".into(), ..Link::nosec(101, closed) };
    let broadcast = Link::nosec(101, ([255, 255, 255, 255], 5683).into());
    for (link, area, text, advice) in [
        (nameless, "DNS", "cannot resolve lwm2m.invalid", "/etc/resolv.conf"),
        (broadcast, "route", "nothing out to 255.255.255.255", "firewall"),
        (Link::nosec(101, closed), "port", "nothing listens at 127.0.0.1", "start the server"),
        (Link::psk(101, closed, "right", KEY), "port", "nothing listens at", "start the server"),
        (Link::psk(101, address, "wrong", KEY), "handshake", "refused the handshake", "identity"),
    ] {
        let text_of = configuration(&[link.with("retry: {timer: 600}")]);
        let ran = started(&text_of, "warn: server 101: ").await;
        let Some((_lab, bus, daemon)) = ran else { return };
        let found = bus.client().await.diagnose().await.unwrap();
        assert_first(&found, area, text, advice);
        let registration = in_area(&found, "registration");
        assert_eq!(registration.verdict(), Verdict::Failed, "{registration:?}");
        assert!(registration.text.contains("next attempt in"), "{registration:?}");
        daemon.stop().await;
    }
}

/// Nothing is known of it before its time is over, and nothing else is said.
#[tokio::test]
async fn a_server_that_is_silent_is_a_warning_until_its_time_is_over() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    for link in [Link::nosec(101, address), Link::psk(101, address, "right", KEY)] {
        let Some((_lab, bus, daemon)) = started(&configuration(&[link]), "").await else { return };
        let found = bus.client().await.diagnose().await.unwrap();
        let port = in_area(&found, "port");
        assert_eq!(port.verdict(), Verdict::Warning, "{port:?}");
        assert!(port.text.contains("nothing was heard"), "{port:?}");
        assert_eq!(in_area(&found, "registration").verdict(), Verdict::Warning);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_configuration_that_would_not_start_again_is_found() {
    let (_server, address) = server().await;
    let good = configuration(&[Link::nosec(101, address)]);
    let ran = started(&good, "info: server 101: registered").await;
    let Some((lab, bus, daemon)) = ran else { return };
    let agent = bus.client().await;

    lab.write("lwm2md.yaml", format!("{good}nonsense: 1\n"));
    let found = agent.diagnose().await.unwrap();
    assert_first(&found, "configuration", "lwm2md.yaml:7:1: ", "lwm2md --check");
    // It runs on with what it has read before.
    assert_eq!(in_area(&found, "registration").verdict(), Verdict::Ok);

    let key = format!("file: {}", lab.path("none.key").display());
    lab.write("lwm2md.yaml", configuration(&[Link::psk(101, address, "right", &key)]));
    let found = agent.diagnose().await.unwrap();
    assert_first(&found, "keys", "servers[0].security.key: cannot read key file", "--check");

    lab.write("lwm2md.yaml", configuration(&[Link::nosec(101, closed_port())]));
    let found = agent.diagnose().await.unwrap();
    let finding = in_area(&found, "configuration");
    assert_eq!(finding.verdict(), Verdict::Warning, "{finding:?}");
    assert_eq!(finding.advice.as_deref(), Some("systemctl reload lwm2md"));
    daemon.stop().await;
}

#[tokio::test]
async fn rauc_that_is_configured_and_not_there_is_found() {
    let (_server, address) = server().await;
    let text = configuration(&[Link::nosec(101, address)]);
    let text = format!("{text}objects: {{firmware: {{backend: rauc}}}}\n");
    let ran = started(&text, "info: server 101: registered").await;
    let Some((_lab, bus, daemon)) = ran else { return };
    let found = bus.client().await.diagnose().await.unwrap();
    assert_first(&found, "D-Bus rights", "de.pengutronix.rauc is not on the bus", "rauc");
    daemon.stop().await;
}

/// Of a modem nothing is said before there is ModemManager.
#[tokio::test]
async fn the_rights_of_services_that_are_there_are_looked_at() {
    let (_server, address) = server().await;
    let text = configuration(&[Link::nosec(101, address)]);
    let ran = started(&text, "info: server 101: registered").await;
    let Some((lab, bus, daemon)) = ran else { return };
    let agent = bus.client().await;
    let of_modem = async || {
        let found = agent.diagnose().await.unwrap();
        found.into_iter().find(|finding| finding.text.contains("modem"))
    };
    assert_eq!(of_modem().await, None);
    let _service = ModemManager::start(&Bus::address(&lab)).await;
    let finding = of_modem().await.unwrap();
    assert_eq!(finding.verdict(), Verdict::Warning);
    assert!(finding.text.contains("PolicyKit1 is not on the bus"), "{finding:?}");
    daemon.stop().await;
}

/// logind without polkit denies what it could not ask for; no rule would change that.
#[tokio::test]
async fn without_polkit_no_rule_of_it_is_asked_for() {
    let (_server, address) = server().await;
    let text = configuration(&[Link::nosec(101, address)]);
    let ran = started(&text, "info: server 101: registered").await;
    let Some((lab, bus, daemon)) = ran else { return };
    let address = Bus::address(&lab);
    let builder = zbus::connection::Builder::address(address.as_str());
    let _logind = builder.name("org.freedesktop.login1").build().await.unwrap();
    let found = bus.client().await.diagnose().await.unwrap();
    let finding = found.iter().find(|it| it.text.contains("restart the device")).unwrap();
    assert!(finding.text.contains("PolicyKit1 is not on the bus"), "{finding:?}");
    assert!(finding.advice.as_deref().unwrap().contains("install polkitd"), "{finding:?}");
    daemon.stop().await;
}
