//! A package is fetched: what is asked for, what is recorded, and when it is tried again.

use lwm2m_engine::{FetchFailure, FetchFailureKind, Fetched, Resume};
use lwm2m_firmware::{
    Action, Delivery, Event, FIRST_PAUSE, Found, MAX_PAUSE, Machine, Progress, Reason, Record,
    Running, Settings, State, Ticket, UpdateResult,
};

use crate::support::{
    CALL, answer, at, begin, config, failure, fetching, idle, info, machine, send_part, settings,
    ticket, uri,
};

fn numbers(machine: &Machine) -> (i64, i64) {
    (machine.record().state.number(), machine.record().result.number())
}

fn progress(machine: &Machine) -> Progress {
    machine.record().fetch.clone().unwrap()
}

fn lost(ticket: Ticket) -> Event {
    Event::FetchEnded(ticket, Err(FetchFailure::new(FetchFailureKind::Lost, "no answer")))
}

/// What is asked of the source.
fn resume(actions: &[Action]) -> Option<Resume> {
    let fetch = actions.iter().find_map(|action| match action {
        Action::Fetch { resume, .. } => Some(resume.clone()),
        _ => None,
    });
    fetch.unwrap_or_else(|| panic!("no attempt in {actions:?}"))
}

fn known(offset: u64) -> Option<Resume> {
    Some(Resume { offset, etag: b"v1".to_vec() })
}

#[test]
fn the_uri_is_recorded_and_answered_before_anything_is_fetched() {
    let mut machine = idle(config(Delivery::Both));
    let actions = machine.handle(&at(1), uri("coap://h/x"));
    let [Action::Persist(record), Action::Changed { resources, .. }, fetch, Action::Reply(..)] =
        actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    assert_eq!((record.state, record.uri.as_str()), (State::Downloading, "coap://h/x"));
    assert_eq!(*resources, [12, 3, 1]);
    assert_eq!(*fetch, Action::Fetch { ticket: 1, uri: "coap://h/x".into(), resume: None });
    assert!(fetch.follows_record());
}

