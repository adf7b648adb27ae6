//! What servers see of an object in memory: the rows of Core 6 and its limits.

use std::borrow::Cow;
use std::sync::Arc;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_memory::{
    Limits, MAX_BYTES, MAX_INSTANCES, MAX_RESOURCE_INSTANCES, MAX_VALUE, MemoryObject,
};
use lwm2m_model::{
    Arguments, Code, DataType as T, Entry, ObjectDef, Operations as O, Path, Range, ResourceDef,
    Value, Version, WriteMode,
};

const OBJECT: u16 = 33333;

fn resource(id: u16, operations: O, data_type: T, shape: &str) -> ResourceDef {
    ResourceDef {
        id,
        name: Cow::Borrowed("of a test"),
        operations,
        multiple: shape.contains("multiple"),
        mandatory: shape.contains("mandatory"),
        data_type,
        range: Range::Any,
        unit: Cow::Borrowed(""),
    }
}

fn definition() -> ObjectDef {
    let ranged = ResourceDef {
        range: Range::Number { min: 5.0, max: 9.0 },
        ..resource(2, O::R, T::Integer, "mandatory")
    };
    ObjectDef {
        id: OBJECT,
        name: Cow::Borrowed("Object of a test"),
        version: Version::V1_0,
        multiple: true,
        mandatory: false,
        resources: Cow::Owned(vec![
            resource(0, O::RW, T::String, "mandatory"),
            resource(1, O::RW, T::String, ""),
            ranged,
            resource(3, O::E, T::None, ""),
            resource(4, O::W, T::Integer, ""),
            resource(5, O::RW, T::Integer, "multiple"),
            resource(6, O::R, T::String, "multiple"),
            resource(7, O::RW, T::Opaque, ""),
        ]),
    }
}

fn empty() -> MemoryObject {
    MemoryObject::new(Arc::new(definition()))
}

/// One instance with a value in everything.
fn filled() -> MemoryObject {
    let mut object = empty();
    object.fill(0);
    object
}

fn path(text: &str) -> Path {
    format!("/{OBJECT}{text}").parse().unwrap()
}

fn call(object: &mut MemoryObject, at: &str, operation: CallOperation) -> CallResult {
    object.call(&Call { id: CallId(0), path: path(at), operation, server: None })
}

fn text(at: &str, value: &str) -> Entry {
    Entry::new(path(at), Value::String(value.into()))
}

fn number(at: &str, value: i64) -> Entry {
    Entry::new(path(at), Value::Integer(value))
}

fn write(object: &mut MemoryObject, at: &str, mode: WriteMode, entries: &[Entry]) -> CallResult {
    call(object, at, CallOperation::Write { mode, entries: entries.to_vec() })
}

fn create(object: &mut MemoryObject, instances: &[u16], entries: &[Entry]) -> CallResult {
    let (instances, entries) = (instances.to_vec(), entries.to_vec());
    call(object, "", CallOperation::Create { instances, entries })
}

/// `/1=a` for each value, without the object.
fn read(object: &mut MemoryObject, at: &str) -> Vec<String> {
    match call(object, at, CallOperation::Read) {
        Ok(CallReply::Entries(entries)) => entries
            .iter()
            .map(|entry| {
                let at = entry.path.to_string().split_off(format!("/{OBJECT}").len());
                entry.value().map_or_else(|| format!("{at} empty"), |value| format!("{at}={value}"))
            })
            .collect(),
        other => panic!("{at}: {other:?}"),
    }
}

fn code(result: CallResult) -> Code {
    result.unwrap_err().code
}

#[test]
fn reading_gives_what_is_readable_and_discover_what_is_there() {
    let mut object = filled();
    let all = ["/0/0=\"\"", "/0/1=\"\"", "/0/2=5", "/0/5/0=0", "/0/6/0=\"\"", "/0/7=\"\""];
    assert_eq!(read(&mut object, "/0").len(), all.len(), "CORE-125");
    assert_eq!(read(&mut object, "/0")[..5], all[..5]);
    assert_eq!(read(&mut object, "/0/5"), ["/0/5/0=0"]);
    assert_eq!(read(&mut object, "/0/5/0"), ["/0/5/0=0"]);
    assert!(read(&mut empty(), "").is_empty(), "CORE-127");
    let discovered =
        |object: &mut MemoryObject, at: &str| match call(object, at, CallOperation::Discover) {
            Ok(CallReply::Paths(paths)) => paths.len(),
            other => panic!("{at}: {other:?}"),
        };
    assert_eq!(discovered(&mut object, ""), 11, "the instance, eight resources, two instances");
    assert_eq!(discovered(&mut object, "/0/3"), 1);
    assert_eq!(discovered(&mut object, "/0/4"), 1);
    for missing in ["/1", "/0/5/1", "/0/9", "/1/0", "/0/0/0"] {
        for operation in [CallOperation::Read, CallOperation::Discover] {
            let result = call(&mut object, missing, operation);
            assert_eq!(code(result), Code::NOT_FOUND, "{missing}");
        }
    }
}

