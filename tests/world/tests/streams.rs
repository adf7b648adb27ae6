//! Opaque values that go to their object chunk by chunk (Objects 7.2, RFC 7959 2.5).

use lwm2m_engine::{Account, CallOperation, Event, ServerState};
use lwm2m_model::{Code, ContentFormat, Path, Value};
use lwm2m_world::{
    Ask, Delivery, Lane, Outcome, PACKAGE, Pace, Packages, Setup, World, ms, option, secs,
};

const INCOMPLETE: Code = Code::REQUEST_ENTITY_INCOMPLETE;
const TOO_LARGE: Code = Code::REQUEST_ENTITY_TOO_LARGE;

/// A device with the object that streams.
fn streaming(change: impl FnOnce(&mut Setup)) -> World {
    let mut world = World::new(change);
    world.device.objects.define(&PACKAGE, &[0, 1]);
    world.announce(PACKAGE.id);
    world.until_registered(secs(60));
    world
}

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256 + at / 65_536) as u8).collect()
}

fn push(body: &[u8]) -> Ask {
    Ask::write("/33102/0/0", ContentFormat::OPAQUE, body)
}

/// Pushes a value however long it takes.
fn push_all(world: &mut World, body: &[u8], exponent: u32) -> Code {
    let ticket = world.send(push(body).in_blocks(exponent));
    world.run_until("the end", secs(7200), |world| world.server.outcome(ticket).is_some());
    world.response(ticket).code
}

fn packages(world: &World) -> &Packages {
    &world.device.objects.packages
}

/// Sends blocks of 16 bytes one by one; gives the code of each answer.
fn blocks(world: &mut World, body: &[u8], numbers: &[usize]) -> Vec<Code> {
    numbers.iter().map(|number| world.code(push(body).block(*number, 0))).collect()
}

/// TRN-36, and Objects 7: what is larger than the memory of the device.
#[test]
fn a_mebibyte_arrives_as_it_was_sent_in_blocks_of_any_size() {
    let body = body(1 << 20);
    for exponent in [0, 2, 4, 6] {
        let mut world = streaming(|setup| setup.keeps_log = false);
        assert_eq!(push_all(&mut world, &body, exponent), Code::CHANGED, "{exponent}");
        assert!(packages(&world).taken == [&body[..]], "{exponent}");
        assert_eq!(packages(&world).stored, body.len() >> (exponent + 4));
        assert!(packages(&world).ended.is_empty());
        let done = |event: &Event| matches!(event, Event::Done { operation: "Write", .. });
        assert_eq!(world.events(done).len(), 1, "the operator hears of it once");
    }
}

/// OBJ-93; Objects 7.2: an official example pushes with POST, which elsewhere is an Execute.
#[test]
fn post_of_bytes_is_a_write_whole_or_in_blocks() {
    let mut world = streaming(|_| {});
    let body = body(100);
    let post = || Ask::update("/33102/0/0", ContentFormat::OPAQUE, body.clone());
    assert_eq!(world.code(post()), Code::CHANGED);
    assert_eq!(world.code(post().in_blocks(1)), Code::CHANGED);
    // What comes in blocks is bytes also if nobody says so.
    let unlabelled = Ask::execute("/33102/0/0", "").unlabelled(body.clone());
    assert_eq!(world.code(unlabelled.in_blocks(1)), Code::CHANGED);
    assert_eq!(packages(&world).taken, vec![body.clone(); 3]);
    // Elsewhere nothing has changed.
    let elsewhere = Ask::update("/33102/0/1", ContentFormat::OPAQUE, body.clone());
    assert_eq!(world.code(elsewhere), Code::METHOD_NOT_ALLOWED);
    let text = Ask::update("/33102/0/0", ContentFormat::TEXT, "0");
    assert_eq!(world.code(text), Code::METHOD_NOT_ALLOWED);
}

