//! A server that sends nonsense: each way to be wrong has its code, and nothing
//! changes (Core 6, 11).

use std::fmt::Write as _;

use lwm2m_model::{Code, ContentFormat as F, Entry, ObjectDef, Path, Value};
use lwm2m_world::{Ask, World, method};

/// A device with one instance of the test object.
fn world() -> World {
    let xml = include_str!("../../registry/3442.xml");
    let mut world = World::registered(|setup| setup.keeps_log = false);
    world.add_object(&ObjectDef::from_xml(xml).unwrap(), &[]);
    world.device.objects.object(3442).fill(0);
    world.announce(3442);
    world.run_for(lwm2m_world::secs(5));
    world
}

/// Everything that the test object holds.
fn state(world: &mut World) -> Vec<u8> {
    let response = world.ask(Ask::read("/3442").accept(F::LWM2M_CBOR));
    assert_eq!(response.code, Code::CONTENT);
    response.payload
}

/// Where values can go: the method, the path, and what kind of target it is.
const TARGETS: [(u8, &str, Target); 8] = [
    (method::POST, "/3442", Target::Many),
    (method::PUT, "/3442/0", Target::Many),
    (method::POST, "/3442/0", Target::Many),
    (method::PUT, "/3442/0/120", Target::One),
    (method::PUT, "/3442/0/150", Target::Bytes),
    (method::PUT, "/3442/0/1120", Target::Many),
    (method::POST, "/3442/0/1120", Target::Many),
    (method::PUT, "/3442/0/1120/0", Target::One),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    One,
    Bytes,
    Many,
}

/// Payloads that are none of their format.
fn malformed(format: F) -> Vec<Vec<u8>> {
    let deep = |open: &[u8]| open.repeat(500);
    let texts: Vec<&[u8]> = match format {
        F::TEXT => vec![b"\xff\xfe", b"twelve", b"1 2", b"0x10", b"1e400", b"99999999999999999999"],
        // Bytes are bytes; only another type can be wrong.
        F::OPAQUE => vec![],
        F::CBOR => vec![b"", b"\x5f", b"\x1b\x00", b"\x01\x02", b"\xa1\x01", b"\xf6", b"\xff"],
        F::TLV => vec![b"\xff", b"\xc8", b"\xc8\x78\xff\x00", b"\x07", b"\xd8\x00\x00\xff\xff"],
        F::SENML_JSON | F::OMA_JSON => {
            vec![b"", b"[", b"{", b"[{]", b"nonsense", b"[1]", b"\xff", b"{\"e\":[1]}"]
        }
        F::SENML_CBOR => vec![
            b"",
            b"\x81",
            b"\x81\xa1",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x01",
            b"\xff",
        ],
        _ => vec![
            b"",
            b"\xa1",
            b"\xa1\x00",
            b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x01",
            b"\xff",
        ],
    };
    let mut all: Vec<Vec<u8>> = texts.into_iter().map(<[u8]>::to_vec).collect();
    match format {
        F::SENML_JSON | F::OMA_JSON => all.push(deep(b"[")),
        F::SENML_CBOR => all.push(deep(b"\x81")),
        F::LWM2M_CBOR => all.push(deep(b"\xa1\x00")),
        _ => {}
    }
    all
}

/// What the format of a payload comes to at a target: Core 6.3, 10.1.
fn fits(format: F, target: Target, method: u8) -> bool {
    match format {
        F::TEXT | F::CBOR => target != Target::Many,
        F::OPAQUE => target == Target::Bytes && method == method::PUT,
        F::TLV | F::SENML_JSON | F::SENML_CBOR | F::LWM2M_CBOR => true,
        _ => false,
    }
}

#[test]
fn malformed_payloads_of_every_format_on_every_path() {
    let mut world = world();
    let before = state(&mut world);
    let mut tried = 0;
    for (method, path, target) in TARGETS {
        for format in F::NAMED.into_iter().chain([F(1542), F(9999)]) {
            let fits = fits(format, target, method);
            let wrong = if fits { malformed(format) } else { vec![b"".to_vec(), b"\xff".to_vec()] };
            for payload in wrong {
                // Text of an opaque resource is Base64, and CBOR may be empty bytes.
                if target == Target::Bytes
                    && format == F::TEXT
                    && payload.is_ascii()
                    && payload.len() % 4 == 0
                {
                    continue;
                }
                let ask = Ask::new(method, path).content(format, payload.clone());
                // A POST without values is an Execute, which such a resource has not.
                let executes =
                    method == method::POST && path.ends_with("/1120") && format != F::OMA_JSON;
                let expected = match fits {
                    true => Code::BAD_REQUEST,
                    false if executes => Code::METHOD_NOT_ALLOWED,
                    false => Code::UNSUPPORTED_CONTENT_FORMAT,
                };
                assert_eq!(world.code(ask), expected, "{method} {path} {format} {payload:02x?}");
                tried += 1;
            }
        }
        if method == method::PUT {
            let unlabelled = Ask::new(method, path).unlabelled([1]);
            assert_eq!(world.code(unlabelled), Code::BAD_REQUEST, "{path}");
        }
    }
    assert!(tried > 300, "{tried}");
    assert_eq!(state(&mut world), before);
    assert!(world.device.objects.runs.is_empty());
}

