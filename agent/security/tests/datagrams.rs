//! Datagrams of every kind on links that are up or coming up.

mod pair;

use lwm2m_model::Instant;
use lwm2m_security::{Import, LinkConfig, LinkError, MAX_UNREAD, State, Suite};
use pair::{From, Pair, client, config, server, server_with};

/// What a stranger may send to a client: each must change nothing.
fn rubbish() -> Vec<(&'static str, Vec<u8>)> {
    let record = |kind: u8, epoch: u8, body: &[u8]| {
        let mut record = vec![kind, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 99];
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    };
    let random: Vec<u8> =
        (0..200u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut rows = vec![
        ("empty", vec![]),
        ("one byte", vec![22]),
        ("random bytes", random),
        ("truncated header", record(23, 1, b"")[..7].to_vec()),
        ("9000 bytes", vec![0x5A; 9000]),
        ("65507 bytes", vec![23; 65_507]),
        ("a CoAP message", vec![0x40, 0x01, 0x12, 0x34, 0xB1, b'3']),
        ("unknown record type", record(99, 0, b"abc")),
        ("unknown version", vec![22, 9, 9, 0, 0, 0, 0, 0, 0, 0, 99, 0, 1, 1]),
        ("a record longer than the datagram", record(23, 1, &[0; 50])[..40].to_vec()),
        ("bad tag", record(23, 1, &[0x33; 60])),
        ("bad tag of a handshake record", record(22, 1, &[0x33; 60])),
        ("bad tag of an alert", record(21, 1, &[0x33; 18])),
        ("plaintext application data", record(23, 0, b"abc")),
        ("plaintext handshake of no length", record(22, 0, b"")),
        ("plaintext handshake of nonsense", record(22, 0, &[0x11; 40])),
        ("plaintext alert of nonsense", record(21, 0, &[0x11; 2])),
        ("plaintext ChangeCipherSpec of nonsense", record(20, 0, &[0x11; 3])),
        ("epoch to come", record(23, 7, &[0x33; 60])),
    ];
    for len in 0..=24 {
        rows.push(("short fragment", record(23, 1, &vec![0x11; len])));
    }
    rows
}

/// Suites of the client and of the server: one that is agreed upon from the
/// start, and one that the client learns of on the way.
fn suites() -> Vec<(Vec<Suite>, Vec<Suite>)> {
    let mut rows: Vec<_> = Suite::ALL.into_iter().map(|s| (vec![s], Suite::ALL.to_vec())).collect();
    rows.push((vec![], vec![Suite::PskAes128Gcm]));
    rows
}

fn new_pair(client_suites: &[Suite], server_suites: &[Suite]) -> Pair {
    let config = LinkConfig { suites: client_suites.to_vec(), ..config() };
    Pair::new(client(&config, Import::Fresh), &server_with(server_suites))
}

#[test]
fn rubbish_does_not_harm_an_established_link() {
    let plain_alert = ("plain alert", vec![21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 50, 0, 2, 2, 40]);
    for (client_suites, server_suites) in suites() {
        let mut pair = new_pair(&client_suites, &server_suites);
        pair.shake_hands();
        for (what, datagram) in rubbish().into_iter().chain([plain_alert.clone()]) {
            for from in [From::Server, From::Client] {
                pair.inject(from, &datagram);
                pair.deliver(|_, _| true);
            }
            assert_eq!((&pair.client_error, &pair.server_error), (&None, &None), "{what}");
            assert_eq!(pair.states(), (State::Established, State::Established), "{what}");
            pair.talk();
        }
    }
}

#[test]
fn rubbish_does_not_harm_a_handshake() {
    for (client_suites, server_suites) in suites() {
        for (what, datagram) in rubbish() {
            let mut pair = new_pair(&client_suites, &server_suites);
            pair.inject(From::Client, &datagram);
            pair.tick(From::Client);
            while pair.states() != (State::Established, State::Established) {
                pair.inject(From::Server, &datagram);
                pair.inject(From::Client, &datagram);
                // One datagram at a time, rubbish before each.
                let next = pair.client.poll_datagram().map(|d| (From::Client, d));
                let next = next.or_else(|| pair.server.poll_datagram().map(|d| (From::Server, d)));
                let (from, real) = next.unwrap_or_else(|| panic!("{what}: stuck"));
                pair.inject(from, &real);
            }
            pair.talk();
            assert_eq!((&pair.client_error, &pair.server_error), (&None, &None), "{what}");
        }
    }
}

#[test]
fn a_forged_alert_can_end_a_handshake_and_is_no_proof_of_anything() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
    pair.tick(From::Client);
    pair.inject(From::Server, &[21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 51]);
    assert_eq!(
        pair.client_error.take().unwrap().to_string(),
        "the server refused the handshake (alert 51 decrypt_error): most likely the key is wrong"
    );
}