/// What a power cut may take is not counted, and no part costs a record.
#[test]
fn only_what_is_durable_is_recorded() {
    let mut machine = idle(config(Delivery::Both));
    let ticket = ticket(&machine.handle(&at(1), uri("coap://h/x")));
    let found = Fetched::Begin { offset: 0, size: Some(3000), etag: Some(b"v1".to_vec()) };
    let actions = machine.handle(&at(1), Event::Fetched(ticket, found));
    let [Action::Persist(_), open @ Action::Open { offset: 0, size: Some(3000) }] =
        actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    assert!(open.follows_record(), "the record counts on no file that is cut");
    machine.handle(&at(1), Event::Stored(Ok(0)));
    let counter = machine.record().counter;
    for durable in [0, 0, 2000] {
        send_part(&mut machine, ticket, 1000, durable);
        assert_eq!(progress(&machine).offset, durable);
    }
    assert_eq!(machine.record().counter, counter + 1);
    // All of it is there, which is recorded before the check.
    let actions = machine.handle(&at(2), Event::FetchEnded(ticket, Ok(())));
    let last = Action::Store { offset: 3000, bytes: Vec::new(), last: true, size: None };
    assert_eq!(actions, [last]);
    let actions = machine.handle(&at(2), Event::Stored(Ok(3000)));
    let [Action::Persist(record), Action::Inspect(_)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(record.fetch.as_ref().unwrap().offset, 3000);
}

/// OBJ-94, OBJ-91: the row of a pull in Objects 7.3.
#[test]
fn a_restart_goes_on_where_the_record_says() {
    let etag = || Some(b"v1".to_vec());
    let rows = [
        ("all as recorded", 2000, etag(), true, known(2000)),
        ("the file is gone or too short", 2000, etag(), false, None),
        ("no ETag", 0, None, true, None),
        ("nothing is durable yet", 0, etag(), true, None),
    ];
    for (row, offset, etag, package, expected) in rows {
        let fetch = Some(Progress { offset, etag, size: Some(3000), waited: 0 });
        let (state, uri) = (State::Downloading, "coap://h/x".to_owned());
        let record = Record { state, uri, fetch, ..Record::default() };
        let found = Found { package, running: Running::Same };
        let (mut machine, actions) =
            Machine::start(config(Delivery::Both), Some(record), &found, &at(0));
        assert_eq!(numbers(&machine), (1, 0), "{row}");
        assert_eq!(resume(&actions), expected, "{row}");
        // The source has another package, or cannot begin elsewhere.
        begin(&mut machine, ticket(&actions), 0, None);
        assert_eq!(progress(&machine).offset, 0, "{row}");
    }
}

/// A source that does not heed the ETag is found out by the size.
#[test]
fn the_rest_of_a_package_of_another_size_gives_no_package() {
    let fetch = Progress { offset: 2000, etag: Some(b"v1".to_vec()), size: Some(3000), waited: 0 };
    for (size, state) in [(Some(3000), 1), (None, 1), (Some(2000), 0)] {
        let (uri, fetch) = ("http://h/x".to_owned(), Some(fetch.clone()));
        let record = Record { state: State::Downloading, uri, fetch, ..Record::default() };
        let found = Found { package: true, running: Running::Same };
        let (mut machine, actions) =
            Machine::start(config(Delivery::Both), Some(record), &found, &at(0));
        begin(&mut machine, ticket(&actions), 2000, size);
        assert_eq!(numbers(&machine).0, state, "{size:?}");
    }
}

/// OBJ-94
#[test]
fn what_has_come_whole_is_not_fetched_again() {
    let (mut machine, ticket) = fetching(config(Delivery::Both));
    machine.handle(&at(2), Event::FetchEnded(ticket, Ok(())));
    machine.handle(&at(2), Event::Stored(Ok(1024)));
    let found = Found { package: true, running: Running::Same };
    let record = Some(machine.record().clone());
    let (mut machine, actions) = Machine::start(config(Delivery::Both), record, &found, &at(0));
    assert_eq!(actions, [Action::Inspect(1)]);
    machine.handle(&at(1), Event::Inspected(1, Ok(info())));
    assert_eq!(numbers(&machine), (2, 0));
    assert_eq!(machine.record().fetch, None);
}

#[test]
fn a_scheme_that_is_no_longer_there_ends_the_download() {
    let (machine, _) = fetching(config(Delivery::Both));
    let found = Found { package: true, running: Running::Same };
    let record = Some(machine.record().clone());
    let (machine, actions) = Machine::start(config(Delivery::Push), record, &found, &at(0));
    assert_eq!(numbers(&machine), (0, 9));
    assert!(actions.contains(&Action::Discard));
    // A signed URI is a secret, and causes are logged.
    let told = |action: &Action| match action {
        Action::Changed { cause: Some(cause), .. } => Some(cause.clone()),
        _ => None,
    };
    let causes: Vec<String> = actions.iter().filter_map(told).collect();
    assert_eq!(causes, ["Package URI can no longer be fetched from here"]);
}

/// OBJ-94: within one run also what is not durable yet counts.
#[test]
fn a_cut_is_followed_by_ever_longer_pauses_until_something_new_comes() {
    let (mut machine, mut ticket) = fetching(config(Delivery::Both));
    let mut now = 10;
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        machine.handle(&at(now), lost(ticket));
        assert_eq!(numbers(&machine), (1, 0));
        assert_eq!(machine.next_timeout(), Some(at(now + pause).boot));
        now += pause;
        let actions = machine.handle(&at(now), Event::Time);
        assert_eq!(resume(&actions), known(1024));
        ticket = crate::support::ticket(&actions);
    }
    assert_eq!(MAX_PAUSE.as_secs(), 300);
    begin(&mut machine, ticket, 1024, None);
    assert_eq!(progress(&machine).offset, 1024, "durable since it was opened");
    send_part(&mut machine, ticket, 10, 1024);
    machine.handle(&at(now), lost(ticket));
    assert_eq!(machine.next_timeout(), Some(at(now).boot + FIRST_PAUSE));
}

/// A source that always begins anew would be asked for ever.
#[test]
fn what_was_there_before_is_no_progress() {
    let (mut machine, mut ticket) = fetching(config(Delivery::Both));
    let mut now = 1;
    while numbers(&machine) == (1, 0) {
        machine.handle(&at(now), lost(ticket));
        let Some(due) = machine.next_timeout() else { break };
        now = due.since_boot().as_secs();
        ticket = crate::support::ticket(&machine.handle(&at(now), Event::Time));
        begin(&mut machine, ticket, 0, None);
        send_part(&mut machine, ticket, 1024, 0);
    }
    assert_eq!(numbers(&machine), (0, 4));
    assert!((24 * 3600..24 * 3600 + 700).contains(&now), "{now}");
}

/// Objects 7.2: State stays 1 while it is tried again, and not for ever.
#[test]
fn restarts_do_not_make_the_patience_longer_and_little_is_written() {
    let (machine, _) = fetching(config(Delivery::Both));
    let mut record = machine.record().clone();
    let first = record.counter;
    let mut hours = 0;
    // Each boot lasts two hours.
    while record.state == State::Downloading {
        let mut machine = self::machine(config(Delivery::Both), record);
        let mut now = 0;
        while now < 7200 && machine.record().state == State::Downloading {
            // The ticket of each attempt is one more.
            for ticket in 1..100 {
                machine.handle(&at(now), lost(ticket));
            }
            let Some(due) = machine.next_timeout() else { break };
            now = due.since_boot().as_secs();
            machine.handle(&at(now), Event::Time);
        }
        hours += 2;
        record = machine.record().clone();
    }
    assert_eq!(record.result, UpdateResult::ConnectionLost);
    assert!((24..=50).contains(&hours), "{hours}");
    assert!(record.counter - first <= 26, "{} records", record.counter - first);
}

