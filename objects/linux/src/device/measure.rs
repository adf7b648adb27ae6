//! The values that change: one look at the sources, for a Read or for a sample.
//!
//! Each source is asked at most once per look, and only if a resource needs it.

use std::cell::OnceCell;

use lwm2m_model::Value;

use super::error_codes::Condition;
use super::facts::Facts;
use super::power;
use super::resource as id;
use crate::Roots;
use crate::content::Content;
use crate::slots::Slots;
use crate::sources::meminfo::{self, Memory};
use crate::sources::power_supply::{self, Supply};
use crate::sources::timezone;

/// One look at the machine.
pub(super) struct Measure<'a> {
    roots: &'a Roots,
    facts: &'a Facts,
    slots: &'a mut Slots,
    /// Unix time in milliseconds, if the clock is set.
    wall: Option<i64>,
    supplies: OnceCell<Vec<Supply>>,
    memory: OnceCell<Option<Memory>>,
}

impl<'a> Measure<'a> {
    /// Begins a look; nothing is read yet.
    pub(super) fn new(
        roots: &'a Roots,
        facts: &'a Facts,
        slots: &'a mut Slots,
        wall: Option<i64>,
    ) -> Self {
        let (supplies, memory) = (OnceCell::new(), OnceCell::new());
        Self { roots, facts, slots, wall, supplies, memory }
    }

    /// What stands in one of the changing resources other than Error Code (11).
    pub(super) fn content(&mut self, resource: u16) -> Option<Content> {
        let single = |value| Some(Content::Single(value));
        let unix = self.wall.map(|milliseconds| milliseconds.div_euclid(1000));
        match resource {
            id::AVAILABLE_POWER_SOURCES => self.per_supply(|supply| Some(power::source(supply))),
            id::POWER_SOURCE_VOLTAGE => {
                self.per_supply(|supply| supply.voltage.map(|microvolt| microvolt / 1000))
            }
            id::POWER_SOURCE_CURRENT => {
                self.per_supply(|supply| supply.current.map(|microampere| microampere / 1000))
            }
            id::BATTERY_LEVEL => single(Value::Integer(power::battery_level(self.supplies())?)),
            id::MEMORY_FREE => single(kilobytes(self.memory()?.available?)),
            id::CURRENT_TIME => single(Value::Time(unix?)),
            id::UTC_OFFSET => {
                let offset = match &self.facts.time_zone {
                    Some(zone) => timezone::offset_of(self.roots, zone, unix?),
                    None => None,
                };
                let offset = offset.or_else(|| timezone::local_offset(self.roots, unix?))?;
                single(Value::String(offset.to_string()))
            }
            id::TIMEZONE => single(Value::String(current_zone(self.facts, self.roots)?)),
            id::BATTERY_STATUS => single(Value::Integer(power::battery_status(self.supplies())?)),
            id::MEMORY_TOTAL => single(kilobytes(self.memory()?.total?)),
            _ => None,
        }
    }

    /// What is wrong, for Error Code (11); each condition once.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let mut conditions: Vec<Condition> = power::conditions(self.supplies()).collect();
        if self.memory().is_some_and(is_out_of_memory) {
            conditions.push(Condition::OutOfMemory);
        }
        if self.facts.failed_units > 0 {
            conditions.push(Condition::PeripheralMalfunction);
        }
        conditions
    }

    fn supplies(&self) -> &[Supply] {
        self.supplies.get_or_init(|| supplies(self.roots, self.facts))
    }

    fn memory(&self) -> Option<Memory> {
        *self.memory.get_or_init(|| meminfo::read(&self.roots.proc))
    }

    /// One instance for each supply that can be drawn on and has the value. The
    /// resource is absent if no supply of this machine has it.
    fn per_supply(&mut self, value: impl Fn(&Supply) -> Option<i64>) -> Option<Content> {
        let supplies = self.supplies.get_or_init(|| supplies(self.roots, self.facts));
        if !supplies.iter().any(|supply| value(supply).is_some()) {
            return None;
        }
        let instances = self.slots.assign(supplies, |supply| &supply.name).into_iter();
        let available = instances.filter(|(_, supply)| supply.is_available());
        let values =
            available.filter_map(|(id, supply)| Some((id, Value::Integer(value(supply)?))));
        Some(Content::Multiple(values.collect()))
    }
}

/// Those of the kernel, then those of UPower; one that both show has the same name, by
/// which it is one instance.
fn supplies(roots: &Roots, facts: &Facts) -> Vec<Supply> {
    let mut supplies = power_supply::list(&roots.sys);
    supplies.extend(facts.ups.iter().cloned());
    supplies
}

/// The name of the zone in force: timedated's word, else the link.
pub(super) fn current_zone(facts: &Facts, roots: &Roots) -> Option<String> {
    facts.time_zone.clone().or_else(|| timezone::name(&roots.etc))
}

/// The unit of 10 and 21 is 1000 bytes, whatever the kernel's kB means.
fn kilobytes(bytes: u64) -> Value {
    Value::Integer(i64::try_from(bytes / 1000).unwrap_or(i64::MAX))
}

/// The kernel starts to kill at about this point: less than 2 % left.
fn is_out_of_memory(memory: Memory) -> bool {
    match (memory.available, memory.total) {
        (Some(available), Some(total)) => available < total / 50,
        _ => false,
    }
}
