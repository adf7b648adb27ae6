//! Object definitions in the XML of the OMA registry (schemas LWM2M.xsd and
//! LWM2M-v1_1.xsd).
//!
//! What the schema does not have is refused, so that no misspelt element is
//! taken for an absent one. Order of elements, descriptions, the URN and
//! `LWM2MVersion` decide nothing here and are not looked at.

use roxmltree::{Document, Node, ParsingOptions};

use super::range_text;
use super::{DefinitionError, DefinitionFault as Fault, ObjectDef, Operations, ResourceDef};
use crate::path::{MAX_SHOWN, parse_id};
use crate::{DataType, Version};

/// Longest definition that is read, in bytes. The longest of the registry that the
/// tests have is 22 KiB.
pub const MAX_DEFINITION: usize = 1 << 20;

/// Most nodes of the tree, whose memory is many times that of a text full of `<a/>`. A
/// definition of the greatest length has about as many: 25 a resource of 400 bytes.
pub(super) const MAX_NODES: u32 = 1 << 16;

/// Most attributes of one element, and namespaces of a file. The parser compares each
/// attribute with all others of its element, and copies the namespaces in force to every
/// element that adds one; a file of nothing else would take minutes and gigabytes.
pub(super) const MAX_ATTRIBUTES: usize = 64;

impl ObjectDef {
    /// Reads the definition of one object from the XML of the OMA registry.
    ///
    /// Without `ObjectVersion` the version is 1.0 (Core 2.4). A `RangeEnumeration` that is
    /// prose restricts nothing. The type of a resource that is executed is ignored, since it
    /// has no value.
    ///
    /// # Errors
    /// The first fault, with line and column.
    pub fn from_xml(text: &str) -> Result<Self, DefinitionError> {
        if text.len() > MAX_DEFINITION {
            return Err(At(0, Fault::TooLong(text.len())).in_text(text));
        }
        if let Some(offset) = too_many_attributes(text) {
            return Err(At(offset, Fault::TooManyAttributes).in_text(text));
        }
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document =
            Document::parse_with_options(text, options).map_err(|error| malformed(text, &error))?;
        file(&document).map_err(|fault| fault.in_text(text))
    }
}

/// A fault and the byte where it stands.
struct At(usize, Fault);

impl At {
    /// With the byte as line and column, both from 1.
    fn in_text(self, text: &str) -> DefinitionError {
        let Self(offset, reason) = self;
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        DefinitionError { line: number(line), column: number(column), reason }
    }
}

type Result<T, E = At> = std::result::Result<T, E>;

fn file(document: &Document<'_>) -> Result<ObjectDef> {
    let root = document.root_element();
    if root.tag_name().name() != "LWM2M" {
        return Err(At(start(root), Fault::WrongRoot(shown(root.tag_name().name()))));
    }
    let mut objects = elements(root);
    let first = objects.next().ok_or_else(|| missing(root, "Object"))?;
    let definition = object(first)?;
    match objects.next() {
        Some(second) if second.tag_name().name() == "Object" => {
            Err(At(start(second), Fault::SecondObject))
        }
        Some(other) => Err(unexpected(other)),
        None => Ok(definition),
    }
}

fn object(node: Node<'_, '_>) -> Result<ObjectDef> {
    if node.tag_name().name() != "Object" {
        return Err(unexpected(node));
    }
    check_names(node, OBJECT)?;
    let id = Word::of(node, "ObjectID")?;
    Ok(ObjectDef {
        id: parse_id(&id.text).map_err(|error| At(id.at, error.into()))?,
        name: Word::of(node, "Name")?.text.into(),
        version: version(node)?,
        multiple: Word::of(node, "MultipleInstances")?.one_of(INSTANCES)?,
        mandatory: Word::of(node, "Mandatory")?.one_of(PRESENCE)?,
        resources: resources(child(node, "Resources").ok_or_else(|| missing(node, "Resources"))?)?
            .into(),
    })
}

fn version(object: Node<'_, '_>) -> Result<Version> {
    let Some(word) = Word::of_optional(object, "ObjectVersion")? else { return Ok(Version::V1_0) };
    if word.text.is_empty() {
        return Ok(Version::V1_0);
    }
    word.text.parse().map_err(|_| word.fault("a version such as 1.2"))
}