#[test]
fn the_operator_is_told_once_why_it_does_not_go_on() {
    let (mut machine, ticket) = fetching(config(Delivery::Both));
    let told = |actions: &[Action]| {
        actions.iter().any(|action| matches!(action, Action::Changed { cause: Some(_), .. }))
    };
    assert!(told(&machine.handle(&at(10), lost(ticket))));
    let actions = machine.handle(&at(15), Event::Time);
    assert!(!told(&machine.handle(&at(16), lost(crate::support::ticket(&actions)))));
}

#[test]
fn whoever_cancels_ends_the_attempt_at_any_moment() {
    let moments: [fn(&mut Machine, Ticket); 6] = [
        |_, _| {},
        |machine, ticket| {
            machine.handle(&at(9), Event::Fetched(ticket, Fetched::Part(vec![7])));
        },
        |machine, ticket| {
            machine.handle(&at(9), Event::FetchEnded(ticket, Ok(())));
        },
        |machine, ticket| {
            machine.handle(&at(9), lost(ticket));
        },
        |machine, ticket| {
            machine.handle(&at(9), lost(ticket));
            machine.handle(&at(14), Event::Time);
        },
        |machine, ticket| {
            machine.handle(&at(9), Event::FetchEnded(ticket, Ok(())));
            machine.handle(&at(9), Event::Stored(Ok(1024)));
        },
    ];
    for (index, moment) in moments.into_iter().enumerate() {
        let (mut machine, ticket) = fetching(config(Delivery::Both));
        moment(&mut machine, ticket);
        let actions = machine.handle(&at(20), Event::Cancel { call: CALL });
        assert_eq!(answer(&actions).as_deref(), Some("2.04"), "{index}");
        assert_eq!(numbers(&machine), (0, 10), "{index}");
        assert_eq!(machine.record().uri, "");
        let is_asked = [0, 1, 4].contains(&index);
        assert_eq!(actions.contains(&Action::StopFetch), is_asked, "{index}");
        assert!(actions.contains(&Action::Discard), "{index}");
        // What is left of it changes nothing.
        for late in [
            Event::Fetched(ticket, Fetched::Part(vec![7])),
            lost(ticket),
            Event::FetchEnded(ticket, Ok(())),
            Event::Stored(Ok(1025)),
        ] {
            assert!(machine.handle(&at(21), late).is_empty(), "{index}");
        }
        assert_eq!(machine.next_timeout(), None, "{index}");
    }
}

/// A source that does not do as it should harms nothing.
#[test]
fn a_source_out_of_turn_gives_no_package() {
    let begin = |offset| Fetched::Begin { offset, size: None, etag: None };
    let part = |len| Fetched::Part(vec![7; len]);
    let rows: [(&str, &[Fetched], bool); 5] = [
        ("a part before the beginning", &[part(1)], false),
        ("begins where it was not asked to", &[begin(5)], false),
        ("no byte", &[begin(0)], true),
        ("nothing at all", &[], true),
        ("ends early", &[Fetched::Begin { offset: 0, size: Some(9), etag: None }, part(8)], true),
    ];
    let more = [Fetched::Begin { offset: 0, size: Some(9), etag: None }, part(10)];
    let rows = rows.into_iter().chain([("more than it said", &more[..], false)]);
    for (row, found, ends) in rows {
        let mut machine = idle(config(Delivery::Both));
        let ticket = ticket(&machine.handle(&at(1), uri("coap://h/x")));
        for fetched in found {
            machine.handle(&at(1), Event::Fetched(ticket, fetched.clone()));
            machine.handle(&at(1), Event::Stored(Ok(0)));
        }
        if ends {
            machine.handle(&at(1), Event::FetchEnded(ticket, Ok(())));
        }
        assert_eq!(numbers(&machine), (0, 5), "{row}");
    }
}

