//! One instance: its resources, and how values get into it and out of it.

use std::collections::BTreeMap;

use lwm2m_model::{
    Code, Entry, Node, ObjectDef, Path, RequestError, ResourceDef, Value, WriteMode,
};

use crate::defaults;
use crate::limits::{Limits, cost};

/// The values of an instance, by Resource ID. What has no value, such as an
/// executable resource, is not in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instance(BTreeMap<u16, Held>);

/// What a resource holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Held {
    Single(Value),
    /// By Resource Instance ID; there may be none.
    Multiple(BTreeMap<u16, Value>),
}

impl Instance {
    /// Puts in what a resource holds.
    pub(crate) fn put(&mut self, resource: u16, held: Held) {
        self.0.insert(resource, held);
    }

    /// The value of a resource or resource instance.
    pub(crate) fn value(&self, resource: u16, instance: Option<u16>) -> Option<&Value> {
        match (self.0.get(&resource)?, instance) {
            (Held::Single(value), None) => Some(value),
            (Held::Multiple(values), Some(instance)) => values.get(&instance),
            (Held::Single(_), Some(_)) | (Held::Multiple(_), None) => None,
        }
    }

    /// True if a resource is there, or one instance of it.
    pub(crate) fn holds(&self, resource: u16, instance: Option<u16>) -> bool {
        match (self.0.get(&resource), instance) {
            (Some(Held::Multiple(values)), Some(instance)) => values.contains_key(&instance),
            (Some(_), None) => true,
            (Some(Held::Single(_)), Some(_)) | (None, _) => false,
        }
    }

    /// Sets a value, whatever was there.
    pub(crate) fn set(&mut self, resource: u16, instance: Option<u16>, value: Value) {
        let Some(instance) = instance else {
            self.0.insert(resource, Held::Single(value));
            return;
        };
        let held = self.0.entry(resource).or_insert_with(|| Held::Multiple(BTreeMap::new()));
        match held {
            Held::Multiple(values) => drop(values.insert(instance, value)),
            Held::Single(_) => *held = Held::Multiple(BTreeMap::from([(instance, value)])),
        }
    }

    /// Removes a resource, or one instance of it; true if it was there.
    pub(crate) fn remove(&mut self, resource: u16, instance: Option<u16>) -> bool {
        match (instance, self.0.get_mut(&resource)) {
            (None, _) => self.0.remove(&resource).is_some(),
            (Some(instance), Some(Held::Multiple(values))) => values.remove(&instance).is_some(),
            (Some(_), Some(Held::Single(_)) | None) => false,
        }
    }

    /// Bytes that the instance costs.
    pub(crate) fn cost(&self) -> usize {
        self.0
            .values()
            .map(|held| match held {
                Held::Single(value) => cost(value),
                Held::Multiple(values) => values.values().map(cost).sum(),
            })
            .sum()
    }

    /// Values at or below `target`, which lies in the instance at `path`, of the
    /// resources that `wanted` picks.
    pub(crate) fn entries(
        &self,
        path: &Path,
        target: &Path,
        wanted: impl Fn(u16) -> bool,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (id, held) in self.0.iter().filter(|(id, _)| wanted(**id)) {
            let Ok(at) = path.child(*id) else { continue };
            if !target.contains(&at) && !at.contains(target) {
                continue;
            }
            match held {
                Held::Single(value) => entries.push(Entry::new(at, value.clone())),
                Held::Multiple(values) if values.is_empty() => entries.push(Entry::empty(at)),
                Held::Multiple(values) => {
                    entries.extend(values.iter().filter_map(|(id, value)| {
                        Some(Entry::new(at.child(*id).ok()?, value.clone()))
                    }))
                }
            }
        }
        entries.retain(|entry| target.contains(&entry.path));
        entries
    }

    /// Takes over the values of a Write at `target` (Core 6.3).
    ///
    /// # Errors
    /// 4.01 for more resource instances than may be; 4.00 for a value that is too long.
    /// The instance is half written then, and to be thrown away.
    pub(crate) fn write(
        &mut self,
        definition: &ObjectDef,
        limits: &Limits,
        target: &Path,
        mode: WriteMode,
        entries: &[Entry],
    ) -> Result<(), RequestError> {
        if mode == WriteMode::Replace && target.depth() < 4 {
            self.make_room(definition, target, entries);
        }
        for entry in entries {
            let Some(resource) = entry.path.resource_id() else { continue };
            match &entry.node {
                Node::Value(value) => {
                    limits.check_length(value)?;
                    self.set(resource, entry.path.resource_instance_id(), value.clone());
                }
                Node::Empty => {
                    self.0.entry(resource).or_insert_with(|| Held::Multiple(BTreeMap::new()));
                }
            }
            if let Some(Held::Multiple(values)) = self.0.get(&resource)
                && values.len() > limits.resource_instances
            {
                let limit = limits.resource_instances;
                let reason = format!("{}: {limit} instances are the limit", entry.path);
                return Err(RequestError::new(Code::UNAUTHORIZED, reason));
            }
        }
        Ok(())
    }

    /// Removes what a Write that replaces leaves out: resource instances, and of a
    /// whole instance the resources that are optional and writable.
    fn make_room(&mut self, definition: &ObjectDef, target: &Path, entries: &[Entry]) {
        let replaced = |resource: u16| {
            let written = |entry: &Entry| entry.path.resource_id() == Some(resource);
            target.resource_id() == Some(resource) || entries.iter().any(written)
        };
        self.0.retain(|id, held| {
            let Some(resource) = definition.resource(*id) else { return true };
            if replaced(*id) {
                if let Held::Multiple(values) = held {
                    values.clear();
                }
                return true;
            }
            target.depth() > 2 || resource.mandatory || !resource.operations.writable()
        });
    }

    /// Gives a new instance what a server cannot give it, and checks that it has the
    /// rest (CORE-09, CORE-144).
    ///
    /// # Errors
    /// 4.00 if a mandatory resource that servers write has no value.
    pub(crate) fn complete(&mut self, definition: &ObjectDef) -> Result<(), RequestError> {
        let missing: Vec<&ResourceDef> = definition
            .resources
            .iter()
            .filter(|resource| resource.mandatory && !self.0.contains_key(&resource.id))
            .collect();
        for resource in missing {
            if resource.operations.writable() {
                let reason = format!("{} ({}) is mandatory", resource.name, resource.id);
                return Err(RequestError::new(Code::BAD_REQUEST, reason));
            }
            if let Some(held) = defaults::default(resource).map(|value| held(resource, value)) {
                self.put(resource.id, held);
            }
        }
        Ok(())
    }
}

/// A value as what a resource holds: itself, or the first of several.
pub(crate) fn held(resource: &ResourceDef, value: Value) -> Held {
    if resource.multiple {
        Held::Multiple(BTreeMap::from([(0, value)]))
    } else {
        Held::Single(value)
    }
}