/// The resources in ascending order, which a file need not keep.
fn resources(node: Node<'_, '_>) -> Result<Vec<ResourceDef>> {
    let mut found = Vec::new();
    for item in elements(node) {
        if item.tag_name().name() != "Item" {
            return Err(unexpected(item));
        }
        found.push((resource(item)?, start(item)));
    }
    if found.is_empty() {
        return Err(missing(node, "Item"));
    }
    found.sort_by_key(|(resource, at)| (resource.id, *at));
    // Of several the one that stands first in the file.
    let neighbours = found.iter().zip(found.iter().skip(1));
    let twice = neighbours.filter(|((a, _), (b, _))| a.id == b.id);
    match twice.map(|(_, (resource, at))| (*at, resource.id)).min() {
        Some((at, id)) => Err(At(at, Fault::DuplicateId { id })),
        None => Ok(found.into_iter().map(|(resource, _)| resource).collect()),
    }
}

fn resource(item: Node<'_, '_>) -> Result<ResourceDef> {
    let id = item.attribute_node("ID").ok_or_else(|| At(start(item), Fault::MissingId))?;
    let bad_id = |error| At(id.range_value().start, Fault::BadId(error));
    let id_value = parse_id(id.value().trim()).map_err(bad_id)?;
    check_names(item, ITEM)?;
    let operations = Word::of(item, "Operations")?.one_of(OPERATIONS)?;
    let data_type = data_type(Word::of(item, "Type")?, operations)?;
    let range = Word::of_optional(item, "RangeEnumeration")?.unwrap_or_default();
    Ok(ResourceDef {
        id: id_value,
        name: Word::of(item, "Name")?.text.into(),
        operations,
        multiple: Word::of(item, "MultipleInstances")?.one_of(INSTANCES)?,
        mandatory: Word::of(item, "Mandatory")?.one_of(PRESENCE)?,
        data_type,
        range: range_text::read(data_type, &range.text),
        unit: Word::of_optional(item, "Units")?.unwrap_or_default().text.into(),
    })
}

fn data_type(word: Word, operations: Operations) -> Result<DataType> {
    match (word.one_of(TYPES)?, operations) {
        (_, Operations::E) => Ok(DataType::None),
        (DataType::None, _) => Err(At(word.at, Fault::NoType)),
        (data_type, _) => Ok(data_type),
    }
}

/// The text of an element, blanks made single, and the byte where it begins.
#[derive(Default)]
struct Word {
    at: usize,
    text: String,
}

impl Word {
    fn of(parent: Node<'_, '_>, name: &'static str) -> Result<Self> {
        Self::of_optional(parent, name)?.ok_or_else(|| missing(parent, name))
    }

    fn of_optional(parent: Node<'_, '_>, name: &str) -> Result<Option<Self>> {
        let Some(node) = child(parent, name) else { return Ok(None) };
        if let Some(inner) = elements(node).next() {
            return Err(unexpected(inner));
        }
        // A comment cuts the text in two.
        let parts = || node.children().filter(|child| child.is_text());
        let whole: String = parts().filter_map(|part| part.text()).collect();
        let at = parts().find_map(|part| {
            let source = part.document().input_text().get(part.range())?;
            let blanks = source.len() - source.trim_start().len();
            (blanks < source.len()).then_some(part.range().start + blanks)
        });
        Ok(Some(Self {
            at: at.unwrap_or_else(|| start(node)),
            text: whole.split_whitespace().collect::<Vec<_>>().join(" "),
        }))
    }

    fn one_of<T: Copy>(&self, words: Words<T>) -> Result<T> {
        let found = words.meanings.iter().find(|(word, _)| *word == self.text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| self.fault(words.expected))
    }

    fn fault(&self, expected: &'static str) -> At {
        At(self.at, Fault::BadWord { expected, got: shown(&self.text) })
    }
}

/// The words that an element may hold and what they mean.
#[derive(Clone, Copy)]
struct Words<T: 'static> {
    expected: &'static str,
    meanings: &'static [(&'static str, T)],
}

const INSTANCES: Words<bool> =
    Words { expected: "Single or Multiple", meanings: &[("Single", false), ("Multiple", true)] };

const PRESENCE: Words<bool> = Words {
    expected: "Mandatory or Optional",
    meanings: &[("Optional", false), ("Mandatory", true)],
};

const OPERATIONS: Words<Operations> = Words {
    expected: "R, W, RW, E or nothing",
    meanings: &[
        ("", Operations::Bootstrap),
        ("R", Operations::R),
        ("W", Operations::W),
        ("RW", Operations::RW),
        ("E", Operations::E),
    ],
};