/// One value of each type.
fn samples() -> Vec<Value> {
    use lwm2m_model::ObjectLink;
    vec![
        Value::String("text".into()),
        Value::Integer(-5),
        Value::Unsigned(u64::MAX),
        Value::Float(0.5),
        Value::Boolean(true),
        Value::Opaque(vec![0xff, 0x00, 0xff]),
        Value::Time(-1),
        Value::Objlnk(ObjectLink::new(3, 0)),
        Value::Corelnk("</3>".into()),
    ]
}

/// CORE-08: types that share no spelling in any format.
#[test]
fn values_of_another_type_are_refused_in_every_format() {
    // Single and multiple resource of each type, and what is never of it.
    let numbers = |value: &Value| value.as_number().is_some();
    let texts =
        |value: &Value| matches!(value, Value::String(_) | Value::Corelnk(_) | Value::Objlnk(_));
    let bytes = |value: &Value| matches!(value, Value::Opaque(_));
    let boolean = |value: &Value| matches!(value, Value::Boolean(_));
    type Kind = fn(&Value) -> bool;
    let never: [(u16, Vec<Kind>); 9] = [
        (110, vec![numbers, bytes, boolean]),
        (120, vec![texts, bytes, boolean]),
        (125, vec![texts, bytes, boolean]),
        (130, vec![texts, bytes, boolean]),
        (140, vec![texts, bytes, numbers]),
        (150, vec![numbers, boolean]),
        (160, vec![texts, bytes, boolean]),
        (170, vec![numbers, bytes, boolean]),
        (180, vec![numbers, bytes, boolean]),
    ];
    let mut world = world();
    let before = state(&mut world);
    for (id, kinds) in never {
        for value in samples().iter().filter(|value| kinds.iter().any(|kind| kind(value))) {
            // TLV carries no types: what is wrong there is its length.
            for format in [F::SENML_JSON, F::SENML_CBOR, F::LWM2M_CBOR] {
                for (target, at) in [
                    (Path::resource(3442, 0, id), Path::resource(3442, 0, id)),
                    (Path::instance(3442, 0), Path::resource(3442, 0, id)),
                    (
                        Path::resource(3442, 0, id + 1000),
                        Path::resource_instance(3442, 0, id + 1000, 0),
                    ),
                    (Path::object(3442), Path::resource(3442, 7, id)),
                ] {
                    let mut payload = Vec::new();
                    let entries = [Entry::new(at, value.clone())];
                    lwm2m_codec::encode(format, &target, &entries, &mut payload).unwrap();
                    let path = target.to_string();
                    let method = if target.depth() == 1 { method::POST } else { method::PUT };
                    let ask = Ask::new(method, &path).content(format, payload);
                    assert_eq!(world.code(ask), Code::BAD_REQUEST, "{path} {format} {value}");
                }
            }
        }
    }
    let tlv: [(u16, &[u8]); 6] = [
        (120, &[1, 2, 3]),
        (125, &[]),
        (130, &[0; 5]),
        (140, &[2]),
        (160, &[0; 9]),
        (170, &[0; 3]),
    ];
    for (id, bytes) in tlv {
        let length = u8::try_from(bytes.len()).unwrap();
        let [high, low] = id.to_be_bytes();
        let head = if length < 8 && high == 0 {
            vec![0xc0 | length, low]
        } else {
            vec![0xc8, low, length]
        };
        let ask = Ask::write(&format!("/3442/0/{id}"), F::TLV, [&head[..], bytes].concat());
        assert_eq!(world.code(ask), Code::BAD_REQUEST, "{id} {bytes:?}");
    }
    assert_eq!(state(&mut world), before);
}

