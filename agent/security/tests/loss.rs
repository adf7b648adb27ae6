//! Handshakes over a network that loses datagrams.

mod pair;

use lwm2m_security::{Import, State};
use pair::{Pair, client, config, server};

/// Runs a handshake that loses the datagrams `lost` names by number.
fn survives(pair: &mut Pair, lost: impl Fn(usize) -> bool) {
    pair.tick(pair::From::Client);
    pair.deliver(|_, number| !lost(number));
    let mut rounds = 0;
    while pair.states() != (State::Established, State::Established) {
        rounds += 1;
        assert!(rounds < 10, "no progress: {:?} {:?}", pair.client, pair.server);
        pair.wait_for_timer();
        pair.deliver(|_, number| !lost(number));
    }
    assert_eq!((&pair.client_error, &pair.server_error), (&None, &None));
    pair.talk();
}

#[test]
fn any_one_datagram_of_a_full_handshake_may_be_lost() {
    for lost in 0..4 {
        let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
        survives(&mut pair, |number| number == lost);
    }
}

#[test]
fn any_one_datagram_of_a_resumption_may_be_lost() {
    for lost in 0..3 {
        let server = server();
        let mut first = Pair::new(client(&config(), Import::Fresh), &server);
        first.shake_hands();
        let session = first.client.export_session().unwrap();
        let mut second = Pair::new(client(&config(), Import::Session(session)), &server);
        survives(&mut second, |number| number == lost);
        assert!(second.client.info().resumed, "{lost}");
    }
}

#[test]
fn the_first_two_flights_may_be_lost() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
    survives(&mut pair, |number| number < 2);
}

#[test]
fn a_message_that_overtakes_the_end_of_the_handshake_is_read() {
    let mut pair = Pair::new(client(&config(), Import::Fresh), &server());
    pair.tick(pair::From::Client);
    // Everything but the last flight of the server.
    pair.deliver(|_, number| number < 3);
    let last_flight = pair.sent.last().unwrap().1.clone();
    assert_eq!(pair.states(), (State::Handshaking, State::Established));
    // The least that CoAP sends: nonce and tag of the longest suite are longer.
    pair.server.write(&[0x70, 0, 1, 2]).unwrap();
    let message = pair.server.poll_datagram().unwrap();
    pair.inject(pair::From::Server, &message);
    assert_eq!(pair.client.read(), None, "not before the server has proven itself");
    pair.inject(pair::From::Server, &last_flight);
    assert_eq!(pair.client.read().as_deref(), Some(&[0x70, 0, 1, 2][..]));
}

#[test]
fn a_handshake_that_is_over_needs_no_timer() {
    let mut pair = Pair::established();
    assert_eq!(pair.client.timeout(), None);
    assert_eq!(pair.server.timeout(), None);
}