#[test]
fn what_comes_whole_is_a_stream_of_one_chunk() {
    let mut world = streaming(|_| {});
    assert_eq!(world.code(push(b"whole")), Code::CHANGED);
    assert_eq!(world.code(push(b"")), Code::CHANGED);
    assert_eq!(world.code(push(b"in one block").block(0, 6)), Code::CHANGED);
    assert_eq!(packages(&world).taken, [&b"whole"[..], b"", b"in one block"]);
    assert_eq!(packages(&world).announced, [Some(5), Some(0), Some(12)]);
}

#[test]
fn other_formats_and_other_resources_are_gathered_and_come_as_one_write() {
    let mut world = streaming(|_| {});
    let body = body(300);
    // A resource with an identifier of 8 bits and a length of 16.
    let tlv = [&[0xd0, 0, 0x01, 0x2c][..], &body].concat();
    let structured = Ask::write("/33102/0/0", ContentFormat::TLV, tlv).in_blocks(2);
    let other = Ask::write("/33102/1/1", ContentFormat::OPAQUE, body.clone()).in_blocks(2);
    let text = Ask::write("/33102/0/3", ContentFormat::TEXT, "x".repeat(300)).in_blocks(2);
    for ask in [structured, other, text] {
        assert_eq!(world.code(ask), Code::CHANGED);
    }
    assert_eq!(packages(&world).stored, 0);
    for path in ["/33102/0/0", "/33102/1/1"] {
        assert_eq!(world.device.objects.value(path), Some(&Value::Opaque(body.clone())));
    }
}

#[test]
fn loss_duplicates_and_reordering_change_nothing() {
    let body = body(40_000);
    for seed in 1..=5 {
        let mut world = streaming(|setup| setup.seed = seed);
        let bad = Lane {
            loss: 0.05,
            duplication: 0.2,
            reordering: 0.1,
            most_delay: ms(500),
            ..Lane::good()
        };
        (world.network.up, world.network.down) = (bad.clone(), bad);
        assert_eq!(push_all(&mut world, &body, 5), Code::CHANGED);
        assert!(packages(&world).taken == [&body[..]], "seed {seed}");
        assert_eq!(packages(&world).stored, body.len().div_ceil(512), "each block once");
    }
}

#[test]
fn block_0_begins_anew_with_another_value_too() {
    let mut world = streaming(|_| {});
    let (old, new) = (body(100), vec![9; 100]);
    assert_eq!(blocks(&mut world, &old, &[0, 1, 2]), [Code::CONTINUE; 3]);
    assert_eq!(blocks(&mut world, &new, &[0, 1]), [Code::CONTINUE; 2]);
    // A tag makes it another request (RFC 9175 3.3), and it counts alone from then on.
    let tagged = |number| push(&old).option(option::REQUEST_TAG, [1]).block(number, 0);
    assert_eq!(world.code(tagged(0)), Code::CONTINUE);
    assert_eq!(blocks(&mut world, &new, &[2]), [INCOMPLETE]);
    for number in 1..6 {
        assert_eq!(world.code(tagged(number)), Code::CONTINUE);
    }
    assert_eq!(world.code(tagged(6)), Code::CHANGED);
    assert_eq!(packages(&world).taken, [old]);
    assert_eq!(packages(&world).announced.len(), 3);
}

/// Objects 7.2: 4.08, and what is there stays.
#[test]
fn a_wrong_order_is_refused_and_the_right_block_still_welcome() {
    let mut world = streaming(|_| {});
    let body = body(80);
    assert_eq!(blocks(&mut world, &body, &[1, 4]), [INCOMPLETE; 2], "no start");
    assert_eq!(blocks(&mut world, &body, &[0, 2, 4, 1, 3]), {
        const GO_ON: Code = Code::CONTINUE;
        [GO_ON, INCOMPLETE, INCOMPLETE, GO_ON, INCOMPLETE]
    });
    // The block stored last comes again under a new message id, and is stored once.
    assert_eq!(blocks(&mut world, &body, &[1, 1]), [Code::CONTINUE; 2]);
    assert_eq!(packages(&world).stored, 2);
    assert_eq!(blocks(&mut world, &body, &[2, 3]), [Code::CONTINUE; 2]);
    assert_eq!(blocks(&mut world, &body, &[4, 4]), [Code::CHANGED, INCOMPLETE]);
    assert_eq!(packages(&world).taken, [body]);
}

