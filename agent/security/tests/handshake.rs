//! Handshakes that work and handshakes that must not.

mod pair;

use std::time::Duration;

use lwm2m_security::{
    Alert, Backend, Import, LinkConfig, LinkError, OpenSsl, Silence, State, Suite, Treatment,
    Version,
};
use pair::{Pair, client, config, psk, server, server_for};

#[test]
fn each_suite_comes_up_and_carries_messages() {
    for suite in Suite::ALL {
        let config = LinkConfig { suites: vec![suite], ..config() };
        let mut pair = Pair::new(client(&config, Import::Fresh), &server());
        pair.shake_hands();
        assert_eq!(pair.states(), (State::Established, State::Established), "{suite}");
        let info = pair.client.info();
        assert_eq!(info.suite, Some(suite));
        assert_eq!(info.version, Version::Dtls12);
        assert!(!info.resumed);
        assert_eq!(info.peer_identity, None);
        assert_eq!(pair.server.info().suite, Some(suite));
        assert_eq!(pair.server.info().peer_identity.as_deref(), Some(pair::IDENTITY.as_bytes()));
        pair.talk();
    }
}

/// TRN-92.
#[test]
fn ccm8_is_the_first_choice() {
    assert_eq!(Pair::established().client.info().suite, Some(Suite::PskAes128Ccm8));
}

/// The suites and the extension types of a ClientHello.
fn offer_of(config: &LinkConfig) -> (Vec<u16>, Vec<u16>) {
    let mut link = client(config, Import::Fresh);
    link.handle_timeout(lwm2m_model::Instant::ZERO).unwrap();
    let hello = link.poll_datagram().unwrap();
    let number = |at: usize| u16::from_be_bytes([hello[at], hello[at + 1]]);
    // Record header, handshake header, version, random, two empty vectors
    // (session id, cookie), then the suites.
    let suites_at = 13 + 12 + 2 + 32 + 2;
    let suites_end = suites_at + 2 + usize::from(number(suites_at));
    let suites = (suites_at + 2..suites_end).step_by(2).map(number).collect();
    // One compression method, then the extensions.
    let mut extensions = Vec::new();
    let mut at = suites_end + 2 + 2;
    while at < hello.len() {
        extensions.push(number(at));
        at += 4 + usize::from(number(at + 2));
    }
    (suites, extensions)
}

/// TRN-94; OBJ-25.
#[test]
fn the_client_offers_exactly_its_suites() {
    for (suites, offered) in [
        (vec![], vec![0xC0A8, 0xC0A4, 0x00A8]),
        (vec![Suite::PskAes128Gcm], vec![0x00A8]),
        (vec![Suite::PskAes128Gcm, Suite::PskAes128Ccm8], vec![0x00A8, 0xC0A8]),
    ] {
        let (mut codes, _) = offer_of(&LinkConfig { suites, ..config() });
        codes.retain(|code| *code != EMPTY_RENEGOTIATION_INFO);
        assert_eq!(codes, offered);
    }
}

#[test]
fn the_client_asks_for_the_extended_master_secret_and_for_no_ticket() {
    let (_, extensions) = offer_of(&config());
    assert!(extensions.contains(&EXTENDED_MASTER_SECRET), "{extensions:?}");
    assert!(!extensions.contains(&SESSION_TICKET), "{extensions:?}");
}

#[test]
fn nothing_happens_before_the_first_timeout() {
    let mut link = client(&config(), Import::Fresh);
    assert_eq!(link.timeout(), Some(lwm2m_model::Instant::ZERO));
    assert_eq!(link.poll_datagram(), None);
    assert_eq!(link.handle_datagram(lwm2m_model::Instant::ZERO, b"early"), Ok(State::Handshaking));
    assert_eq!(link.poll_datagram(), None);
    assert_eq!(link.info().suite, None);
    assert_eq!(link.write(b"early"), Err(LinkError::NotEstablished));
}

#[test]
fn a_server_waits_for_a_client_without_a_timer() {
    let mut link = server().accept().unwrap();
    assert_eq!(link.timeout(), None);
    assert_eq!(link.handle_timeout(lwm2m_model::Instant::ZERO), Ok(State::Handshaking));
    assert_eq!(link.timeout(), None);
}

/// TRN-92; OBJ-31.
#[test]
fn the_longest_identity_and_key_are_taken() {
    let (identity, key) = ([b'i'; 128], [0xA5; 64]);
    let config = LinkConfig { ..LinkConfig::psk(psk(&identity, &key)) };
    let mut pair = Pair::new(client(&config, Import::Fresh), &server_for(&identity, &key));
    pair.shake_hands();
    assert_eq!(pair.states(), (State::Established, State::Established));
    assert_eq!(pair.server.info().peer_identity.as_deref(), Some(&identity[..]));
}

