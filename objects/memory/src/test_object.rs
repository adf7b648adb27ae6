//! Object 3442, the test object of the registry: initial values, and what its
//! executable resources do. The definition (`tests/registry/3442.xml`) says it all.

use std::collections::BTreeMap;

use lwm2m_model::{
    Arguments, Code, DataType, ObjectDef, ObjectLink, RequestError, ResourceDef, Value,
};

use crate::defaults::neutral;
use crate::instance::{Held, Instance, held};

/// Its Object ID.
pub(crate) const ID: u16 = 3442;

/// Carries out an Execute.
///
/// # Errors
/// 4.00 for arguments where none are understood.
pub(crate) fn execute(
    definition: &ObjectDef,
    values: &mut Instance,
    resource: u16,
    arguments: &Arguments,
    dice: &mut Dice,
) -> Result<(), RequestError> {
    if resource != WITH_ARGUMENTS && !arguments.is_empty() {
        let reason = "this resource takes no argument";
        return Err(RequestError::new(Code::BAD_REQUEST, reason));
    }
    match resource {
        RESET => reset(definition, values),
        RANDOMIZE => {
            for resource in tested(definition) {
                values.put(resource.id, random(resource, dice));
            }
        }
        CLEAR => {
            for resource in tested(definition) {
                match neutral(resource.data_type) {
                    Some(value) if !resource.multiple => {
                        values.put(resource.id, Held::Single(value));
                    }
                    _ => values.put(resource.id, Held::Multiple(BTreeMap::new())),
                }
            }
            clear_lists(definition, values);
        }
        WITH_ARGUMENTS => {
            let list = arguments.iter().map(|argument| {
                let text = argument.value.clone().unwrap_or_default();
                (u16::from(argument.digit), Value::String(text))
            });
            values.put(ARGUMENTS, Held::Multiple(list.collect()));
        }
        _ => {}
    }
    Ok(())
}

/// Gives every resource its initial value.
pub(crate) fn reset(definition: &ObjectDef, values: &mut Instance) {
    for resource in tested(definition) {
        if let Some(value) = initial(resource.data_type) {
            values.put(resource.id, held(resource, value));
        }
    }
    clear_lists(definition, values);
}

/// True for what the definition has and this object does not: Send Data needs the Send
/// operation, which the agent does not have yet.
pub(crate) fn lacks(object: u16, resource: u16) -> bool {
    object == ID && resource == SEND
}

/// The resources that hold a value to be tested with: all but the lists.
fn tested(definition: &ObjectDef) -> impl Iterator<Item = &ResourceDef> {
    definition
        .resources
        .iter()
        .filter(|resource| resource.operations.readable() && !LISTS.contains(&resource.id))
}

fn clear_lists(definition: &ObjectDef, values: &mut Instance) {
    for id in LISTS.into_iter().filter(|id| definition.resource(*id).is_some()) {
        values.put(id, Held::Multiple(BTreeMap::new()));
    }
}

fn initial(data_type: DataType) -> Option<Value> {
    Some(match data_type {
        DataType::String => Value::String("initial value".into()),
        DataType::Integer => Value::Integer(1024),
        DataType::Unsigned => Value::Unsigned(1 << 63),
        // The literal of the definition, which happens to be near a constant.
        #[allow(clippy::approx_constant)]
        DataType::Float => Value::Float(3.14159),
        DataType::Boolean => Value::Boolean(true),
        DataType::Opaque => Value::Opaque(vec![0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]),
        DataType::Time => Value::Time(946_684_800),
        DataType::Objlnk => Value::Objlnk(ObjectLink::new(3, 0)),
        DataType::Corelnk => Value::Corelnk("</3442>".into()),
        DataType::None => return None,
    })
}

/// A random value, or up to ten of them.
fn random(resource: &ResourceDef, dice: &mut Dice) -> Held {
    let count = if resource.multiple { dice.below(MOST_INSTANCES + 1) } else { 1 };
    let mut values = BTreeMap::new();
    for id in 0..count as u16 {
        values.extend(random_value(resource.data_type, dice).map(|value| (id, value)));
    }
    match values.pop_first() {
        Some((_, value)) if !resource.multiple => Held::Single(value),
        Some((id, value)) => {
            values.insert(id, value);
            Held::Multiple(values)
        }
        None => Held::Multiple(values),
    }
}

fn random_value(data_type: DataType, dice: &mut Dice) -> Option<Value> {
    let length = |dice: &mut Dice| dice.below(MOST_CHARACTERS + 1);
    Some(match data_type {
        DataType::String => {
            let letter = |dice: &mut Dice| char::from(b'a' + dice.below(26) as u8);
            Value::String((0..length(dice)).map(|_| letter(dice)).collect())
        }
        DataType::Integer => Value::Integer(dice.next() as i64),
        DataType::Unsigned => Value::Unsigned(dice.next()),
        // Thousandths, which every format carries exactly enough.
        DataType::Float => Value::Float(dice.below(2_000_000) as f64 / 1000.0 - 1000.0),
        DataType::Boolean => Value::Boolean(dice.below(2) == 1),
        DataType::Opaque => {
            Value::Opaque((0..length(dice)).map(|_| dice.below(256) as u8).collect())
        }
        DataType::Time => Value::Time(dice.below(1 << 32) as i64),
        // A link has to lead to something.
        DataType::Objlnk => {
            let links = [ObjectLink::NULL, ObjectLink::new(3, 0), ObjectLink::new(ID, u16::MAX)];
            Value::Objlnk(links.get(dice.below(3) as usize).copied().unwrap_or(ObjectLink::NULL))
        }
        DataType::Corelnk => {
            let links = ["</3442>", "</3/0>", "</1>,</3>"];
            Value::Corelnk(links.get(dice.below(3) as usize).copied().unwrap_or_default().into())
        }
        DataType::None => return None,
    })
}

/// Numbers that look random and are the same in each run (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

const RESET: u16 = 0;
const RANDOMIZE: u16 = 1;
const CLEAR: u16 = 2;
const WITH_ARGUMENTS: u16 = 3;
const ARGUMENTS: u16 = 4;
const SEND: u16 = 5;
const TO_SEND: u16 = 6;
/// Not touched when values are made random.
const LISTS: [u16; 2] = [ARGUMENTS, TO_SEND];
/// Lengths that the definition advises.
const MOST_CHARACTERS: u64 = 20;
const MOST_INSTANCES: u64 = 10;
