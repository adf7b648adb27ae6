//! The test object 3442 does what its definition says.

use std::sync::Arc;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_memory::MemoryObject;
use lwm2m_model::{Arguments, Code, Entry, ObjectDef, ObjectLink, Path, Value};

fn object() -> MemoryObject {
    let xml = include_str!("../../../tests/registry/3442.xml");
    let mut object = MemoryObject::new(Arc::new(ObjectDef::from_xml(xml).unwrap()));
    object.fill(0);
    object
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn call(object: &mut MemoryObject, at: &str, operation: CallOperation) -> CallResult {
    object.call(&Call { id: CallId(0), path: path(at), operation, server: None })
}

fn execute(object: &mut MemoryObject, at: &str, arguments: &str) -> CallResult {
    let arguments = Arguments::parse(arguments).unwrap();
    call(object, at, CallOperation::Execute(arguments))
}

fn entries(object: &mut MemoryObject, at: &str) -> Vec<Entry> {
    match call(object, at, CallOperation::Read) {
        Ok(CallReply::Entries(entries)) => entries,
        other => panic!("{at}: {other:?}"),
    }
}

/// The initial values of the definition.
fn initial() -> [Value; 9] {
    [
        Value::String("initial value".into()),
        Value::Integer(1024),
        Value::Unsigned(9_223_372_036_854_775_808),
        "3.14159".parse().map(Value::Float).unwrap(),
        Value::Boolean(true),
        Value::Opaque(0x0123_4567_89ab_cdef_u64.to_be_bytes().to_vec()),
        Value::Time(946_684_800),
        Value::Objlnk(ObjectLink::new(3, 0)),
        Value::Corelnk("</3442>".into()),
    ]
}

const SINGLE: [u16; 9] = [110, 120, 125, 130, 140, 150, 160, 170, 180];

fn assert_initial(object: &MemoryObject) {
    for (id, value) in SINGLE.into_iter().zip(initial()) {
        assert_eq!(object.value(&Path::resource(3442, 0, id)), Some(&value), "{id}");
        let multiple = Path::resource_instance(3442, 0, id + 1000, 0);
        assert_eq!(object.value(&multiple), Some(&value), "{id}");
    }
}

#[test]
fn values_begin_as_the_definition_says_and_are_reset_to_it() {
    let mut object = object();
    assert_initial(&object);
    assert_eq!(entries(&mut object, "/3442/0/4"), [Entry::empty(path("/3442/0/4"))]);
    let before = entries(&mut object, "/3442/0");
    execute(&mut object, "/3442/0/1", "").unwrap();
    execute(&mut object, "/3442/0/3", "1").unwrap();
    assert_ne!(entries(&mut object, "/3442/0"), before);
    execute(&mut object, "/3442/0/0", "").unwrap();
    assert_eq!(entries(&mut object, "/3442/0"), before);
}

#[test]
fn cleared_values_are_neutral_and_lists_empty() {
    let mut object = object();
    execute(&mut object, "/3442/0/2", "").unwrap();
    let neutral = [
        Value::String(String::new()),
        Value::Integer(0),
        Value::Unsigned(0),
        Value::Float(0.0),
        Value::Boolean(false),
        Value::Opaque(vec![]),
        Value::Time(0),
        Value::Objlnk(ObjectLink::NULL),
        Value::Corelnk(String::new()),
    ];
    for (id, value) in SINGLE.into_iter().zip(neutral) {
        assert_eq!(object.value(&Path::resource(3442, 0, id)), Some(&value), "{id}");
        let multiple = Path::resource(3442, 0, id + 1000);
        let held = entries(&mut object, &multiple.to_string());
        assert_eq!(held, [Entry::empty(multiple)]);
    }
}

#[test]
fn random_values_are_short_and_of_their_types() {
    let mut object = object();
    let definition = Arc::clone(object.definition());
    let mut seen = Vec::new();
    for _ in 0..200 {
        execute(&mut object, "/3442/0/1", "").unwrap();
        let all = entries(&mut object, "/3442/0");
        for entry in &all {
            let resource = definition.resource(entry.path.resource_id().unwrap()).unwrap();
            let Some(value) = entry.value() else { continue };
            assert_eq!(value.data_type(), resource.data_type, "{}", entry.path);
            assert!(entry.path.resource_instance_id().unwrap_or_default() < 10);
            match value {
                Value::String(text) => assert!(text.len() <= 20),
                Value::Opaque(bytes) => assert!(bytes.len() <= 20),
                _ => {}
            }
        }
        assert!(!seen.contains(&all), "never the same");
        seen.push(all);
    }
}

#[test]
fn the_arguments_of_the_last_execute_can_be_read() {
    let mut object = object();
    execute(&mut object, "/3442/0/3", "0='old'").unwrap();
    execute(&mut object, "/3442/0/3", "3='stringValue',4").unwrap();
    let expected = [
        Entry::new(path("/3442/0/4/3"), Value::String("stringValue".into())),
        Entry::new(path("/3442/0/4/4"), Value::String(String::new())),
    ];
    assert_eq!(entries(&mut object, "/3442/0/4"), expected);
    for other in ["/3442/0/0", "/3442/0/1", "/3442/0/2"] {
        let refused = execute(&mut object, other, "1").unwrap_err();
        assert_eq!(refused.code, Code::BAD_REQUEST, "CORE-141 {other}");
    }
}

/// Send Data comes with the Send operation.
#[test]
fn what_cannot_be_done_is_not_there() {
    let mut object = object();
    assert_eq!(execute(&mut object, "/3442/0/5", "").unwrap_err().code, Code::NOT_FOUND);
    let Ok(CallReply::Paths(paths)) = call(&mut object, "/3442/0", CallOperation::Discover) else {
        panic!("a Discover gives paths");
    };
    assert!(paths.contains(&path("/3442/0/3")) && !paths.contains(&path("/3442/0/5")));
}