#[test]
fn blocks_may_change_their_size_and_the_size_that_was_announced() {
    let mut world = streaming(|_| {});
    let body = body(600);
    let steps = [(0, 3), (8, 0), (9, 0), (5, 1), (3, 2), (1, 4)];
    for (place, (number, exponent)) in steps.into_iter().enumerate() {
        let size = (1000 + place as u16).to_be_bytes();
        let ask = push(&body).option(option::SIZE1, size).block(number, exponent);
        assert_eq!(world.code(ask), Code::CONTINUE, "{number} {exponent}");
    }
    assert_eq!(world.code(push(&body).block(2, 4)), Code::CHANGED);
    assert_eq!(packages(&world).taken, [body]);
    assert_eq!(packages(&world).announced, [Some(1000)]);
}

#[test]
fn the_device_asks_for_blocks_that_its_path_carries() {
    let mut world = World::new(|_| {});
    world.network.max_datagram = 300;
    world.device.objects.define(&PACKAGE, &[0]);
    world.announce(PACKAGE.id);
    world.until_registered(secs(60));
    let body = body(4096);
    assert_eq!(world.code(push(&body).in_blocks(6)), Code::CHANGED);
    assert_eq!(packages(&world).taken, [&body[..]]);
    assert_eq!(packages(&world).stored, 1 + 3072 / 256);
}

/// Objects 7: no further block for 247 s.
#[test]
fn a_transfer_that_never_ends_is_given_up_and_the_object_is_told() {
    let mut world = streaming(|_| {});
    let body = body(100);
    blocks(&mut world, &body, &[0, 1]);
    let begun = world.last_sent();
    world.run_for(secs(200));
    // What is not stored keeps nothing alive.
    blocks(&mut world, &body, &[4]);
    world.run_until("the end", secs(100), |world| !packages(world).ended.is_empty());
    assert_eq!((world.now - begun).as_secs(), 247);
    assert_eq!(packages(&world).ended, [Path::resource(33102, 0, 0)]);
    let ended = |event: &Event| matches!(event, Event::StreamEnded { server: 101, .. });
    assert_eq!(world.events(ended), [world.now]);
    assert_eq!(blocks(&mut world, &body, &[2]), [INCOMPLETE]);
    world.run_for(secs(1000));
    assert_eq!(packages(&world).ended.len(), 1, "once");
    assert_eq!(world.code(push(&body).in_blocks(0)), Code::CHANGED);
    world.run_for(secs(1000));
    assert_eq!(packages(&world).ended.len(), 1, "what came to its end has none to tell");
}

/// Objects 7.2, the note on errors of a push.
#[test]
fn an_object_refuses_any_chunk_with_its_own_code() {
    for code in [TOO_LARGE, Code::BAD_REQUEST, Code::METHOD_NOT_ALLOWED, INCOMPLETE] {
        for at in [0, 40, 99] {
            let mut world = streaming(|_| {});
            world.device.objects.packages.refuses_at = Some((at, code));
            let body = body(100);
            assert_eq!(world.code(push(&body).in_blocks(0)), code, "{at}");
            assert_eq!(packages(&world).stored as u64, at / 16);
            // It is over: the next block belongs to nothing.
            assert_eq!(blocks(&mut world, &body, &[at as usize / 16 + 1]), [INCOMPLETE]);
            world.device.objects.packages.refuses_at = None;
            assert_eq!(world.code(push(&body).in_blocks(0)), Code::CHANGED);
            world.run_for(secs(300));
            assert_eq!(packages(&world).ended.len(), 1, "the object is told once, at once");
        }
    }
}

