//! The definitions of the OMA registry (`tests/registry`) load, and the tables of
//! `objects.rs` are as registered.

use std::fs;
use std::path::PathBuf;

use lwm2m_model::{DataType, ObjectDef, Operations, Range, Version, objects};

/// OBJ-10.
#[test]
fn the_tables_are_as_registered() {
    for table in objects::ALL {
        if NOT_IN_THE_REGISTRY.contains(&table.id) {
            continue;
        }
        let registered = load(&format!("{}.xml", table.id));
        let ids = |definition: &ObjectDef| -> Vec<u16> {
            definition.resources.iter().map(|resource| resource.id).collect()
        };
        assert_eq!(ids(table), ids(&registered));
        for (ours, theirs) in table.resources.iter().zip(&*registered.resources) {
            assert_eq!(ours, theirs, "/{}//{}", table.id, ours.id);
        }
        assert_eq!(*table, registered);
        assert!(table.resources.is_sorted_by(|a, b| a.id < b.id), "lookup needs the order");
    }
}

#[test]
fn tables_are_found_by_number() {
    assert!(objects::ALL.is_sorted_by(|a, b| a.id < b.id));
    for table in objects::ALL {
        assert_eq!(objects::by_id(table.id), Some(table));
    }
    assert_eq!(objects::by_id(2), None);
}

#[test]
fn every_definition_of_the_registry_loads() {
    let mut loaded = 0;
    for (folder, separator) in [(".", ".xml"), ("version_history", "-")] {
        for file in fs::read_dir(registry().join(folder)).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if !name.ends_with(".xml") {
                continue;
            }
            let definition = load(&format!("{folder}/{name}"));
            let (id, rest) = name.split_once(separator).unwrap();
            assert_eq!(definition.id.to_string(), id, "{name}");
            if separator == "-" {
                let version = definition.version;
                assert_eq!(format!("{}_{}.xml", version.major, version.minor), rest, "{name}");
            }
            assert!(!definition.name.is_empty(), "{name}");
            assert!(definition.resources.is_sorted_by(|a, b| a.id < b.id), "{name}");
            loaded += 1;
        }
    }
    assert!(loaded >= 61 + 13, "{loaded}");
}

#[test]
fn a_definition_is_read_in_full() {
    let wlan = load("12.xml");
    assert_eq!((wlan.id, &*wlan.name), (12, "WLAN connectivity"));
    assert_eq!(wlan.version, Version::new(1, 1));
    assert!(wlan.multiple && !wlan.mandatory);
    let key = wlan.resource(22).unwrap();
    assert_eq!(&*key.name, "WEP Key 1");
    assert_eq!((key.operations, key.data_type), (Operations::W, DataType::String));
    assert!(!key.multiple && !key.mandatory);
    assert_eq!(key.range, Range::Lengths(vec![10, 26].into()));

    let oldest = load("version_history/3-1_0.xml");
    assert_eq!(oldest.version, Version::V1_0);
    let voltage = oldest.resource(7).unwrap();
    assert_eq!((&*voltage.unit, voltage.multiple), ("mV", true));
}

#[test]
fn the_test_object_has_every_type() {
    let definition = load("3442.xml");
    for wanted in [
        DataType::String,
        DataType::Integer,
        DataType::Unsigned,
        DataType::Float,
        DataType::Boolean,
        DataType::Opaque,
        DataType::Time,
        DataType::Objlnk,
        DataType::Corelnk,
        DataType::None,
    ] {
        let found = definition.resources.iter().any(|resource| resource.data_type == wanted);
        assert!(found, "{wanted}");
    }
}

/// Humidity, Current and Power: registered objects whose files are not in the folder. They
/// share their resources with Temperature and Voltage.
const NOT_IN_THE_REGISTRY: [u16; 3] = [3304, 3317, 3328];

fn load(name: &str) -> ObjectDef {
    let text = fs::read_to_string(registry().join(name)).unwrap();
    ObjectDef::from_xml(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn registry() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/registry").into()
}