/// Target, mode and values of a Write, and what a Read gives then.
type Case<'a> = (&'a str, WriteMode, &'a [Entry], &'a str, &'a [&'a str]);

/// The example of Core 6.3, and what each mode leaves alone.
#[test]
fn a_write_replaces_or_updates_at_every_level() {
    use WriteMode::{Partial, Replace};
    let ids = [number("/0/5/1", 10), number("/0/5/3", 30)];
    let start = |object: &mut MemoryObject| {
        write(object, "/0/5", Replace, &[number("/0/5/0", 0), number("/0/5/1", 1)]).unwrap();
        write(object, "/0/1", Replace, &[text("/0/1", "kept")]).unwrap();
    };
    let cases: [Case<'_>; 8] = [
        // CORE-134, CORE-135
        ("/0/5", Replace, &ids, "/0/5", &["/0/5/1=10", "/0/5/3=30"]),
        ("/0/5", Partial, &ids, "/0/5", &["/0/5/0=0", "/0/5/1=10", "/0/5/3=30"]),
        ("/0/5", Replace, &[], "/0/5", &["/0/5 empty"]),
        ("/0/5/1", Replace, &[number("/0/5/1", 7)], "/0/5", &["/0/5/0=0", "/0/5/1=7"]),
        ("/0", Partial, &[text("/0/0", "a")], "/0/1", &["/0/1=\"kept\""]),
        ("/0", Partial, &ids, "/0/5", &["/0/5/0=0", "/0/5/1=10", "/0/5/3=30"]),
        ("/0", Replace, &ids, "/0/5", &["/0/5/1=10", "/0/5/3=30"]),
        // What a Write of an instance leaves out goes, unless it is mandatory or not
        // for servers to write.
        ("/0", Replace, &[number("/0/4", 4)], "/0", &["/0/0=\"\"", "/0/2=5", "/0/6/0=\"\""]),
    ];
    for (target, mode, entries, at, expected) in cases {
        let mut object = filled();
        start(&mut object);
        assert_eq!(write(&mut object, target, mode, entries), Ok(CallReply::Done), "{target}");
        assert_eq!(read(&mut object, at), expected, "{target} {mode:?}");
    }
    let mut object = filled();
    let missing = write(&mut object, "/0/5/9", Replace, &[number("/0/5/9", 7)]);
    assert_eq!(code(missing), Code::NOT_FOUND, "CORE-136");
}

#[test]
fn a_create_has_what_the_server_gave_and_what_only_the_device_can_give() {
    let mut object = empty();
    let given = [text("/2/0", "a"), text("/7/0", "b"), number("/7/5/4", 4)];
    assert_eq!(create(&mut object, &[2, 7], &given), Ok(CallReply::Done));
    assert_eq!(object.instances(), [2, 7]);
    assert_eq!(
        read(&mut object, ""),
        ["/2/0=\"a\"", "/2/2=5", "/7/0=\"b\"", "/7/2=5", "/7/5/4=4"],
        "OBJ-11: the mandatory one has a value in its range"
    );
    // CORE-144: all or nothing.
    assert_eq!(code(create(&mut object, &[8, 9], &[text("/8/0", "a")])), Code::BAD_REQUEST);
    assert_eq!(code(create(&mut object, &[2], &[text("/2/0", "c")])), Code::BAD_REQUEST);
    assert_eq!(object.instances(), [2, 7]);
    assert_eq!(object.value(&path("/2/0")), Some(&Value::String("a".into())));
}

