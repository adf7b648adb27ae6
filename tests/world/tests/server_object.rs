//! The Server object as its server writes it (Core 5.5, 5.6; Objects 3).

use lwm2m_engine::{Command, ServerState};
use lwm2m_model::{Code, ContentFormat, Entry, Value, Version};
use lwm2m_world::{Ask, World, ms, secs};

const VALUE: &str = "/3303/0/5700";

/// The queries of all Updates so far.
fn updates(world: &World) -> Vec<String> {
    let updates = world.server.requests.iter().filter(|seen| seen.operation == "Update");
    updates.map(|seen| seen.query.join("&")).collect()
}

/// CORE-100, CORE-101, CORE-104, CORE-120: the answer first, then an Update with what
/// is common to the server and the device; the session goes on.
#[test]
fn writing_the_binding_is_told_in_an_update() {
    for (bindings, written, told) in [("UT", "T", "b=T"), ("UT", "UT", "b=UT"), ("U", "UT", "b=U")]
    {
        let mut world = World::registered(|setup| setup.config.bindings = bindings.into());
        let registered = &world.server.last("Register").query;
        assert!(registered.contains(&format!("b={bindings}")), "{registered:?}");
        let answer = world.ask(Ask::write("/1/0/7", ContentFormat::TEXT, written));
        assert_eq!(answer.code, Code::CHANGED);
        world.run_for(secs(5));
        assert_eq!(updates(&world), [told]);
        assert!(world.server.last("Update").at >= answer.at);
        assert!(world.server.last("Update").body.is_empty());
        assert_eq!(world.read("/1/0/7").text(), written);
        assert_eq!(world.device.attempts.all.len(), 1, "no other link");
        world.write("/1/0/7", written);
        world.write("/1/0/1", "5000");
        world.run_for(secs(5));
        assert_eq!(updates(&world)[1..], ["lt=5000"], "what is known is not told again");
    }
}

/// CORE-06: a binding that this device cannot use, or that is none.
#[test]
fn a_binding_that_makes_no_sense_is_refused() {
    let mut world = World::registered(|_| {});
    for text in ["", "T", "X", "u", "U,T", "UU", "UQ", "Q"] {
        assert_eq!(world.write("/1/0/7", text), Code::BAD_REQUEST, "{text:?}");
    }
    world.run_for(secs(5));
    assert_eq!(world.read("/1/0/7").text(), "U");
    assert_eq!(updates(&world), [] as [&str; 0]);
}

/// CORE-103, OBJ-40.
#[test]
fn lifetime_and_binding_written_together_are_one_update() {
    let mut world = World::registered(|setup| setup.config.bindings = "UT".into());
    let path = "/1/0".parse().unwrap();
    let entries = [
        Entry::new("/1/0/1".parse().unwrap(), Value::Integer(700)),
        Entry::new("/1/0/7".parse().unwrap(), Value::String("TU".into())),
    ];
    let mut payload = Vec::new();
    let format = ContentFormat::SENML_CBOR;
    lwm2m_codec::encode(format, &path, &entries, &mut payload).unwrap();
    assert_eq!(world.code(Ask::update("/1/0", format, payload)), Code::CHANGED);
    world.run_for(secs(5));
    assert_eq!(updates(&world), ["lt=700&b=TU"]);
}

/// Core 3.2: the defaults that a server writes count for its observations at once.
#[test]
fn written_defaults_count_at_once() {
    let mut world = World::registered(|_| {});
    world.observe(VALUE, "");
    let begun = world.last_sent();
    assert_eq!(world.write("/1/0/2", "10"), Code::CHANGED);
    assert_eq!(world.write("/1/0/3", "30"), Code::CHANGED);
    assert_eq!(world.write("/1/0/26", "1"), Code::CHANGED);
    world.change(VALUE, Value::Float(21.0));
    world.run_for(secs(60));
    let notices = world.take_notices();
    let times: Vec<u64> = notices.iter().map(|notice| (notice.at - begun).as_secs()).collect();
    assert_eq!(times, [10, 40], "CORE-31");
    assert!(notices.iter().all(|notice| notice.confirmable), "CORE-44, OBJ-50");
    let read = ["/1/0/2", "/1/0/3", "/1/0/26"].map(|path| world.read(path).text().to_owned());
    assert_eq!(read, ["10", "30", "1"]);
}

