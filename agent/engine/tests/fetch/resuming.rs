//! Going on where an earlier attempt has ended.

use lwm2m_coap::Draft;
use lwm2m_engine::Fetched;
use lwm2m_model::Code;

use crate::support::*;

/// OBJ-94.
#[test]
fn a_fetch_goes_on_at_any_offset_and_asks_for_nothing_before_its_block() {
    // At the end, where nothing more is to come, too.
    for offset in [1, 15, 16, 1000, 1023, 1024, 1025, 5120, 9999, 10_000, 19_999, 20_480] {
        for szx in [0, 3, 5, 6] {
            let mut server = Server::new(package(20_480, 0));
            server.szx = szx;
            let outcome = Run::resume(server, offset, b"v1").run();
            let what = format!("{offset} in blocks of {}", 16 << szx);
            assert_eq!(outcome.result, Ok(()), "{what}");
            assert_eq!(outcome.begin(), (offset, Some(20_480), Some(&b"v1"[..])), "{what}");
            assert!(outcome.bytes == package(20_480, 0)[offset as usize..], "{what}");
            assert_eq!(outcome.asked[0].unwrap().number as u64, offset / 1024);
            for asked in outcome.asked[1..].iter().flatten() {
                let size = 16 << asked.szx;
                assert!((asked.number + 1) * size >= offset as usize, "{what}: {asked:?}");
            }
        }
    }
}

#[test]
fn another_version_comes_from_the_start() {
    for etag in [Some(b"v2".to_vec()), Some(b"v".to_vec()), None] {
        for offset in [10, 5000] {
            let mut server = Server::new(package(20_000, 2));
            server.etag = etag.clone();
            let outcome = Run::resume(server, offset, b"v1").run();
            assert_eq!(outcome.result, Ok(()));
            assert_eq!(outcome.begin(), (0, Some(20_000), etag.as_deref()));
            assert!(outcome.bytes == package(20_000, 2));
            // The block that showed it is loaded again unless it is the first.
            assert_eq!(outcome.asked.len(), if offset < 1024 { 20 } else { 21 });
        }
    }
}

#[test]
fn a_package_that_is_shorter_now_comes_from_the_start() {
    // Even if it has kept its ETag.
    for (len, offset) in [(3000, 5000), (3000, 3001), (100, 200), (3000, 1 << 40)] {
        let outcome = Run::resume(Server::new(package(len, 0)), offset, b"v1").run();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(outcome.begin().0, 0, "{len} {offset}");
        assert!(outcome.bytes == package(len, 0), "{len} {offset}");
    }
}

#[test]
fn a_server_that_gives_blocks_in_order_only_is_asked_from_the_start() {
    for code in [Code::REQUEST_ENTITY_INCOMPLETE, Code::BAD_REQUEST, Code::BAD_OPTION] {
        let mut next = 0;
        let server = Server::with(package(9000, 0), move |_, message| {
            let number = asked(message).unwrap().number;
            if number != next {
                return Some(Reaction::Answer(Draft::new(code)));
            }
            next += 1;
            None
        });
        let outcome = Run::resume(server, 5000, b"v1").run();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(outcome.begin().0, 0);
        assert!(outcome.bytes == package(9000, 0));
    }
}

#[test]
fn a_whole_answer_is_cut_or_taken_from_the_start() {
    for (etag, offset, begin) in [(b"v1", 700, 700), (b"v2", 700, 0), (b"v1", 5000, 0)] {
        let server = Server::with(Vec::new(), move |_, _| {
            let mut draft = Draft::new(Code::CONTENT).option(lwm2m_coap::option::ETAG, etag);
            draft.payload = package(1000, 0);
            Some(Reaction::Answer(draft))
        });
        let outcome = Run::resume(server, offset, b"v1").run();
        assert_eq!(outcome.result, Ok(()));
        assert_eq!(outcome.begin().0, begin);
        assert!(outcome.bytes == package(1000, 0)[begin as usize..]);
    }
}

#[test]
fn a_smaller_size_with_the_number_unchanged_is_asked_for_anew() {
    // RFC 7959 2.4 leaves open what a number means then.
    let inner = Server { szx: 2, ..Server::new(package(20_000, 0)) };
    let server = Server::with(Vec::new(), move |_, message| {
        let mut asked = asked(message).unwrap();
        asked.szx = asked.szx.min(2);
        let request = Draft::new(lwm2m_coap::method::GET).option_uint(
            lwm2m_coap::option::BLOCK2,
            (asked.number as u32) << 4 | u32::from(asked.szx),
        );
        let bytes = request.encode(lwm2m_coap::Kind::Confirmable, 0, Default::default());
        let message = lwm2m_coap::Message::decode(&bytes).unwrap();
        Some(Reaction::Answer(inner.answer(&message)))
    });
    let outcome = Run::resume(server, 10_000, b"v1").run();
    assert_eq!(outcome.result, Ok(()));
    assert!(matches!(outcome.begins[..], [Fetched::Begin { offset: 10_000, .. }]));
    assert!(outcome.bytes == package(20_000, 0)[10_000..]);
}