/// CORE-04: the levels at which each operation is legal; deeper than there is, too.
#[test]
fn paths_of_any_depth_get_their_code() {
    let mut world = world();
    let mut path = String::new();
    for depth in 0..12 {
        let shown = if depth == 0 { "/" } else { path.as_str() };
        let text = |method| Ask::new(method, shown).content(F::TEXT, "1");
        for (name, ask, legal) in [
            ("Read", Ask::read(shown), 1..=2),
            ("Discover", Ask::discover(shown), 1..=2),
            ("Observe", Ask::observe(shown, ""), 1..=2),
            ("Write-Attributes", Ask::attributes(shown, "pmin=1"), 1..=2),
            ("Write", text(method::PUT), 2..=2),
            ("Create or Write", text(method::POST), 1..=2),
            ("Delete", Ask::delete(shown), 2..=2),
        ] {
            // What is legal as far as its level goes meets another obstacle, or none.
            let code = world.code(ask);
            let is_wrong = code == Code::METHOD_NOT_ALLOWED || code == Code::NOT_FOUND;
            assert!(is_wrong != legal.contains(&depth), "{name} {shown}: {code}");
            if depth > 4 {
                assert_eq!(code, Code::METHOD_NOT_ALLOWED, "{name} {shown}");
            }
            if name == "Delete" && depth == 2 {
                world.device.objects.object(3442).fill(0);
                world.announce(3442);
            }
        }
        // /3442/0 and then what no definition has.
        let _ = write!(path, "/{}", [3442, 0, 99][depth.min(2)]);
    }
    for (path, code) in [
        ("/65535", Code::NOT_FOUND),
        ("/65536", Code::NOT_FOUND),
        ("/-1", Code::NOT_FOUND),
        ("/3442/00000000000000000000", Code::CONTENT),
        ("/3442/0/ ", Code::NOT_FOUND),
        ("/3442/0/110/0", Code::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(world.code(Ask::read(path)), code, "{path:?}");
    }
}

/// One Write may not name a value twice, nothing at all, or something elsewhere.
#[test]
fn payloads_that_contradict_their_target_are_refused() {
    let mut world = world();
    let before = state(&mut world);
    let json = |method, path: &str, text: &str| Ask::new(method, path).content(F::SENML_JSON, text);
    let (put, post) = (method::PUT, method::POST);
    for (method, path, text) in [
        (put, "/3442/0/120", "[]"),
        (put, "/3442/0/120", r#"[{"n":"/3442/0/120","v":1},{"n":"/3442/0/120","v":2}]"#),
        (put, "/3442/0/120", r#"[{"n":"/3442/0/125","v":1}]"#),
        (put, "/3442/0/120", r#"[{"n":"/3442/1/120","v":1}]"#),
        (put, "/3442/0/120", r#"[{"n":"/3442/0/120/0","v":1}]"#),
        (put, "/3442/0", r#"[{"n":"/3442/0/120/0","v":1}]"#),
        (put, "/3442/0", r#"[{"n":"/3442/0/1120","v":1}]"#),
        (put, "/3442/0", r#"[{"n":"/3/0/15","vs":"x"}]"#),
        (post, "/3442/0/1120", r#"[{"n":"/3442/0/1125/0","v":1}]"#),
        (post, "/3442/0/1120", r#"[{"n":"/3442/0/1120/65535","v":1}]"#),
        (post, "/3442/0/1120", r#"[{"n":"/3442/0/1120/0/0","v":1}]"#),
        (post, "/3442", r#"[{"n":"/3442/9/120","v":1},{"n":"/3442/9/120","v":1}]"#),
        (post, "/3442", r#"[{"n":"/3/0/15","vs":"x"}]"#),
        (put, "/3442/0/180", r#"[{"n":"/3442/0/180","vs":"no link"}]"#),
        (put, "/3442/0/180", r#"[{"n":"/3442/0/180","vs":"</3442/9>"}]"#),
        (put, "/3442/0/170", r#"[{"n":"/3442/0/170","vlo":"3442:9"}]"#),
        (put, "/3442/0/170", r#"[{"n":"/3442/0/170","vlo":"65535:0"}]"#),
    ] {
        assert_eq!(world.code(json(method, path, text)), Code::BAD_REQUEST, "{path} {text}");
    }
    // One that cannot be written refuses all, whatever its type (CORE-133).
    let mixed = r#"[{"bn":"/3442/0/","n":"120","v":1},{"n":"4/0","v":1}]"#;
    assert_eq!(world.code(json(post, "/3442/0", mixed)), Code::METHOD_NOT_ALLOWED);
    assert_eq!(world.code(json(post, "/3442/0/120", "[]")), Code::METHOD_NOT_ALLOWED);
    assert_eq!(state(&mut world), before);
}

/// CORE-140, CORE-141.
#[test]
fn arguments_are_exactly_those_of_the_grammar() {
    let mut world = world();
    for (path, arguments, code) in [
        ("/3442/0/3", "", Code::CHANGED),
        ("/3442/0/3", "5", Code::CHANGED),
        ("/3442/0/3", "2='10.3'", Code::CHANGED),
        ("/3442/0/3", "7='!#$%&()*+'", Code::CHANGED),
        ("/3442/0/3", "0,1,2,3,4,5,6,7,8,9", Code::CHANGED),
        ("/3442/0/3", "0,0", Code::BAD_REQUEST),
        ("/3442/0/3", "10='x'", Code::BAD_REQUEST),
        ("/3442/0/3", "0=\"x\"", Code::BAD_REQUEST),
        ("/3442/0/3", "0='", Code::BAD_REQUEST),
        ("/3442/0/3", "0='a\\b'", Code::BAD_REQUEST),
        ("/3442/0/3", "x", Code::BAD_REQUEST),
        ("/3442/0/0", "0", Code::BAD_REQUEST),
        ("/3442/0/110", "", Code::METHOD_NOT_ALLOWED),
        ("/3442/0/5", "", Code::NOT_FOUND),
        ("/3442/0/99", "", Code::NOT_FOUND),
        ("/3442/9/3", "", Code::NOT_FOUND),
        ("/3442/0/1110/0", "", Code::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(world.execute(path, arguments), code, "{path} {arguments}");
    }
    let cbor = Ask::new(method::POST, "/3442/0/3").content(F::CBOR, [1]);
    assert_eq!(world.code(cbor), Code::UNSUPPORTED_CONTENT_FORMAT);
}