#[test]
fn a_whole_value_of_the_same_server_takes_the_place_of_its_stream_or_ends_it() {
    let mut world = streaming(|_| {});
    let body = body(100);
    for (refusal, code, ended) in
        [(None, Code::CHANGED, 0), (Some((0, Code::BAD_REQUEST)), Code::BAD_REQUEST, 1)]
    {
        blocks(&mut world, &body, &[0, 1]);
        world.device.objects.packages.refuses_at = refusal;
        assert_eq!(world.code(push(b"whole")), code);
        assert_eq!(packages(&world).ended.len(), ended);
        assert_eq!(blocks(&mut world, &body, &[2]), [INCOMPLETE]);
    }
}

#[test]
fn a_value_that_is_too_large_is_refused_at_block_0_if_its_size_is_said() {
    for (announced, stored) in [(true, 0), (false, 2)] {
        let mut world = streaming(|_| {});
        world.device.objects.packages.limit = Some(40);
        let mut ask = push(&body(100));
        if announced {
            ask = ask.option(option::SIZE1, [100]);
        }
        let response = world.ask(ask.in_blocks(0));
        assert_eq!((response.code, packages(&world).stored), (TOO_LARGE, stored));
    }
}

#[test]
fn target_format_and_length_are_checked_before_the_object_hears_of_it() {
    let to = |path: &str, len| Ask::write(path, ContentFormat::OPAQUE, body(len)).in_blocks(0);
    let cases = [
        (to("/33102/7/0", 100), Code::NOT_FOUND),
        (to("/33102/0/3", 100), Code::UNSUPPORTED_CONTENT_FORMAT),
        (to("/33102/0/2", 100), Code::CHANGED),
        (to("/33102/0/2", 101), Code::BAD_REQUEST),
        (to("/33102/0/2", 39), Code::BAD_REQUEST),
        (to("/33102/0/2", 40), Code::CHANGED),
    ];
    for (ask, code) in cases {
        let mut world = streaming(|_| {});
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), code, "{shown}");
        let refused = |event: &Event| matches!(event, Event::Refused { .. });
        assert_eq!(world.events(refused).len(), usize::from(code != Code::CHANGED));
    }
}

#[test]
fn an_instance_that_goes_away_ends_its_stream() {
    let mut world = streaming(|_| {});
    let body = body(100);
    blocks(&mut world, &body, &[0, 1]);
    world.device.objects.remove("/33102/0");
    world.announce(PACKAGE.id);
    assert_eq!(blocks(&mut world, &body, &[2]), [Code::NOT_FOUND]);
}

/// 1 MB/s are 1 KiB a millisecond.
#[test]
fn reads_are_answered_while_a_stream_is_stored() {
    for (pace, len, answered) in [(ms(1), 256 * 1024, secs(1)), (secs(3), 8 * 1024, secs(1))] {
        let mut world = streaming(|setup| setup.keeps_log = false);
        world.device.objects.set_pace(PACKAGE.id, Pace::After(pace));
        let body = body(len);
        let ticket = world.send(push(&body).in_blocks(6));
        let mut reads = 0;
        while world.server.outcome(ticket).is_none() {
            let asked = world.now;
            let response = world.read("/3/0/0");
            assert_eq!(response.text(), "Acme");
            assert!(response.at - asked < answered, "{:?}", response.at - asked);
            reads += 1;
            world.run_for(ms(100));
        }
        assert!(reads > 50, "{reads}");
        let response = world.response(ticket);
        let is_slow = pace > secs(1);
        assert_eq!(response.delivery == Delivery::Separate, is_slow);
        assert_eq!(response.code, Code::CHANGED);
        assert!(packages(&world).taken == [body]);
    }
}