const TYPES: Words<DataType> = Words {
    expected: "String, Integer, Unsigned Integer, Float, Boolean, Opaque, Time, Objlnk, Corelnk \
               or nothing",
    meanings: &[
        ("String", DataType::String),
        ("Integer", DataType::Integer),
        ("Unsigned Integer", DataType::Unsigned),
        ("Float", DataType::Float),
        ("Boolean", DataType::Boolean),
        ("Opaque", DataType::Opaque),
        ("Time", DataType::Time),
        ("Objlnk", DataType::Objlnk),
        ("Corelnk", DataType::Corelnk),
        ("", DataType::None),
    ],
};

/// Characters of the parser's message, which may repeat a name of any length.
const MAX_MESSAGE: usize = 120;

/// What stands in an `Object`.
const OBJECT: &[&str] = &[
    "Name",
    "Description1",
    "ObjectID",
    "ObjectURN",
    "LWM2MVersion",
    "ObjectVersion",
    "MultipleInstances",
    "Mandatory",
    "Resources",
    "Description2",
];

/// What stands in an `Item`.
const ITEM: &[&str] = &[
    "Name",
    "Operations",
    "MultipleInstances",
    "Mandatory",
    "Type",
    "RangeEnumeration",
    "Units",
    "Description",
];

/// Refuses elements with other names than these, and any of them for the second time.
fn check_names(parent: Node<'_, '_>, names: &[&'static str]) -> Result<()> {
    let mut left = names.to_vec();
    for element in elements(parent) {
        let name = element.tag_name().name();
        if let Some(place) = left.iter().position(|known| *known == name) {
            left.swap_remove(place);
        } else if let Some(element_name) = names.iter().find(|known| **known == name) {
            let parent = shown(parent.tag_name().name());
            return Err(At(start(element), Fault::Repeated { element: element_name, parent }));
        } else {
            return Err(unexpected(element));
        }
    }
    Ok(())
}

fn elements<'a, 'd: 'a>(parent: Node<'a, 'd>) -> impl Iterator<Item = Node<'a, 'd>> {
    parent.children().filter(|child| child.is_element())
}

fn child<'a, 'd: 'a>(parent: Node<'a, 'd>, name: &str) -> Option<Node<'a, 'd>> {
    elements(parent).find(|child| child.tag_name().name() == name)
}

fn start(node: Node<'_, '_>) -> usize {
    node.range().start
}

fn missing(parent: Node<'_, '_>, element: &'static str) -> At {
    At(start(parent), Fault::Missing { element, parent: shown(parent.tag_name().name()) })
}

fn unexpected(node: Node<'_, '_>) -> At {
    let name = |node: Node<'_, '_>| shown(node.tag_name().name());
    let parent = node.parent_element().map(name).unwrap_or_default();
    At(start(node), Fault::Unexpected { element: name(node), parent })
}

/// Where a file exceeds [`MAX_ATTRIBUTES`], judged before it is parsed.
fn too_many_attributes(text: &str) -> Option<usize> {
    let namespace = text.match_indices("xmlns").nth(MAX_ATTRIBUTES);
    let tags = text.match_indices('<').filter_map(|(at, _)| Some((at, text.get(at + 1..)?)));
    let tag = tags.filter(|(_, rest)| !rest.starts_with(['!', '?', '/'])).find(|(_, rest)| {
        let mut quote = None;
        let mut values = 0;
        // No value holds a less-than sign.
        for byte in rest.bytes().take_while(|byte| *byte != b'<') {
            match (quote, byte) {
                (None, b'>') => break,
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(open), close) if open == close => {
                    quote = None;
                    values += 1;
                }
                _ => {}
            }
        }
        values > MAX_ATTRIBUTES
    });
    namespace.map(|(at, _)| at).into_iter().chain(tag.map(|(at, _)| at)).min()
}

/// What the parser met. It knows no place for what is missing at the end, and writes the
/// place that it knows into the middle of its text.
fn malformed(text: &str, error: &roxmltree::Error) -> DefinitionError {
    use roxmltree::Error as Xml;
    let end = text.trim_end().len();
    let here = error.pos();
    let message = error.to_string().replace(&format!(" at {here}"), "");
    let reason = Fault::NotXml(message.chars().take(MAX_MESSAGE).collect());
    let At(offset, reason) = match error {
        Xml::DtdDetected => At(text.find("<!DOCTYPE").unwrap_or_default(), Fault::Dtd),
        Xml::NodesLimitReached => At(0, Fault::TooManyNodes),
        Xml::NoRootNode | Xml::UnclosedRootNode | Xml::UnexpectedEndOfStream => At(end, reason),
        _ => return DefinitionError { line: here.row, column: here.col, reason },
    };
    At(offset, reason).in_text(text)
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}