#[test]
fn an_identity_of_any_bytes_but_zero_is_taken() {
    let identity = [1, 0xFF, 0x80, b'\n'];
    let config = LinkConfig::psk(psk(&identity, &pair::KEY));
    let mut pair = Pair::new(client(&config, Import::Fresh), &server_for(&identity, &pair::KEY));
    pair.shake_hands();
    assert_eq!(pair.server.info().peer_identity.as_deref(), Some(&identity[..]));
}

#[test]
fn a_wrong_key_meets_silence_and_the_timeout_says_so() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server_for(ID, b"another key"));
    pair.shake_hands();
    assert_eq!(pair.client_error, None, "DTLS drops what it cannot read");
    assert_eq!(pair.states(), (State::Handshaking, State::Handshaking));
    assert_eq!(pair.server.info().peer_identity, None, "nothing is proven yet");
    pair.skipped = Duration::from_secs(60);
    pair.tick(pair::From::Client);
    let error = pair.client_error.take().unwrap();
    assert_eq!(
        error.to_string(),
        "the server did not confirm the keys of the DTLS handshake in 60 s: \
         most likely the key is wrong"
    );
    assert_eq!(pair.client.timeout(), None);
    assert_eq!(pair.client.write(b"late"), Err(LinkError::Closed));
}

#[test]
fn an_unknown_identity_is_refused_with_its_alert() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server_for(b"other", &pair::KEY));
    pair.shake_hands();
    let error = pair.client_error.take().unwrap();
    assert_eq!(
        error.to_string(),
        "the server refused the handshake (alert 115 unknown_psk_identity): \
         the server does not know the identity"
    );
    assert_eq!(error.alert().map(Alert::treatment), Some(Treatment::Fail));
    assert_eq!(
        pair.server_error.take().unwrap().to_string(),
        "the DTLS handshake failed here: psk identity not found"
    );
    assert_eq!(pair.states(), (State::Closed, State::Closed));
}

#[test]
fn a_silent_server_is_given_up_after_the_limit_of_the_callers_time() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
    pair.tick(pair::From::Client);
    let first = pair.client.timeout().unwrap();
    assert!(first <= pair.now() + pair::QUICK);
    pair.skipped = Duration::from_secs(59);
    pair.tick(pair::From::Client);
    assert_eq!(pair.client_error, None);
    pair.skipped = Duration::from_secs(60);
    pair.tick(pair::From::Client);
    assert_eq!(
        pair.client_error,
        Some(LinkError::HandshakeTimeout {
            limit: Duration::from_secs(60),
            silence: Silence::FromStart
        })
    );
}

#[test]
fn a_server_that_stops_halfway_is_told_from_a_silent_one() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
    pair.tick(pair::From::Client);
    // The ServerHello arrives, the ServerHelloDone does not.
    pair.deliver(|from, _| from == pair::From::Client);
    let flight = pair.sent.last().unwrap().1.clone();
    let hello_len = 13 + usize::from(u16::from_be_bytes([flight[11], flight[12]]));
    assert!(hello_len < flight.len(), "the flight is one datagram");
    pair.inject(pair::From::Server, &flight[..hello_len]);
    pair.skipped = Duration::from_secs(60);
    pair.tick(pair::From::Client);
    assert_eq!(
        pair.client_error.take().unwrap().to_string(),
        "the server answered, but did not finish the DTLS handshake in 60 s"
    );
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let backend = OpenSsl::new().unwrap();
    let small = LinkConfig { max_datagram: 255, ..config() };
    let error = backend.client(&small, Import::Fresh).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a largest datagram of 255 bytes is too small for DTLS, the least is 256"
    );
}

#[test]
fn the_library_has_every_suite() {
    let backend = OpenSsl::new().unwrap();
    assert_eq!(backend.caps().suites, Suite::ALL);
    assert!(backend.caps().library.starts_with("OpenSSL "), "{}", backend.caps().library);
}

const ID: &[u8] = pair::IDENTITY.as_bytes();

/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 3.3): no suite but a signal, that
/// some versions of the library send as an extension instead.
const EMPTY_RENEGOTIATION_INFO: u16 = 0x00FF;

/// RFC 7627 5.1 and RFC 5077 3.2.
const EXTENDED_MASTER_SECRET: u16 = 23;
const SESSION_TICKET: u16 = 35;
