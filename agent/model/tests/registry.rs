//! The tables of `objects.rs` against the definitions of the OMA registry
//! (`tests/registry`, syntax: README.md there).

use lwm2m_model::{DataType, ObjectDef, Operations, Range, ResourceDef, objects};
use roxmltree::{Document, Node};

#[test]
fn object_0_is_as_registered() {
    check(&objects::SECURITY, include_str!("../../../tests/registry/0.xml"));
}

#[test]
fn object_1_is_as_registered() {
    check(&objects::SERVER, include_str!("../../../tests/registry/1.xml"));
}

#[test]
fn object_3_is_as_registered() {
    check(&objects::DEVICE, include_str!("../../../tests/registry/3.xml"));
}

#[test]
fn the_test_object_has_every_type() {
    let xml = include_str!("../../../tests/registry/3442.xml");
    let document = Document::parse(xml).unwrap();
    let types: Vec<_> = items(&document).map(|item| data_type(&text(item, "Type"))).collect();
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
        assert!(types.contains(&wanted), "{wanted}");
    }
}

fn check(definition: &ObjectDef, xml: &str) {
    let document = Document::parse(xml).unwrap();
    let object = document.descendants().find(|node| node.has_tag_name("Object")).unwrap();
    assert_eq!(definition.id.to_string(), text(object, "ObjectID"));
    assert_eq!(definition.name, text(object, "Name"));
    assert_eq!(definition.version.to_string(), text(object, "ObjectVersion"));
    assert_eq!(definition.multiple, is_multiple(object));
    assert_eq!(definition.mandatory, is_mandatory(object));

    let registered: Vec<_> = items(&document).map(resource).collect();
    let ids = |resources: &[ResourceDef]| resources.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(&definition.resources), ids(&registered));
    for (ours, theirs) in definition.resources.iter().zip(&registered) {
        assert_eq!(ours, theirs, "/{}//{}", definition.id, ours.id);
    }
    assert!(definition.resources.is_sorted_by(|a, b| a.id < b.id), "lookup needs the order");
}

fn resource(item: Node<'_, '_>) -> ResourceDef {
    let data_type = data_type(&text(item, "Type"));
    ResourceDef {
        id: item.attribute("ID").unwrap().parse().unwrap(),
        name: text(item, "Name").into(),
        operations: match &*text(item, "Operations") {
            "" => Operations::Bootstrap,
            "R" => Operations::R,
            "W" => Operations::W,
            "RW" => Operations::RW,
            "E" => Operations::E,
            other => panic!("operations {other}"),
        },
        multiple: is_multiple(item),
        mandatory: is_mandatory(item),
        data_type,
        range: range(data_type, &text(item, "RangeEnumeration")),
        unit: text(item, "Units").into(),
    }
}

fn data_type(name: &str) -> DataType {
    match name {
        "String" => DataType::String,
        "Integer" => DataType::Integer,
        "Unsigned Integer" => DataType::Unsigned,
        "Float" => DataType::Float,
        "Boolean" => DataType::Boolean,
        "Opaque" => DataType::Opaque,
        "Time" => DataType::Time,
        "Objlnk" => DataType::Objlnk,
        "Corelnk" => DataType::Corelnk,
        "" => DataType::None,
        other => panic!("type {other}"),
    }
}

/// The free text of a range; prose is no range.
fn range(data_type: DataType, text: &str) -> Range {
    let is_length = matches!(data_type, DataType::String | DataType::Opaque | DataType::Corelnk);
    let numbers: Option<Vec<usize>> = text.split(',').map(|part| part.parse().ok()).collect();
    match (text.split_once(".."), numbers.as_deref()) {
        (Some((min, max)), _) if is_length => {
            Range::Length { min: min.parse().unwrap(), max: max.parse().unwrap() }
        }
        (Some((min, max)), _) => {
            Range::Number { min: min.parse().unwrap(), max: max.parse().unwrap() }
        }
        (None, Some(&[length])) => Range::Length { min: length, max: length },
        (None, Some(lengths)) => Range::Lengths(lengths.to_vec().into()),
        (None, None) => Range::Any,
    }
}

fn items<'d>(document: &'d Document<'d>) -> impl Iterator<Item = Node<'d, 'd>> {
    document.descendants().filter(|node| node.has_tag_name("Item"))
}

fn is_multiple(node: Node<'_, '_>) -> bool {
    match &*text(node, "MultipleInstances") {
        "Multiple" => true,
        "Single" => false,
        other => panic!("instances {other}"),
    }
}

fn is_mandatory(node: Node<'_, '_>) -> bool {
    match &*text(node, "Mandatory") {
        "Mandatory" => true,
        "Optional" => false,
        other => panic!("presence {other}"),
    }
}

/// The text of a child, blanks made single; empty if there is none.
fn text(node: Node<'_, '_>, name: &str) -> String {
    let child = node.children().find(|child| child.has_tag_name(name));
    let text = child.and_then(|child| child.text()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