#[test]
fn instances_and_resource_instances_are_deleted() {
    let mut object = filled();
    assert_eq!(call(&mut object, "/0/5/0", CallOperation::Delete), Ok(CallReply::Done));
    assert_eq!(read(&mut object, "/0/5"), ["/0/5 empty"], "the resource stays");
    assert_eq!(code(call(&mut object, "/0/5/0", CallOperation::Delete)), Code::NOT_FOUND);
    assert_eq!(call(&mut object, "/0", CallOperation::Delete), Ok(CallReply::Done));
    assert_eq!(code(call(&mut object, "/0", CallOperation::Delete)), Code::NOT_FOUND);
    assert!(object.instances().is_empty());
}

#[test]
fn an_execute_needs_an_instance() {
    let mut object = filled();
    let arguments = || CallOperation::Execute(Arguments::parse("0='x',3").unwrap());
    assert_eq!(call(&mut object, "/0/3", arguments()), Ok(CallReply::Done));
    assert_eq!(code(call(&mut object, "/1/3", arguments())), Code::NOT_FOUND);
}

#[test]
fn an_object_may_hold_less_than_others() {
    let limits = Limits { instances: 2, resource_instances: 3, value: 4, bytes: 1000 };
    let mut object = MemoryObject::limited(Arc::new(definition()), limits);
    for id in 0..2 {
        let made = create(&mut object, &[id], &[text(&format!("/{id}/0"), "four")]);
        assert_eq!(made, Ok(CallReply::Done));
    }
    let third = create(&mut object, &[2], &[text("/2/0", "x")]);
    assert_eq!(code(third), Code::INTERNAL_SERVER_ERROR);
    let long = write(&mut object, "/0/1", WriteMode::Partial, &[text("/0/1", "fives")]);
    assert_eq!(code(long), Code::BAD_REQUEST);
    let many: Vec<Entry> = (0..4).map(|id| number(&format!("/0/5/{id}"), 1)).collect();
    let many = write(&mut object, "/0/5", WriteMode::Partial, &many);
    assert_eq!(code(many), Code::UNAUTHORIZED);
}

#[test]
fn every_limit_has_its_code_and_leaves_all_as_it_was() {
    use WriteMode::Partial;
    let mut object = filled();
    let before = read(&mut object, "");
    let count = u16::try_from(MAX_RESOURCE_INSTANCES).unwrap();
    let many: Vec<Entry> = (0..=count).map(|id| number(&format!("/0/5/{id}"), 1)).collect();
    assert_eq!(code(write(&mut object, "/0/5", Partial, &many)), Code::UNAUTHORIZED, "CORE-139");
    let long = [text("/0/1", &"x".repeat(MAX_VALUE + 1))];
    assert_eq!(code(write(&mut object, "/0/1", Partial, &long)), Code::BAD_REQUEST);
    assert_eq!(
        code(create(&mut object, &[5], &[text("/5/0", &"x".repeat(MAX_VALUE + 1))])),
        Code::BAD_REQUEST
    );
    assert_eq!(read(&mut object, ""), before);

    // As many instances as may be, each with little in it.
    for id in 1..MAX_INSTANCES {
        let id = u16::try_from(id).unwrap();
        assert_eq!(
            create(&mut object, &[id], &[text(&format!("/{id}/0"), "x")]),
            Ok(CallReply::Done)
        );
    }
    let one_more = u16::try_from(MAX_INSTANCES).unwrap();
    let refused = create(&mut object, &[one_more], &[text(&format!("/{one_more}/0"), "x")]);
    assert_eq!(code(refused), Code::INTERNAL_SERVER_ERROR);
    assert_eq!(object.instances().len(), MAX_INSTANCES);

    // Long values until there is no room; what makes room is always taken.
    let long = "x".repeat(MAX_VALUE);
    let mut taken = 0;
    let full = loop {
        let at = format!("/{taken}/1");
        match write(&mut object, &at, Partial, &[text(&at, &long)]) {
            Ok(_) => taken += 1,
            refused => break code(refused),
        }
    };
    assert_eq!(full, Code::INTERNAL_SERVER_ERROR);
    assert!(taken * MAX_VALUE <= MAX_BYTES && (taken + 4) * MAX_VALUE > MAX_BYTES, "{taken}");
    assert_eq!(write(&mut object, "/0/1", Partial, &[text("/0/1", "")]), Ok(CallReply::Done));
    assert_eq!(call(&mut object, "/1", CallOperation::Delete), Ok(CallReply::Done));
    let at = format!("/{taken}/1");
    assert_eq!(write(&mut object, &at, Partial, &[text(&at, &long)]), Ok(CallReply::Done));
}