/// What came of the version before belongs to nothing: the file is cut, and its ETag goes.
#[test]
fn a_package_that_changes_half_way_begins_anew() {
    let mut machine = idle(config(Delivery::Both));
    let ticket = ticket(&machine.handle(&at(1), uri("coap://h/x")));
    let begin = |etag: &[u8], size| Fetched::Begin {
        offset: 0,
        size: Some(size),
        etag: Some(etag.to_vec()),
    };
    machine.handle(&at(1), Event::Fetched(ticket, begin(b"v1", 3000)));
    machine.handle(&at(1), Event::Stored(Ok(0)));
    send_part(&mut machine, ticket, 1000, 1000);
    let actions = machine.handle(&at(1), Event::Fetched(ticket, begin(b"v2", 500)));
    let [Action::Persist(record), Action::Open { offset: 0, size: Some(500) }] = actions.as_slice()
    else {
        panic!("{actions:?}")
    };
    let progress = record.fetch.as_ref().unwrap();
    assert_eq!((progress.offset, progress.etag.as_deref()), (0, Some(&b"v2"[..])));
    machine.handle(&at(1), Event::Stored(Ok(0)));
    send_part(&mut machine, ticket, 500, 500);
    let actions = machine.handle(&at(2), Event::FetchEnded(ticket, Ok(())));
    assert_eq!(actions, [Action::Store { offset: 500, bytes: Vec::new(), last: true, size: None }]);
}

/// OBJ-91: what is fetched could not be told from what was there before.
#[test]
fn without_a_record_nothing_is_fetched() {
    let full = |step_left_out| Event::NotRecorded { cause: "disk full".into(), step_left_out };
    let mut asked = idle(config(Delivery::Both));
    asked.handle(&at(1), uri("coap://h/x"));
    for (mut machine, step_left_out, expected) in [
        (asked, true, (0, 8)),
        (fetching(config(Delivery::Both)).0, true, (0, 8)),
        // A Severity, or progress: the next record will tell.
        (fetching(config(Delivery::Both)).0, false, (1, 0)),
    ] {
        machine.handle(&at(2), full(step_left_out));
        assert_eq!(numbers(&machine), expected);
    }
}

#[test]
fn a_uri_and_settings_in_one_write_are_one_record() {
    let mut machine = idle(config(Delivery::Both));
    let write = Event::Write {
        call: CALL,
        uri: Some("coap://h/x".into()),
        settings: Settings { severity: Some(0), ..Settings::default() },
    };
    let actions = machine.handle(&at(1), write);
    let records = actions.iter().filter(|action| matches!(action, Action::Persist(_)));
    assert_eq!(records.count(), 1);
    assert_eq!((machine.record().severity, numbers(&machine)), (0, (1, 0)));
}

/// OBJ-89
#[test]
fn an_automatic_upgrade_follows_what_is_fetched() {
    let (mut machine, ticket) = fetching(config(Delivery::Both));
    machine.handle(&at(1), settings(Settings { automatic: Some(true), ..Settings::default() }));
    machine.handle(&at(2), Event::FetchEnded(ticket, Ok(())));
    let actions = machine.handle(&at(2), Event::Stored(Ok(1024)));
    let check = crate::support::ticket(&actions);
    machine.handle(&at(2), Event::Inspected(check, Ok(info())));
    machine.handle(&at(3), Event::Time);
    assert_eq!(numbers(&machine), (3, 0));
}

/// The file is opened, and there is no room for the rest, or the disk is broken.
#[test]
fn a_file_that_cannot_be_opened_ends_the_download() {
    for (reason, result) in [(Reason::NoSpace, 2), (Reason::Other, 8)] {
        let mut machine = idle(config(Delivery::Both));
        let ticket = ticket(&machine.handle(&at(1), uri("coap://h/x")));
        let found = Fetched::Begin { offset: 0, size: Some(1 << 40), etag: None };
        machine.handle(&at(1), Event::Fetched(ticket, found));
        let actions = machine.handle(&at(1), Event::Stored(Err(failure(reason))));
        assert_eq!(numbers(&machine), (0, result));
        assert!(actions.contains(&Action::StopFetch));
    }
}

/// A newer system on trial has written the record, and the old one runs again.
#[test]
fn a_record_of_a_later_version_is_read_after_a_roll_back() {
    let (machine, _) = fetching(config(Delivery::Both));
    let text = String::from_utf8(machine.record().encode()).unwrap();
    assert_eq!(Record::decode(text.as_bytes()).as_ref(), Ok(machine.record()));
    let later = text
        .replacen('{', r#"{"of_tomorrow":{"a":[1]},"#, 1)
        .replace(r#""waited":0"#, r#""waited":0,"mirror":"x""#)
        .replace(r#""step":"Wanted""#, r#""step":{"Tomorrow":1}"#);
    let record = Record::decode(later.as_bytes()).unwrap();
    assert_eq!(record.fetch, machine.record().fetch);
    assert_eq!(record.step, lwm2m_firmware::Step::OnTrial);
    // And one of an earlier version, which could not fetch.
    let earlier = serde_json::from_slice::<serde_json::Value>(&Record::default().encode());
    let mut earlier = earlier.unwrap();
    earlier.as_object_mut().unwrap().remove("fetch").unwrap();
    assert_eq!(Record::decode(earlier.to_string().as_bytes()), Ok(Record::default()));
}