#[test]
fn several_records_in_one_datagram_are_several_messages() {
    let mut pair = Pair::established();
    for message in ["one", "two", "three"] {
        pair.client.write(message.as_bytes()).unwrap();
    }
    let datagram: Vec<u8> = std::iter::from_fn(|| pair.client.poll_datagram()).flatten().collect();
    pair.inject(From::Client, &datagram);
    let read: Vec<_> = std::iter::from_fn(|| pair.server.read()).collect();
    assert_eq!(read, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn messages_that_nobody_reads_do_not_pile_up() {
    let mut pair = Pair::established();
    for _ in 0..MAX_UNREAD + 10 {
        pair.client.write(b"again").unwrap();
        pair.deliver(|_, _| true);
    }
    assert_eq!(std::iter::from_fn(|| pair.server.read()).count(), MAX_UNREAD);
    pair.talk();
}

#[test]
fn a_duplicate_of_a_record_is_read_once() {
    let mut pair = Pair::established();
    pair.client.write(b"exec").unwrap();
    let datagram = pair.client.poll_datagram().unwrap();
    pair.inject(From::Client, &datagram);
    pair.inject(From::Client, &datagram);
    assert_eq!(std::iter::from_fn(|| pair.server.read()).count(), 1);
}

#[test]
fn the_largest_message_fits_the_datagram_exactly() {
    for suite in Suite::ALL {
        for max_datagram in [256, 576, 1232, 1472, 9000, 65_507] {
            let config = LinkConfig { suites: vec![suite], max_datagram, ..config() };
            let mut pair = Pair::new(client(&config, Import::Fresh), &server());
            pair.shake_hands();
            let max = pair.client.max_payload();
            pair.client.write(&vec![1; max]).unwrap();
            let datagram = pair.client.poll_datagram().unwrap();
            assert_eq!(datagram.len(), max_datagram.min(16_384 + 13 + 8 + overhead(suite)));
            assert_eq!(pair.client.poll_datagram(), None);
            pair.inject(From::Client, &datagram);
            assert_eq!(pair.server.read().map(|m| m.len()), Some(max), "{suite} {max_datagram}");
            assert_eq!(
                pair.client.write(&vec![1; max + 1]),
                Err(LinkError::TooBig { len: max + 1, max })
            );
            pair.talk();
        }
    }
}

/// Bytes of the tag.
fn overhead(suite: Suite) -> usize {
    if suite == Suite::PskAes128Ccm8 { 8 } else { 16 }
}

#[test]
fn no_flight_exceeds_the_largest_datagram() {
    for max_datagram in [256, 1232, 65_507] {
        let (identity, key) = ([b'i'; 128], [1; 64]);
        let config = LinkConfig { max_datagram, ..LinkConfig::psk(pair::psk(&identity, &key)) };
        let server = pair::server_for(&identity, &key);
        let mut pair = Pair::new(client(&config, Import::Fresh), &server);
        pair.shake_hands();
        pair.talk();
        for (from, datagram) in &pair.sent {
            assert!(*from == From::Server || datagram.len() <= max_datagram, "{max_datagram}");
        }
    }
}

#[test]
fn an_empty_message_sends_nothing() {
    let mut pair = Pair::established();
    assert_eq!(pair.client.write(b""), Ok(()));
    assert_eq!(pair.client.poll_datagram(), None);
    pair.talk();
}

#[test]
fn close_says_goodbye_and_the_peer_answers() {
    let mut pair = Pair::established();
    pair.server.write(b"last words").unwrap();
    pair.server.close();
    pair.deliver(|_, _| true);
    assert_eq!(pair.client_error, Some(LinkError::ClosedByPeer));
    assert_eq!(pair.client_error.take().unwrap().to_string(), "the server closed the DTLS link");
    assert_eq!(pair.client.read().as_deref(), Some(&b"last words"[..]), "read after the end");
    assert_eq!(pair.sent.last().unwrap().0, From::Client, "close_notify in answer");
    assert_eq!(pair.states(), (State::Closed, State::Closed));
    assert_eq!(pair.client.timeout(), None);
    assert_eq!(pair.client.write(b"x"), Err(LinkError::Closed));
    assert_eq!(pair.server.write(b"x"), Err(LinkError::Closed));
}

#[test]
fn close_in_a_handshake_is_quiet() {
    let mut link = client(&config(), Import::Fresh);
    link.handle_timeout(Instant::ZERO).unwrap();
    while link.poll_datagram().is_some() {}
    link.close();
    assert_eq!(link.poll_datagram(), None);
    assert_eq!(link.handle_timeout(Instant::ZERO), Ok(State::Closed));
    assert_eq!(link.handle_datagram(Instant::ZERO, b"x"), Ok(State::Closed));
}