#[test]
fn one_chunk_is_in_flight_and_repetitions_meanwhile_start_nothing() {
    let mut world = streaming(|_| {});
    world.device.objects.set_pace(PACKAGE.id, Pace::After(secs(10)));
    let body = body(64);
    let first = world.send(push(&body).block(0, 0));
    world.run_for(ms(100));
    // The next block, the same one, and one of another request: all under new ids.
    let tagged = push(&body).option(option::REQUEST_TAG, [1]).block(0, 0);
    let others = [push(&body).block(1, 0), push(&body).block(0, 0), tagged];
    let tickets = others.map(|ask| world.send(ask));
    world.run_for(secs(8));
    let streams = |call: &CallOperation| matches!(call, CallOperation::Stream { .. });
    assert_eq!(world.device.calls_of("/33102/0/0", streams).len(), 1);
    assert_eq!(world.response(first).code, Code::CONTINUE);
    // Their repetitions find the first one stored.
    let outcomes = tickets.map(|ticket| world.outcome(ticket));
    let answered = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Response(_)));
    assert_eq!(answered.count(), 3, "{outcomes:?}");
}

#[test]
fn an_object_that_does_not_answer_a_chunk_is_told_that_the_stream_is_over() {
    let mut world = streaming(|_| {});
    let body = body(100);
    blocks(&mut world, &body, &[0, 1]);
    world.device.objects.set_pace(PACKAGE.id, Pace::Never);
    assert_eq!(blocks(&mut world, &body, &[2]), [Code::SERVICE_UNAVAILABLE]);
    let last = world.device.calls.last().map(|(_, call)| call.operation.clone());
    assert_eq!(last, Some(CallOperation::StreamEnd));
    world.device.objects.set_pace(PACKAGE.id, Pace::AtOnce);
    assert_eq!(blocks(&mut world, &body, &[3]), [INCOMPLETE]);
}

#[test]
fn a_stream_that_was_taken_goes_on_while_the_object_is_busy_with_others() {
    let mut world = streaming(|_| {});
    let body = body(64);
    blocks(&mut world, &body, &[0]);
    world.device.objects.set_pace(PACKAGE.id, Pace::After(secs(20)));
    let reads = [(); 8].map(|()| world.send(Ask::discover("/33102/1")));
    world.run_for(secs(1));
    assert_eq!(blocks(&mut world, &body, &[1]), [Code::CONTINUE]);
    let begins = Ask::write("/33102/1/0", ContentFormat::OPAQUE, body).block(0, 0);
    let more = [(); 8].map(|()| world.send(Ask::discover("/33102/1")));
    assert_eq!(world.code(begins), Code::SERVICE_UNAVAILABLE, "one that begins waits its turn");
    for ticket in reads.into_iter().chain(more) {
        assert_eq!(world.response(ticket).code, Code::CONTENT);
    }
}

#[test]
fn two_resources_stream_side_by_side() {
    let mut world = streaming(|_| {});
    let body = body(4096);
    let other = Ask::write("/33102/1/0", ContentFormat::OPAQUE, body.clone());
    let tickets = [world.send(push(&body).in_blocks(1)), world.send(other.in_blocks(2))];
    for ticket in tickets {
        assert_eq!(world.response(ticket).code, Code::CHANGED);
    }
    assert_eq!(packages(&world).taken, [&body[..], &body[..]]);
}

/// Two servers, of which 101 has sent two blocks; 102 is in view.
fn contested() -> World {
    let mut world = streaming(|setup| {
        setup.config.accounts.push(Account::new(102, "coap://other.example"));
    });
    world.turn_to(102);
    world.until_registered(secs(60));
    world.turn_to(101);
    assert_eq!(blocks(&mut world, &body(100), &[0, 1]), [Code::CONTINUE; 2]);
    world.turn_to(102);
    world
}

