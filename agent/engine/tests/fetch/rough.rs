//! Networks that lose, double and reorder, and servers that send anything.

use lwm2m_coap::{Kind, Message};
use lwm2m_engine::{CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, FetchFailureKind};
use lwm2m_model::Instant;
use proptest::prelude::*;

use crate::support::*;

#[test]
fn loss_duplicates_and_disorder_change_nothing() {
    type Network = (&'static str, fn(usize) -> Vec<u64>);
    let networks: [Network; 5] = [
        (
            "one of 20 is lost",
            |nth| if scattered(nth).is_multiple_of(20) { vec![] } else { vec![10] },
        ),
        (
            "one of 4 is lost",
            |nth| if scattered(nth).is_multiple_of(4) { vec![] } else { vec![10] },
        ),
        ("all come twice", |_| vec![10, 15]),
        ("some come late", |nth| vec![if scattered(nth).is_multiple_of(7) { 900 } else { 10 }]),
        ("some come so late that they are repeated", |nth| match scattered(nth) % 9 {
            0 => vec![4000],
            3 => vec![],
            5 => vec![10, 3500],
            _ => vec![10],
        }),
    ];
    for (name, fate) in networks {
        for szx in [2, 6] {
            for resume in [None, Some(12_345)] {
                let mut server = Server::new(package(50_000, 0));
                server.szx = szx;
                let mut run = match resume {
                    None => Run::new(server),
                    Some(offset) => Run::resume(server, offset, b"v1"),
                };
                run.fate = Box::new(fate);
                let outcome = run.run();
                assert_eq!(outcome.result, Ok(()), "{name}");
                let from = resume.unwrap_or(0);
                assert_eq!(outcome.begin().0, from, "{name}");
                assert!(outcome.bytes == package(50_000, 0)[from as usize..], "{name}");
            }
        }
    }
}

/// After so many attempts the network gets better.
const ROUGH_ATTEMPTS: usize = 5;

/// Numbers without a pattern that could meet one block again and again.
fn scattered(nth: usize) -> usize {
    nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// OBJ-94: whatever the network does, it is the package or a loss, from which another
    /// attempt goes on.
    #[test]
    fn any_network_gives_the_package_or_a_loss(
        fates in proptest::collection::vec(
            prop_oneof![
                3 => Just(vec![10]),
                2 => Just(vec![]),
                1 => (0_u64..6000).prop_map(|delay| vec![delay]),
                1 => (0_u64..9000).prop_map(|delay| vec![10, delay]),
            ],
            1..60,
        ),
        len in 0_usize..40_000,
        szx in 3_u8..=6,
        resume in proptest::option::of(1_u64..40_000),
        says_size in any::<bool>(),
        has_etag in any::<bool>(),
    ) {
        let (whole, mut from) = (package(len, 0), resume);
        let mut stored = match resume {
            Some(offset) if offset <= len as u64 => whole[..offset as usize].to_vec(),
            _ => Vec::new(),
        };
        for attempt in 0..=ROUGH_ATTEMPTS {
            let mut server = Server::new(whole.clone());
            (server.szx, server.says_size) = (szx, says_size);
            server.etag = has_etag.then(|| b"v1".to_vec());
            let mut run = match from {
                None => Run::new(server),
                Some(offset) => Run::resume(server, offset, b"v1"),
            };
            let fates = fates.clone();
            if attempt < ROUGH_ATTEMPTS {
                run.fate = Box::new(move |nth| fates[(nth + attempt) % fates.len()].clone());
            }
            let outcome = run.run();
            if let Some(begin) = outcome.begins.last() {
                // More than there is cannot be stored of the same version.
                let is_wrong = from > Some(len as u64);
                prop_assert!(outcome.begins.len() == 1 || is_wrong);
                let lwm2m_engine::Fetched::Begin { offset, .. } = begin else { panic!() };
                stored.truncate(*offset as usize);
                prop_assert_eq!(stored.len() as u64, *offset);
                stored.extend(&outcome.bytes);
            }
            prop_assert!(whole.starts_with(&stored));
            from = (!stored.is_empty()).then_some(stored.len() as u64);
            match outcome.result {
                Ok(()) => {
                    prop_assert!(stored == whole);
                    break;
                }
                Err(failure) => {
                    prop_assert_eq!(failure.kind, FetchFailureKind::Lost);
                    prop_assert!(attempt < ROUGH_ATTEMPTS, "on a network that loses nothing");
                }
            }
        }
    }

    /// Whatever a server sends: no panic, no end without a result, no memory without bound.
    #[test]
    fn any_answers_end_or_wait(
        answers in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..80), any::<bool>()),
            0..200,
        ),
        resume in proptest::option::of(any::<u64>()),
    ) {
        let resume = resume
            .filter(|offset| *offset > 0)
            .map(|offset| lwm2m_engine::Resume { offset, etag: b"v1".to_vec() });
        let mut fetch = CoapFetch::new(CoapTarget::default(), resume, [3; 32]);
        fetch.handle(Instant::ZERO, CoapFetchInput::LinkUp { max_datagram: 100 });
        let (mut last, mut ends, mut in_hand) = (None, 0, false);
        for (code, tail, takes) in answers {
            while let Some(output) = fetch.poll_output() {
                match output {
                    CoapFetchOutput::OpenLink => {}
                    CoapFetchOutput::Transmit(bytes) => last = Some(bytes),
                    CoapFetchOutput::Fetched(_) => in_hand = true,
                    CoapFetchOutput::End(_) => ends += 1,
                }
            }
            // Mostly a content, with anything behind the token of the last request.
            let request = last.as_deref().map(|bytes| Message::decode(bytes).unwrap());
            if let Some(request) = request.filter(|request| request.code.byte() != 0) {
                let [high, low] = request.id.to_be_bytes();
                let code = if code < 200 { 0x45 } else { code };
                let mut answer = vec![0x60 | request.token.as_bytes().len() as u8, code, high, low];
                answer.extend(request.token.as_bytes());
                answer.extend(tail);
                assert_eq!(Kind::Acknowledgement as u8, 2);
                fetch.handle(Instant::ZERO, CoapFetchInput::Datagram(&answer));
            }
            if takes && in_hand {
                in_hand = false;
                fetch.handle(Instant::ZERO, CoapFetchInput::Taken);
            }
        }
        prop_assert!(ends <= 1);
    }
}
