//! Create and Delete: what comes and goes, who is told, what is refused (Core 6.5,
//! 6.6, 11).

use lwm2m_engine::{Event, LocalRequest, Output};
use lwm2m_memory::MAX_INSTANCES;
use lwm2m_model::{Code, ContentFormat, Entry, Operation, Path, Request, Value, Version};
use lwm2m_world::{Ask, LONE, Pace, SENSOR, World, ms, secs};

const TLV: ContentFormat = ContentFormat::TLV;
const JSON: ContentFormat = ContentFormat::SENML_JSON;
const CBOR: ContentFormat = ContentFormat::SENML_CBOR;
const LWM2M: ContentFormat = ContentFormat::LWM2M_CBOR;

/// A Create of `/3303` whose one instance has `/5750` = "x".
fn sensor(format: ContentFormat, instance: &str) -> Ask {
    let name = format!("/3303/{instance}/5750");
    let payload = match format {
        JSON => format!(r#"[{{"n":"{name}","vs":"x"}}]"#).into_bytes(),
        CBOR => {
            let length = u8::try_from(name.len()).unwrap();
            [&[0x81, 0xa2, 0x00, 0x60 | length][..], name.as_bytes(), &[0x03, 0x61, b'x']].concat()
        }
        LWM2M => {
            let id = instance.parse::<u16>().unwrap().to_be_bytes();
            [&[0xa1, 0x19, 0x0c, 0xe7, 0xa1, 0x19][..], &id, &[0xa1, 0x19, 0x16, 0x76, 0x61, b'x']]
                .concat()
        }
        // An Object Instance TLV of four bytes, or the resource alone.
        _ if instance == "65535" => vec![0xe1, 0x16, 0x76, b'x'],
        _ => vec![0x04, instance.parse().unwrap(), 0xe1, 0x16, 0x76, b'x'],
    };
    Ask::create("/3303", format, payload)
}

fn instances(world: &mut World, object: u16) -> Vec<u16> {
    world.device.objects.object(object).instances()
}

/// CORE-142, CORE-194.
#[test]
fn an_identifier_is_the_servers_or_the_lowest_that_is_free() {
    for format in [TLV, JSON, CBOR, LWM2M] {
        let mut world = World::registered(|_| {});
        for (given, made) in [("65535", 2), ("7", 7), ("65535", 3), ("4", 4), ("65535", 5)] {
            let response = world.ask(sensor(format, given));
            assert_eq!(response.code, Code::CREATED, "{format} {given}");
            assert_eq!(response.location, format!("/3303/{made}"), "{format} {given}");
            let value = world.read(&format!("/3303/{made}/5750"));
            assert_eq!(value.text(), "x", "{format}");
        }
        assert_eq!(instances(&mut world, 3303), [0, 1, 2, 3, 4, 5, 7]);
    }
}

#[test]
fn the_highest_identifier_is_one_like_any_other() {
    let mut world = World::registered(|_| {});
    assert_eq!(world.ask(sensor(JSON, "65534")).location, "/3303/65534");
    assert_eq!(world.ask(sensor(JSON, "65533")).location, "/3303/65533");
    assert_eq!(world.ask(sensor(JSON, "65535")).location, "/3303/2");
}

/// CORE-151.
#[test]
fn several_instances_are_made_together_and_told_in_one_update() {
    let mut world = World::registered(|_| {});
    let both = r#"[{"bn":"/3303/","n":"2/5750","vs":"a"},{"n":"65535/5750","vs":"b"}]"#;
    let response = world.ask(Ask::create("/3303", JSON, both));
    assert_eq!((response.code, response.location.as_str()), (Code::CREATED, ""));
    assert_eq!(world.code(sensor(TLV, "9")), Code::CREATED);
    world.run_for(secs(6));
    assert_eq!(world.server.accepted("Update"), 1);
    assert!(
        world
            .server
            .last("Update")
            .body
            .contains("</3303/0>,</3303/1>,</3303/2>,</3303/3>,</3303/9>"),
        "{}",
        world.server.last("Update").body
    );
    assert_eq!(world.read("/3303/3/5750").text(), "b");
    let done = world.events(|event| matches!(event, Event::Done { operation: "Create", .. }));
    assert_eq!(done.len(), 3, "one for each instance");
}

/// CORE-145, CORE-05.
#[test]
fn what_only_the_device_sets_is_ignored_and_so_is_what_it_does_not_know() {
    let mut world = World::registered(|_| {});
    let payload = r#"[{"bn":"/3303/2/","n":"5700","vs":"no number"},{"n":"5605","v":1},
        {"n":"9999","v":1},{"n":"5750","vs":"x"}]"#;
    assert_eq!(world.code(Ask::create("/3303", JSON, payload)), Code::CREATED);
    assert_eq!(world.read("/3303/2/5700").code, Code::NOT_FOUND);
    assert_eq!(world.read("/3303/2/5750").text(), "x");
}

