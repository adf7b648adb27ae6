//! Sessions handed from an ended link to the next.

mod pair;

use lwm2m_security::{Import, LinkConfig, LinkError, Secret, State, Suite};
use pair::{Pair, client, config, psk, server};

/// TRN-103.
#[test]
fn a_session_is_resumed_with_fewer_messages_and_the_same_identity() {
    let server = server();
    let mut first = Pair::new(client(&config(), Import::Fresh), &server);
    first.shake_hands();
    first.client.close();
    first.deliver(|_, _| true);
    let session = first.client.export_session().unwrap();

    let mut second = Pair::new(client(&config(), Import::Session(session)), &server);
    second.shake_hands();
    assert_eq!(second.states(), (State::Established, State::Established));
    assert!(second.client.info().resumed);
    assert!(second.server.info().resumed);
    assert_eq!(second.server.info().peer_identity.as_deref(), Some(pair::IDENTITY.as_bytes()));
    assert_eq!(second.client.info().suite, first.client.info().suite);
    second.talk();
}

#[test]
fn a_resumed_session_can_be_resumed_again() {
    let server = server();
    let mut import = Import::Fresh;
    for resumed in [false, true, true] {
        let mut pair = Pair::new(client(&config(), import), &server);
        pair.shake_hands();
        assert_eq!(pair.client.info().resumed, resumed);
        import = Import::Session(pair.client.export_session().unwrap());
    }
}

#[test]
fn a_link_that_broke_off_can_be_resumed() {
    let server = server();
    let mut first = Pair::new(client(&config(), Import::Fresh), &server);
    first.shake_hands();
    let session = first.client.export_session().unwrap();
    // Neither side says goodbye: the address changed.
    drop(first);
    let mut second = Pair::new(client(&config(), Import::Session(session)), &server);
    second.shake_hands();
    assert!(second.client.info().resumed);
}

#[test]
fn a_server_that_forgot_gets_a_full_handshake_in_the_same_go() {
    let mut first = Pair::established();
    let session = first.client.export_session().unwrap();
    let mut second = Pair::new(client(&config(), Import::Session(session)), &server());
    second.shake_hands();
    assert_eq!(second.states(), (State::Established, State::Established));
    assert!(!second.client.info().resumed);
    second.talk();
}

#[test]
fn a_session_of_other_credentials_or_suites_is_not_offered() {
    let server = server();
    let mut first = Pair::new(client(&config(), Import::Fresh), &server);
    first.shake_hands();
    let session = first.client.export_session().unwrap();

    let fewer = LinkConfig { suites: vec![Suite::PskAes128Gcm], ..config() };
    let mut second = Pair::new(client(&fewer, Import::Session(session.clone())), &server);
    second.shake_hands();
    assert!(!second.client.info().resumed);
    assert_eq!(second.client.info().suite, Some(Suite::PskAes128Gcm));

    // A new key must be proven: the old session would let the client in.
    let other = LinkConfig::psk(psk(pair::IDENTITY.as_bytes(), b"0123456789ABCDEF"));
    let mut third = Pair::new(client(&other, Import::Session(session)), &server);
    third.shake_hands();
    assert_eq!(third.states(), (State::Handshaking, State::Handshaking));
}

#[test]
fn rubbish_for_a_session_means_a_full_handshake() {
    let mut first = Pair::established();
    let session = first.client.export_session().unwrap();
    let whole = session.expose();
    for blob in [vec![], vec![0; 40], whole[..whole.len() / 2].to_vec(), whole[..32].to_vec()] {
        let import = Import::Session(Secret::new(blob));
        let mut pair = Pair::new(client(&config(), import), &server());
        pair.shake_hands();
        assert!(!pair.client.info().resumed);
        pair.talk();
    }
}

#[test]
fn there_is_no_session_before_the_handshake_is_over() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
    assert_eq!(pair.client.export_session().unwrap_err(), LinkError::NoSession);
    pair.tick(pair::From::Client);
    assert_eq!(pair.client.export_session().unwrap_err(), LinkError::NoSession);
    assert_eq!(pair.server.export_session().unwrap_err(), LinkError::NoSession);
}