/// Objects 7.2: another server's push is refused.
#[test]
fn an_upload_of_another_server_is_refused_while_one_is_under_way() {
    let mut world = contested();
    let other = vec![7; 100];
    assert_eq!(blocks(&mut world, &other, &[0, 1]), [Code::METHOD_NOT_ALLOWED, INCOMPLETE]);
    // Nor can it go on with what the first has begun.
    assert_eq!(blocks(&mut world, &other, &[2]), [INCOMPLETE]);
    let elsewhere = Ask::write("/33102/1/0", ContentFormat::OPAQUE, other.clone());
    assert_eq!(world.code(elsewhere.in_blocks(0)), Code::CHANGED);
    world.turn_to(101);
    assert_eq!(blocks(&mut world, &body(100), &[2, 3, 4, 5, 6])[4], Code::CHANGED);
    world.turn_to(102);
    assert_eq!(world.code(push(&other).in_blocks(0)), Code::CHANGED);
    assert_eq!(packages(&world).taken, [other.clone(), body(100), other]);
    assert!(packages(&world).ended.is_empty());
}

#[test]
fn an_upload_of_another_server_is_taken_when_the_first_has_fallen_silent() {
    let mut world = contested();
    world.run_for(secs(248));
    assert_eq!(packages(&world).ended.len(), 1);
    assert_eq!(world.code(push(&body(100)).in_blocks(0)), Code::CHANGED);
}

/// Objects 7.2: one NUL byte resets the machine, whoever sends it, and a whole package is
/// for the object to judge.
#[test]
fn a_whole_value_of_another_server_is_judged_by_the_object() {
    for (whole, code) in [(&[0][..], Code::CHANGED), (b"whole", Code::METHOD_NOT_ALLOWED)] {
        let mut world = contested();
        assert_eq!(world.code(push(whole)), code);
        world.turn_to(101);
        let goes_on = if code == Code::CHANGED { INCOMPLETE } else { Code::CONTINUE };
        assert_eq!(blocks(&mut world, &body(100), &[2]), [goes_on]);
        assert!(packages(&world).ended.is_empty());
    }
}

#[test]
fn blocks_that_come_before_the_answer_to_register_are_served_after_it() {
    let mut world = World::new(|setup| setup.manner.answers_after = Some(secs(5)));
    world.device.objects.define(&PACKAGE, &[0]);
    world.announce(PACKAGE.id);
    world.run_until("Register", secs(1), |world| !world.server.requests.is_empty());
    let body = body(100);
    let whole = world.send(push(&body).block(0, 6).uninvited());
    world.run_for(secs(4));
    assert_eq!(packages(&world).stored, 0);
    assert_eq!(world.response(whole).code, Code::CHANGED);
    assert_eq!(packages(&world).taken, [body]);
}

#[test]
fn a_stream_goes_on_over_a_new_link_of_the_same_session_and_begins_anew_over_another() {
    for is_same in [true, false] {
        let mut world = streaming(|_| {});
        let body = body(100);
        blocks(&mut world, &body, &[0, 1]);
        if is_same {
            world.lose_link("the cable was pulled");
        } else {
            world.change_address();
        }
        world.run_for(secs(10));
        world.until_registered(secs(100));
        if is_same {
            assert_eq!(blocks(&mut world, &body, &[2, 3]), [Code::CONTINUE; 2]);
        } else {
            assert_eq!(blocks(&mut world, &body, &[2]), [INCOMPLETE]);
            assert_eq!(blocks(&mut world, &body, &[0, 1]), [Code::CONTINUE; 2]);
        }
        world.run_for(secs(300));
        assert_eq!(packages(&world).ended.len(), 1);
    }
}

#[test]
fn a_device_in_queue_mode_stays_awake_for_a_stream_that_is_half_here() {
    let mut world = streaming(|setup| setup.queue_mode());
    blocks(&mut world, &body(100), &[0]);
    world.run_for(secs(240));
    assert_ne!(world.state(), ServerState::Asleep);
    world.until_asleep();
    assert_eq!(packages(&world).ended.len(), 1);
}