/// CORE-146, OBJ-12, CORE-144, OBJ-11.
#[test]
fn a_single_instance_is_number_0_and_has_what_is_mandatory() {
    let mut world = World::registered(|_| {});
    world.add_object(&LONE, &[]);
    // CORE-18: without instances, and with several, `ver` is on the object link.
    assert!(world.server.last("Update").body.ends_with("</33101>;ver=2.1"));
    let json = |text: &str| Ask::create("/33101", JSON, text);
    let refused = [
        json(r#"[{"n":"/33101/1/0","v":3}]"#),
        json(r#"[{"n":"/33101/0/1","vs":"x"}]"#),
        json(r#"[{"n":"/33101/0/0","v":11}]"#),
        Ask::create("/33101", TLV, []),
    ];
    for ask in refused {
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), Code::BAD_REQUEST, "{shown}");
    }
    assert_eq!(instances(&mut world, 33101), []);
    let response = world.ask(json(r#"[{"n":"/33101/65535/0","v":3}]"#));
    assert_eq!((response.code, response.location.as_str()), (Code::CREATED, "/33101/0"));
    assert_eq!(world.read("/33101/0/1").text(), "", "a default of its type");
    world.run_for(secs(6));
    assert!(world.server.last("Update").body.ends_with("</33101>;ver=2.1,</33101/0>"));
    assert_eq!(
        world.discover("/33101"),
        "</33101>;ver=2.1,</33101/0>,</33101/0/0>,</33101/0/1>,</33101/0/2>"
    );
    let again = json(r#"[{"n":"/33101/65535/0","v":3}]"#);
    assert_eq!(world.code(again), Code::BAD_REQUEST, "it exists already");
    assert_eq!(world.code(Ask::delete("/33101/0")), Code::DELETED);
    world.run_for(secs(6));
    assert!(world.server.last("Update").body.ends_with("</33101>;ver=2.1"));
}

/// An empty payload is an instance of defaults.
#[test]
fn a_create_without_payload_makes_an_empty_instance() {
    let mut world = World::registered(|_| {});
    for ask in [Ask::new(lwm2m_world::method::POST, "/3303"), Ask::create("/3303", TLV, [])] {
        assert_eq!(world.code(ask), Code::CREATED);
    }
    assert_eq!(instances(&mut world, 3303), [0, 1, 2, 3]);
    assert_eq!(world.read("/3303/3").code, Code::CONTENT);
}

/// Core 11, the rows of Create and Delete; CORE-143, CORE-148, CORE-149, OBJ-51,
/// OBJ-60.
#[test]
fn what_cannot_be_made_or_deleted_gets_its_code_and_changes_nothing() {
    let json = |path: &str, text: &str| Ask::create(path, JSON, text);
    let both = r#"[{"bn":"/3303/","n":"2/5750","vs":"a"},{"n":"1/5750","vs":"b"}]"#;
    let link = |to: &str| json("/3303", &format!(r#"[{{"n":"/3303/5/7003","vlo":"{to}"}}]"#));
    let refused = [
        (json("/0", r#"[{"n":"/0/1/0","vs":"x"}]"#), Code::UNAUTHORIZED),
        (json("/1", r#"[{"n":"/1/1/1","v":60}]"#), Code::METHOD_NOT_ALLOWED),
        (json("/3", r#"[{"n":"/3/1/15","vs":"x"}]"#), Code::METHOD_NOT_ALLOWED),
        (json("/3", "no JSON"), Code::METHOD_NOT_ALLOWED),
        (json("/9", r#"[{"n":"/9/0/0","v":1}]"#), Code::NOT_FOUND),
        (sensor(TLV, "1"), Code::BAD_REQUEST),
        (json("/3303", both), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3303/5/5821","vs":"hot"}]"#), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3303/5/5821","v":11}]"#), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3303/5/5750/0","vs":"x"}]"#), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3303/5/7000","v":1}]"#), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3304/5/5750","vs":"x"}]"#), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3303/5","vs":"x"}]"#), Code::BAD_REQUEST),
        (json("/3303", r#"[{"n":"/3303/65536/5750","vs":"x"}]"#), Code::BAD_REQUEST),
        (link("3303:7"), Code::BAD_REQUEST),
        (link("77:65535"), Code::BAD_REQUEST),
        (json("/3303", "[{"), Code::BAD_REQUEST),
        (Ask::create("/3303", TLV, [0xff]), Code::BAD_REQUEST),
        (Ask::new(lwm2m_world::method::POST, "/3303").unlabelled("x"), Code::BAD_REQUEST),
        (Ask::create("/3303", ContentFormat::TEXT, "x"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (Ask::create("/3303", ContentFormat::ETCH_JSON, "[]"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (Ask::create("/3303", ContentFormat(9999), "x"), Code::UNSUPPORTED_CONTENT_FORMAT),
        (Ask::delete("/"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/0/0"), Code::UNAUTHORIZED),
        (Ask::delete("/1/0"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/3/0"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/3303"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/3303/0/5750"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/3303/0/7000/1/1"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/3303/0/5750/0"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/3/0/6/0"), Code::METHOD_NOT_ALLOWED),
        (Ask::delete("/9/0"), Code::NOT_FOUND),
        (Ask::delete("/3303/5"), Code::NOT_FOUND),
        (Ask::delete("/3303/0/7000/9"), Code::NOT_FOUND),
        (Ask::delete("/3303/0/9999/0"), Code::NOT_FOUND),
    ];
    let mut world = World::registered(|_| {});
    for (ask, code) in refused {
        let shown = format!("{ask:?}");
        assert_eq!(world.code(ask), code, "{shown}");
    }
    world.run_for(secs(6));
    assert!(world.device.objects.runs.is_empty(), "{:?}", world.device.objects.runs);
    assert_eq!(world.server.accepted("Update"), 0);
    // A link may lead to what the request itself makes.
    assert_eq!(world.code(link("3303:5")), Code::CREATED);
}

#[test]
fn a_delete_ends_observations_and_attributes_below_and_is_told_by_update() {
    let mut world = World::registered(|_| {});
    for path in ["/3303/0", "/3303/0/5700", "/3303", "/3303/1/5700"] {
        world.observe(path, "");
        assert_eq!(world.attach(path, "pmin=3"), Code::CHANGED);
    }
    world.run_for(secs(6));
    assert_eq!(world.code(Ask::delete("/3303/0")), Code::DELETED);
    world.run_for(secs(6));
    let notices = world.take_notices();
    let told = |path: &str| {
        notices
            .iter()
            .filter(|notice| notice.path == path)
            .map(|notice| notice.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(told("/3303/0"), [Code::NOT_FOUND]);
    assert_eq!(told("/3303/0/5700"), [Code::NOT_FOUND]);
    assert_eq!(told("/3303"), [Code::CONTENT], "the others go on");
    assert_eq!(told("/3303/1/5700"), []);
    assert_eq!(world.server.accepted("Update"), 1);
    assert!(!world.server.last("Update").body.contains("</3303/0>"));
    assert_eq!(world.read("/3303/0/5700").code, Code::NOT_FOUND);

    // What comes later under the same number begins anew.
    assert_eq!(world.code(sensor(TLV, "0")), Code::CREATED);
    assert_eq!(world.discover("/3303/0/5750"), "</3303/0/5750>;pmin=3", "inherited from /3303");
    assert_eq!(
        world.ask(Ask::discover("/3303").query("depth=1")).text(),
        "</3303>;pmin=3,</3303/0>,</3303/1>"
    );
}

#[test]
fn a_resource_instance_is_read_written_observed_and_deleted() {
    let mut world = World::registered(|_| {});
    world.observe("/3303/0/7000/1", "");
    world.observe("/3303/0/7000", "");
    world.attach("/3303/0/7000/1", "gt=11.5");
    assert_eq!(world.write("/3303/0/7000/1", "12"), Code::CHANGED);
    world.run_for(secs(1));
    assert_eq!(world.read("/3303/0/7000/1").text(), "12");
    let before = world.take_notices();
    assert!(before.iter().any(|notice| notice.path == "/3303/0/7000/1" && notice.text() == "12"));
    assert_eq!(world.code(Ask::delete("/3303/0/7000/1")), Code::DELETED);
    world.run_for(secs(6));
    let codes: Vec<_> =
        world.take_notices().iter().map(|notice| (notice.path.clone(), notice.code)).collect();
    assert_eq!(codes.len(), 2, "{codes:?}");
    assert!(codes.contains(&("/3303/0/7000/1".into(), Code::NOT_FOUND)));
    assert!(codes.contains(&("/3303/0/7000".into(), Code::CONTENT)));
    assert_eq!(world.server.accepted("Update"), 0, "the object list is the same");
    // CORE-136: a Write brings it not back, a Write of the resource does.
    assert_eq!(world.write("/3303/0/7000/1", "1"), Code::NOT_FOUND);
    let values = Ask::update("/3303/0/7000", JSON, r#"[{"n":"/3303/0/7000/1","v":4}]"#);
    assert_eq!(world.code(values), Code::CHANGED);
    assert_eq!(
        world.discover("/3303/0/7000"),
        "</3303/0/7000>;dim=2,</3303/0/7000/0>,</3303/0/7000/1>"
    );
}

#[test]
fn version_1_0_deletes_instances_but_no_resource_instances() {
    let mut world = World::registered(|setup| setup.manner.versions = vec![Version::V1_0]);
    assert_eq!(world.code(Ask::delete("/3303/0/7000/1")), Code::METHOD_NOT_ALLOWED);
    assert_eq!(world.ask(sensor(TLV, "65535")).location, "/3303/2");
    assert_eq!(world.code(Ask::delete("/3303/2")), Code::DELETED);
}

#[test]
fn a_slow_object_never_gets_one_identifier_twice() {
    let mut world = World::registered(|_| {});
    world.device.objects.set_pace(3303, Pace::After(secs(3)));
    let first = world.send(sensor(TLV, "65535"));
    let second = world.send(sensor(TLV, "65535"));
    let third = world.send(sensor(TLV, "3"));
    assert_eq!(world.response(third).code, Code::BAD_REQUEST, "it is being made");
    assert_eq!(world.response(first).location, "/3303/2");
    assert_eq!(world.response(second).location, "/3303/3");
}

#[test]
fn an_instance_is_there_when_the_object_has_confirmed_it() {
    let mut world = World::registered(|_| {});
    world.device.objects.set_pace(3303, Pace::After(secs(3)));
    let create = world.send(sensor(TLV, "5"));
    world.run_for(secs(1));
    world.device.objects.set_pace(3303, Pace::AtOnce);
    assert_eq!(world.read("/3303/5/5750").code, Code::NOT_FOUND);
    assert_eq!(world.response(create).code, Code::CREATED);
    assert_eq!(world.read("/3303/5/5750").text(), "x");
    // One that never confirms makes nothing, and the number is free again.
    world.device.objects.set_pace(3303, Pace::Never);
    assert_eq!(world.code(sensor(TLV, "6")), Code::SERVICE_UNAVAILABLE);
    world.device.objects.set_pace(3303, Pace::AtOnce);
    assert_eq!(world.code(sensor(TLV, "6")), Code::CREATED);
}

/// A slow Read of an instance that is deleted meanwhile leaves no observation and no
/// attribute.
#[test]
fn what_is_deleted_while_it_is_read_is_not_observed() {
    let mut world = World::registered(|_| {});
    world.device.objects.set_pace(3303, Pace::After(secs(3)));
    let observe = world.send(Ask::observe("/3303/0/5700", ""));
    let attach = world.send(Ask::attributes("/3303/0/5700", "pmin=1"));
    world.run_for(ms(500));
    world.device.objects.set_pace(3303, Pace::AtOnce);
    assert_eq!(world.code(Ask::delete("/3303/0")), Code::DELETED);
    assert_eq!(world.response(observe).code, Code::NOT_FOUND);
    assert_eq!(world.response(attach).code, Code::NOT_FOUND);
    assert_eq!(world.device.status().observations, 0);
}

#[test]
fn a_repeated_create_makes_one_instance() {
    let mut world = World::registered(|_| {});
    world.network.up.lose_next = 2;
    let response = world.ask(sensor(TLV, "65535"));
    assert_eq!((response.code, response.location.as_str()), (Code::CREATED, "/3303/2"));
    assert_eq!(instances(&mut world, 3303), [0, 1, 2]);
    assert!(world.device.status().counters.duplicates >= 1);
}

#[test]
fn a_storm_of_creates_is_bounded() {
    let mut world = World::registered(|setup| setup.keeps_log = false);
    let mut refused = 0;
    for _ in 0..MAX_INSTANCES + 20 {
        match world.code(sensor(LWM2M, "65535")) {
            Code::CREATED => assert_eq!(refused, 0),
            code => {
                assert_eq!(code, Code::INTERNAL_SERVER_ERROR);
                refused += 1;
            }
        }
    }
    assert_eq!((refused, instances(&mut world, 3303).len()), (22, MAX_INSTANCES));
    assert_eq!(world.code(Ask::delete("/3303/9")), Code::DELETED);
    assert_eq!(world.ask(sensor(LWM2M, "65535")).location, "/3303/9");
}

#[test]
fn the_operator_makes_and_deletes_instances() {
    let mut world = World::registered(|_| {});
    let create = |instance, path: &str, value: &str| LocalRequest::Create {
        object: SENSOR.id,
        instance,
        entries: vec![Entry::new(path.parse().unwrap(), Value::String(value.into()))],
    };
    world.ask_locally(1, create(None, "/3303/0/5750", "a"));
    world.ask_locally(2, create(Some(8), "/3303/0/5750", "b"));
    world.ask_locally(3, create(Some(8), "/3303/0/5750", "c"));
    world.ask_locally(4, create(None, "/3303/0/5701", "read-only"));
    world.ask_locally(5, create(None, "/3303/0/9999", "unknown"));
    let delete =
        |path: Path| Request { operation: Operation::Delete, path, accept: None, content: None };
    world.ask_locally(6, LocalRequest::Plain(delete(Path::instance(3303, 0))));
    let codes: Vec<Result<String, Code>> = world
        .device
        .local
        .iter()
        .map(|output| match output {
            Output::LocalReply { result: Ok(entries), .. } => {
                Ok(entries.iter().map(|entry| entry.path.to_string()).collect())
            }
            Output::LocalReply { result: Err(error), .. } => Err(error.code),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        codes,
        [
            Ok("/3303/2".into()),
            Ok("/3303/8".into()),
            Err(Code::BAD_REQUEST),
            Err(Code::METHOD_NOT_ALLOWED),
            Err(Code::NOT_FOUND),
            Ok(String::new()),
        ]
    );
    assert_eq!(world.read("/3303/8/5750").text(), "b");
    world.run_for(secs(6));
    assert!(world.server.last("Update").body.contains("</3303/1>,</3303/2>,</3303/8>"));
}

#[test]
fn an_object_that_comes_with_its_answer_is_listed_once() {
    let mut world = World::registered(|_| {});
    world.device.objects.set_pace(3303, Pace::After(secs(2)));
    let create = world.send(sensor(TLV, "5"));
    world.run_for(secs(1));
    // It says so itself before it answers, as a program of its own may.
    world.announce(3303);
    assert_eq!(world.response(create).code, Code::CREATED);
    world.run_for(secs(6));
    assert_eq!(world.server.accepted("Update"), 1);
    assert_eq!(world.server.last("Update").body.matches("</3303/5>").count(), 1);
}
