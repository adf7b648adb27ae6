//! How a fetch fails.

use std::time::Duration;

use lwm2m_coap::{Draft, option};
use lwm2m_engine::FetchFailureKind::{Damaged, InvalidUri, Lost};
use lwm2m_engine::{CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, FetchFailure, Fetched};
use lwm2m_model::{Code, Instant};

use crate::support::*;

#[test]
fn each_refusal_has_its_kind() {
    for (code, kind, cause) in [
        (Code::NOT_FOUND, InvalidUri, "the server answers 4.04 Not Found"),
        (Code::UNAUTHORIZED, InvalidUri, "the server answers 4.01 Unauthorized"),
        (Code::FORBIDDEN, InvalidUri, "the server answers 4.03 Forbidden"),
        (Code::METHOD_NOT_ALLOWED, InvalidUri, "the server answers 4.05 Method Not Allowed"),
        (Code::BAD_REQUEST, InvalidUri, "the server answers 4.00 Bad Request"),
        (Code::BAD_OPTION, InvalidUri, "the server answers 4.02 Bad Option"),
        (Code::CHANGED, InvalidUri, "the server answers 2.04 Changed"),
        (Code::new(2, 3), InvalidUri, "the server answers 2.03"),
        (Code::new(4, 29), Lost, "the server answers 4.29"),
        (Code::INTERNAL_SERVER_ERROR, Lost, "the server answers 5.00 Internal Server Error"),
        (Code::SERVICE_UNAVAILABLE, Lost, "the server answers 5.03 Service Unavailable"),
    ] {
        let always = Server::with(Vec::new(), move |_, _| Some(Reaction::Answer(Draft::new(code))));
        let outcome = Run::new(always).run();
        assert_eq!(outcome.failure(), (kind, cause));
        assert!(outcome.begins.is_empty());
    }
}

#[test]
fn a_refusal_in_the_middle_leaves_what_came() {
    for (code, kind, cause) in [
        (Code::NOT_FOUND, InvalidUri, "the server answers 4.04 Not Found"),
        (Code::SERVICE_UNAVAILABLE, Lost, "the server answers 5.03 Service Unavailable"),
        (
            Code::REQUEST_ENTITY_INCOMPLETE,
            Lost,
            "the server refuses the block at 3072: 4.08 Request Entity Incomplete",
        ),
        (Code::BAD_REQUEST, Lost, "the server refuses the block at 3072: 4.00 Bad Request"),
    ] {
        let server = Server::with(package(9000, 0), move |_, message| {
            let is_third = asked(message).unwrap().number >= 3;
            is_third.then(|| Reaction::Answer(Draft::new(code)))
        });
        let outcome = Run::new(server).run();
        assert_eq!(outcome.failure(), (kind, cause));
        assert!(outcome.bytes == package(3072, 0));
    }
}

#[test]
fn silence_and_resets_are_losses() {
    let silent = Server::with(package(9000, 0), |nth, _| (nth >= 2).then_some(Reaction::Silence));
    let outcome = Run::new(silent).run();
    assert_eq!(outcome.failure(), (Lost, "the server does not answer"));
    // Not before ACK_TIMEOUT and its four repetitions would end (RFC 7252 4.8), and with
    // more of them, since the first comes after the measured round trip.
    assert!((62..=94).contains(&outcome.at.as_secs()), "{:?}", outcome.at);
    assert!(outcome.numbers().iter().filter(|number| **number == 2).count() >= 8);
    assert!(outcome.bytes == package(2048, 0));

    let reset = Server::with(package(9000, 0), |nth, _| (nth >= 2).then_some(Reaction::Reset));
    let outcome = Run::new(reset).run();
    assert_eq!(outcome.failure(), (Lost, "the server rejects the request (Reset)"));
    assert!(outcome.bytes == package(2048, 0));
}

#[test]
fn a_link_that_does_not_come_up_or_breaks_says_why() {
    let failure = |kind| FetchFailure::new(kind, "why");
    let mut fetch = CoapFetch::new(CoapTarget::default(), None, [1; 32]);
    assert_eq!(fetch.poll_output(), Some(CoapFetchOutput::OpenLink));
    // Not up yet.
    fetch.handle(Instant::ZERO, CoapFetchInput::Datagram(b"x"));
    fetch.handle(Instant::ZERO, CoapFetchInput::Time);
    fetch.handle(Instant::ZERO, CoapFetchInput::LinkDown(failure(InvalidUri)));
    assert_eq!(fetch.poll_output(), Some(CoapFetchOutput::End(Err(failure(InvalidUri)))));
    assert_eq!(fetch.poll_output(), None);

    let mut run = Run::new(Server::new(package(1_000_000, 0)));
    run.broken_at = Some(1005);
    let outcome = run.run();
    assert_eq!(outcome.failure(), (Lost, "no network"));
    assert_eq!(outcome.at, Duration::from_millis(1005));
    assert!(outcome.bytes.len() > 40 * 1024);
    assert!(package(1_000_000, 0).starts_with(&outcome.bytes));
}

