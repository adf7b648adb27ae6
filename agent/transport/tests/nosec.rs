//! Links without security over real sockets of the loopback.

mod driver;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use driver::{Driver, SERVER, Seen};
use lwm2m_engine::{Continuity, LinkId};
use lwm2m_security::{Psk, Secret};
use lwm2m_transport::{LinkSecurity, LinksConfig, MAX_LINKS, MAX_QUEUED};

const LINK: LinkId = LinkId(1);
const OTHER: LinkId = LinkId(2);

fn server() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Only ends a test that would hang.
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let uri = format!("coap://{}", socket.local_addr().unwrap());
    (socket, uri)
}

/// A port at which nothing listens.
fn closed_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn receive(server: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 4096];
    let (len, from) = server.recv_from(&mut buffer).unwrap();
    (buffer[..len].to_vec(), from)
}

fn driver() -> Driver {
    Driver::new(LinksConfig::default())
}

/// Opens a link and waits until it is up.
async fn up(driver: &mut Driver, link: LinkId, uri: &str) -> Continuity {
    driver.links.open(link, SERVER, uri, LinkSecurity::NoSec);
    match driver.event().await {
        Seen::Up(up, continuity, _) if up == link => continuity,
        other => panic!("{link:?} is not up: {other:?}"),
    }
}

fn psk() -> LinkSecurity {
    LinkSecurity::Psk(Psk::new("id", Secret::new(vec![1; 16])).unwrap())
}

#[tokio::test]
async fn datagrams_pass_both_ways() {
    let (server, uri) = server();
    let mut driver = driver();
    driver.links.open(LINK, SERVER, &uri, LinkSecurity::NoSec);
    assert_eq!(driver.event().await, Seen::Up(LINK, Continuity::New, 1232));
    driver.send(LINK, b"ping");
    let (bytes, from) = receive(&server);
    assert_eq!(bytes, b"ping");
    server.send_to(b"pong", from).unwrap();
    assert_eq!(driver.event().await, Seen::Datagram(LINK, b"pong".to_vec()));
}

#[tokio::test]
async fn forty_datagrams_take_three_turns_and_keep_their_order() {
    let (server, uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &uri).await;
    for number in 0..40 {
        driver.links.send(LINK, vec![number; 100]);
    }
    driver.links.flush();
    let mut from = server.local_addr().unwrap();
    for number in 0..40 {
        let (bytes, sender) = receive(&server);
        assert_eq!(bytes, [number; 100]);
        from = sender;
    }
    for number in 0..40 {
        server.send_to(&[number; 100], from).unwrap();
    }
    driver.turns = 0;
    for number in 0..40 {
        assert_eq!(driver.event().await, Seen::Datagram(LINK, vec![number; 100]));
    }
    assert_eq!(driver.turns, 3);
    assert_eq!(driver.links.counters(), Default::default());
}

#[tokio::test]
async fn a_closed_port_is_named() {
    let peer = closed_port();
    let mut driver = driver();
    up(&mut driver, LINK, &format!("coap://{peer}")).await;
    driver.send(LINK, b"register");
    let reason = format!("the port is closed: nothing listens at {peer}");
    assert_eq!(driver.event().await, Seen::Down(LINK, reason));
}