/// OBJ-47, OBJ-48: stored, read and written; absent until they are written.
#[test]
fn trigger_transport_and_mute_are_kept_for_the_server() {
    let mut world = World::registered(|_| {});
    let cases = [
        ("/1/0/21", "1", ["2", "yes"]),
        ("/1/0/22", "T", ["UT", "Q"]),
        ("/1/0/23", "0", ["", "-1"]),
    ];
    for (path, text, wrong) in cases {
        assert_eq!(world.read(path).code, Code::NOT_FOUND, "{path}");
        assert!(!world.discover("/1/0").contains(path), "{path}");
        for wrong in wrong {
            assert_eq!(world.write(path, wrong), Code::BAD_REQUEST, "{path} {wrong:?}");
        }
        assert_eq!(world.write(path, text), Code::CHANGED, "{path}");
        assert_eq!(world.read(path).text(), text, "{path}");
        assert!(world.discover("/1/0").contains(path), "{path}");
    }
    world.run_for(secs(5));
    assert_eq!(updates(&world), [] as [&str; 0], "none of this is told");
}

fn at_1_0(queue_mode: bool) -> World {
    World::registered(|setup| {
        setup.config.version = Version::V1_0;
        setup.account().queue_mode = queue_mode;
    })
}

/// Core 5.5: what `lwm2m_version: "1.0"` makes of a Register.
#[test]
fn a_register_at_1_0_knows_neither_formats_nor_a_flag_for_queue_mode() {
    for (queue_mode, binding) in [(true, "b=UQ"), (false, "b=U")] {
        let world = at_1_0(queue_mode);
        let register = world.server.last("Register");
        let query = &register.query;
        assert_eq!(query[1..], ["lt=86400", "lwm2m=1.0", binding], "{query:?}");
        assert_eq!(world.server.requests.len(), 1, "no other version is tried");
        assert!(!register.body.contains("ct="), "{}", register.body);
    }
}

/// CORE-183, CORE-184: TLV without Accept, JSON of 1.0 with it.
#[test]
fn a_server_at_1_0_gets_its_formats_and_attributes() {
    let mut world = at_1_0(false);
    let format = |world: &mut World, ask| world.ask(ask).format.map(|format| format.0);
    assert_eq!(format(&mut world, Ask::read("/3/0")), Some(11542));
    assert_eq!(format(&mut world, Ask::observe("/3/0", "")), Some(11542));
    let json = ContentFormat::OMA_JSON;
    assert_eq!(format(&mut world, Ask::read("/3/0").accept(json)), Some(11543));
    world.attach(VALUE, "pmin=1&con=1&epmin=2&hqmax=3");
    assert_eq!(world.discover(VALUE), "</3303/0/5700>;pmin=1", "what 1.0 has no name for");
}

/// Core 5.5: 1.0 asks for queue mode in the binding.
#[test]
fn a_server_at_1_0_turns_queue_mode_on_and_off_by_the_binding() {
    let mut world = at_1_0(false);
    assert_eq!(world.write("/1/0/7", "UQ"), Code::CHANGED);
    world.run_for(secs(1));
    assert_eq!(updates(&world), ["b=UQ"]);
    assert_eq!(world.read("/1/0/7").text(), "UQ");
    world.until_asleep();
    world.command(Command::Wake { server: None });
    world.run_for(secs(1));
    assert_eq!(world.write("/1/0/7", "U"), Code::CHANGED);
    world.run_for(secs(1));
    assert_eq!(updates(&world), ["b=UQ", "", "b=U"]);
    world.run_for(secs(1000));
    assert_eq!(world.state(), ServerState::Registered);
    for wrong in ["Q", "UQQ", "UUQ", "SQ"] {
        assert_eq!(world.write("/1/0/7", wrong), Code::BAD_REQUEST, "{wrong}");
    }
}

/// Core 5.7: a server that is disabled for a while it chooses itself is let alone for
/// as long, and what it wrote to its account stays.
#[test]
fn what_a_server_wrote_outlives_its_being_disabled() {
    let mut world = World::registered(|setup| setup.config.bindings = "UT".into());
    for (path, text) in [("/1/0/1", "900"), ("/1/0/5", "60"), ("/1/0/7", "TU"), ("/1/0/23", "0")] {
        assert_eq!(world.write(path, text), Code::CHANGED);
    }
    world.run_for(ms(500));
    assert_eq!(world.execute("/1/0/4", ""), Code::CHANGED);
    world.run_for(secs(55));
    assert_eq!(world.state(), ServerState::Disabled);
    world.until_registered(secs(10));
    let query = &world.server.last("Register").query;
    assert!(query.contains(&"lt=900".into()) && query.contains(&"b=TU".into()), "{query:?}");
    assert_eq!(world.read("/1/0/23").text(), "0");
}