#[test]
fn blocks_that_make_no_package_are_damage() {
    let bytes = package(2000, 0);
    let piece = |from: usize, len: usize| bytes[from..from + len].to_vec();
    // Answers to the first and the second request.
    let table: Vec<(Draft, Draft, &str)> = vec![
        (
            block(0, true, 6, &piece(0, 1024)),
            block(2, false, 6, &piece(0, 10)),
            "the server gives the block at 2048, not at 1024",
        ),
        (
            block(0, true, 6, &piece(0, 1024)),
            block(1, true, 6, &piece(0, 1000)),
            "the server gives a block that is not as long as it says",
        ),
        (
            block(0, true, 5, &piece(0, 512)),
            block(1, false, 5, &piece(0, 513)),
            "the server gives a block that is not as long as it says",
        ),
        (
            block(0, true, 6, &piece(0, 1024)),
            block(1, true, 7, &piece(0, 1024)),
            "the server gives a block of the reserved size 7",
        ),
        (
            block(0, true, 6, &piece(0, 1024)).option_uint(option::SIZE2, 1500),
            block(1, false, 6, &piece(1024, 470)),
            "the package ends at 1494 and has 1500 bytes",
        ),
        (
            block(0, true, 6, &piece(0, 1024)).option_uint(option::SIZE2, 1500),
            block(1, true, 6, &piece(0, 1024)),
            "the package goes on after its 1500 bytes",
        ),
        (
            block(0, false, 6, &piece(0, 1000)).option_uint(option::SIZE2, 1500),
            Draft::new(Code::CONTENT),
            "the package ends at 1000 and has 1500 bytes",
        ),
    ];
    for (first, second, cause) in table {
        let answers = [first, second];
        let server = Server::with(Vec::new(), move |nth, _| {
            Some(Reaction::Answer(answers[nth.min(1)].clone()))
        });
        let outcome = Run::new(server).run();
        assert_eq!(outcome.failure(), (Damaged, cause));
    }
}

#[test]
fn a_package_that_changes_is_fetched_from_the_start_once() {
    for (changes, end) in [(&[5][..], Ok(2)), (&[5, 30], Err(Damaged)), (&[1, 4], Err(Damaged))] {
        for by_etag in [true, false] {
            let changes = changes.to_vec();
            let version = move |nth| changes.iter().filter(|change| **change <= nth).count();
            let server = Server::with(Vec::new(), move |nth, message| {
                let version = version(nth);
                let mut server = Server::new(package(30_000 + version, version as u8));
                server.etag = by_etag.then(|| vec![version as u8; 4]);
                let mut draft = server.answer(message);
                if !by_etag && message.option(option::SIZE2).is_none() {
                    // Without an ETag only the size tells.
                    draft = draft.option_uint(option::SIZE2, server.body.len() as u32);
                }
                Some(Reaction::Answer(draft))
            });
            let outcome = Run::new(server).run();
            match end {
                Ok(begins) => {
                    assert_eq!(outcome.result, Ok(()));
                    assert!(outcome.bytes == package(30_001, 1));
                    let last = outcome.begins.last().unwrap();
                    assert!(matches!(last, Fetched::Begin { offset: 0, size: Some(30_001), .. }));
                    assert!(outcome.begins.len() <= begins);
                }
                Err(kind) => {
                    let cause = "the package changed twice while it was fetched";
                    assert_eq!(outcome.failure(), (kind, cause));
                }
            }
        }
    }
}

#[test]
fn a_package_beyond_the_last_number_is_damage() {
    // 2^20 blocks of 16 bytes, then one more.
    let mut server = Server::new(package((16 << 20) + 1, 0));
    (server.szx, server.says_size) = (0, false);
    let mut run = Run::resume(server, (16 << 20) - 8, b"v1");
    run.max_datagram = 40;
    let outcome = run.run();
    let cause = "the package has more blocks of 16 bytes than have a number";
    assert_eq!(outcome.failure(), (Damaged, cause));
}