#[tokio::test]
async fn a_port_that_closes_later_is_counted_and_left_to_coap() {
    let (server, uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &uri).await;
    driver.send(LINK, b"register");
    let (_, from) = receive(&server);
    server.send_to(b"created", from).unwrap();
    driver.event().await;

    let address = server.local_addr().unwrap();
    drop(server);
    driver.send(LINK, b"lost");
    driver.send(LINK, b"update");
    assert_eq!(driver.links.counters().refused, 1);

    let server = UdpSocket::bind(address).unwrap();
    driver.send(LINK, b"update");
    assert_eq!(receive(&server).0, b"update");
    server.send_to(b"changed", from).unwrap();
    assert_eq!(driver.event().await, Seen::Datagram(LINK, b"changed".to_vec()));
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let mut driver = driver();
    driver.links.open(LINK, SERVER, "coap://nonexistent.invalid", LinkSecurity::NoSec);
    let Seen::Down(LINK, reason) = driver.event().await else { panic!("the name has no address") };
    assert!(reason.starts_with("cannot resolve nonexistent.invalid: "), "{reason}");
    assert!(!reason.contains("lookup"), "{reason}");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_one_clear_line() {
    for (uri, security, reason) in [
        (
            "coap+tcp://h",
            LinkSecurity::NoSec,
            "scheme coap+tcp needs the TCP binding, which this build does not have",
        ),
        (
            "coaps://127.0.0.1",
            LinkSecurity::NoSec,
            "coaps://127.0.0.1 needs a key, but the security mode is nosec: write coap://",
        ),
        (
            "coap://127.0.0.1",
            psk(),
            "coap://127.0.0.1 has no security, but the security mode is psk: write coaps://",
        ),
    ] {
        let mut driver = driver();
        driver.links.open(LINK, SERVER, uri, security);
        assert_eq!(driver.event().await, Seen::Down(LINK, reason.to_owned()));
    }
}

/// TRN-43.
#[tokio::test]
async fn a_reopened_link_keeps_its_port_and_its_continuity() {
    let (server, uri) = server();
    let mut driver = driver();
    assert_eq!(up(&mut driver, LINK, &uri).await, Continuity::New);
    driver.send(LINK, b"register");
    let (_, first) = receive(&server);
    server.send_to(b"created", first).unwrap();
    driver.event().await;
    driver.links.close(LINK);

    assert_eq!(up(&mut driver, OTHER, &uri).await, Continuity::Kept);
    driver.send(OTHER, b"update");
    assert_eq!(receive(&server).1, first);
}

#[tokio::test]
async fn a_port_the_server_never_saw_is_kept_without_continuity() {
    let (server, uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &uri).await;
    driver.send(LINK, b"register");
    let (_, first) = receive(&server);
    driver.links.close(LINK);
    assert_eq!(up(&mut driver, OTHER, &uri).await, Continuity::New);
    driver.send(OTHER, b"register");
    assert_eq!(receive(&server).1, first);
}

#[tokio::test]
async fn a_taken_port_means_another_port_and_a_new_start() {
    let (server, uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &uri).await;
    driver.send(LINK, b"register");
    let (_, first) = receive(&server);
    server.send_to(b"created", first).unwrap();
    driver.event().await;
    driver.links.close(LINK);

    let squatter = UdpSocket::bind(("0.0.0.0", first.port())).unwrap();
    assert_eq!(up(&mut driver, OTHER, &uri).await, Continuity::New);
    driver.links.close(OTHER);
    drop(squatter);
    // The server was not heard meanwhile: it still knows the first port.
    assert_eq!(up(&mut driver, LINK, &uri).await, Continuity::Kept);
}

#[tokio::test]
async fn strangers_empty_and_oversized_datagrams_do_no_harm() {
    let (server, uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &uri).await;
    driver.send(LINK, b"register");
    let (_, from) = receive(&server);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"reboot", from).unwrap();
    server.send_to(b"", from).unwrap();
    server.send_to(&[7; 5000], from).unwrap();
    server.send_to(&[7; 2048], from).unwrap();
    server.send_to(b"created", from).unwrap();
    assert_eq!(driver.event().await, Seen::Datagram(LINK, vec![7; 2048]));
    assert_eq!(driver.event().await, Seen::Datagram(LINK, b"created".to_vec()));
    let counters = driver.links.counters();
    assert_eq!((counters.empty, counters.truncated), (1, 1));
}

#[tokio::test]
async fn two_links_do_not_mix() {
    let (first, first_uri) = server();
    let (second, second_uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &first_uri).await;
    driver.links.open(OTHER, SERVER + 1, &second_uri, LinkSecurity::NoSec);
    assert_eq!(driver.event().await, Seen::Up(OTHER, Continuity::New, 1232));
    driver.send(OTHER, b"to the second");
    driver.send(LINK, b"to the first");
    let (bytes, from) = receive(&first);
    assert_eq!(bytes, b"to the first");
    let (bytes, other_from) = receive(&second);
    assert_eq!(bytes, b"to the second");
    second.send_to(b"b", other_from).unwrap();
    assert_eq!(driver.event().await, Seen::Datagram(OTHER, b"b".to_vec()));
    first.send_to(b"a", from).unwrap();
    assert_eq!(driver.event().await, Seen::Datagram(LINK, b"a".to_vec()));
}

#[tokio::test]
async fn what_nobody_flushes_is_sent_when_the_queue_is_full() {
    let (server, uri) = server();
    let mut driver = driver();
    up(&mut driver, LINK, &uri).await;
    for number in 0..=MAX_QUEUED {
        driver.links.send(LINK, vec![u8::try_from(number).unwrap()]);
    }
    for number in 0..MAX_QUEUED {
        assert_eq!(receive(&server).0, [u8::try_from(number).unwrap()]);
    }
    assert_eq!(driver.links.counters(), Default::default());
}

#[tokio::test]
async fn a_datagram_for_no_link_is_counted() {
    let (_server, uri) = server();
    let mut driver = driver();
    driver.send(LINK, b"nobody");
    driver.links.open(LINK, SERVER, &uri, LinkSecurity::NoSec);
    driver.send(LINK, b"not up yet");
    assert_eq!(driver.links.counters().unsent, 2);
}

#[tokio::test]
async fn the_number_of_links_is_bounded() {
    let (_server, uri) = server();
    let mut driver = driver();
    let count = u32::try_from(MAX_LINKS).unwrap();
    for number in 0..count {
        up(&mut driver, LinkId(number), &uri).await;
    }
    driver.links.open(LinkId(count), SERVER, &uri, LinkSecurity::NoSec);
    let reason = format!("{MAX_LINKS} links are open already");
    assert_eq!(driver.event().await, Seen::Down(LinkId(count), reason));
    driver.links.close(LinkId(0));
    up(&mut driver, LinkId(count), &uri).await;
}
