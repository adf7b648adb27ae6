//! The object: its instances, and what each operation does with them (Core 6).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lwm2m_engine::{Call, CallOperation, CallReply, CallResult};
use lwm2m_model::{
    Arguments, Code, Entry, ObjectDef, Path, RequestError, ResourceDef, Value, WriteMode,
};

use crate::defaults;
use crate::instance::{Instance, held};
use crate::limits::{Limits, full};
use crate::test_object::{self, Dice};

/// An object whose instances and values are held in memory.
///
/// Every resource of its definition is there for servers, within its [`Limits`]; an
/// Execute is accepted and does nothing, unless it is the test object 3442.
#[derive(Debug, Clone)]
pub struct MemoryObject {
    definition: Arc<ObjectDef>,
    limits: Limits,
    instances: BTreeMap<u16, Instance>,
    /// What all instances cost.
    bytes: usize,
    dice: Dice,
}

/// What the device itself does with the object.
impl MemoryObject {
    /// An object without instances.
    pub fn new(definition: Arc<ObjectDef>) -> Self {
        Self::limited(definition, Limits::default())
    }

    /// An object without instances that holds no more than this.
    pub fn limited(definition: Arc<ObjectDef>, limits: Limits) -> Self {
        let dice = Dice::new(definition.id.into());
        Self { definition, limits, instances: BTreeMap::new(), bytes: 0, dice }
    }

    /// Its definition.
    pub fn definition(&self) -> &Arc<ObjectDef> {
        &self.definition
    }

    /// Its instances, ascending.
    pub fn instances(&self) -> Vec<u16> {
        self.instances.keys().copied().collect()
    }

    /// Adds an instance without values, unless it is there.
    pub fn add(&mut self, instance: u16) {
        self.instances.entry(instance).or_default();
    }

    /// Adds an instance, or changes one, so that every resource that can hold a value
    /// has one: in the test object the initial one, else a default of its type.
    pub fn fill(&mut self, instance: u16) {
        let mut values = Instance::default();
        if self.definition.id == test_object::ID {
            test_object::reset(&self.definition, &mut values);
        } else {
            for resource in self.definition.resources.iter() {
                if let Some(value) = defaults::default(resource) {
                    values.put(resource.id, held(resource, value));
                }
            }
        }
        self.replace(instance, values);
    }

    /// Sets the value of a resource or resource instance, whatever the definition
    /// says of it; the instance is added if it is not there. False for a path of
    /// something else.
    pub fn set(&mut self, path: &Path, value: Value) -> bool {
        let [object, instance, resource, rest @ ..] = path.ids() else { return false };
        if *object != self.definition.id {
            return false;
        }
        let mut values = self.instances.get(instance).cloned().unwrap_or_default();
        values.set(*resource, rest.first().copied(), value);
        self.replace(*instance, values);
        true
    }

    /// The value of a resource or resource instance.
    pub fn value(&self, path: &Path) -> Option<&Value> {
        self.at(path)?.value(path.resource_id()?, path.resource_instance_id())
    }

    /// Removes an instance, a resource, or a resource instance; true if it was there.
    pub fn remove(&mut self, path: &Path) -> bool {
        let [object, instance, rest @ ..] = path.ids() else { return false };
        if *object != self.definition.id {
            return false;
        }
        let Some(mut values) = self.instances.remove(instance) else { return false };
        self.bytes -= values.cost();
        let Some(resource) = rest.first() else { return true };
        let removed = values.remove(*resource, rest.get(1).copied());
        self.replace(*instance, values);
        removed
    }
}

/// What servers do with it.
impl MemoryObject {
    /// Does what the engine asks for; the engine has checked operation, types and
    /// ranges by the definition.
    ///
    /// # Errors
    /// 4.04 for what is not there, 4.00 for an argument or a mandatory resource that is
    /// missing, and what the limits give.
    pub fn call(&mut self, call: &Call) -> CallResult {
        let path = &call.path;
        match &call.operation {
            CallOperation::Read => self.read(path),
            CallOperation::Discover => self.discover(path),
            CallOperation::Write { mode, entries } => self.write(path, *mode, entries),
            CallOperation::Execute(arguments) => self.execute(path, arguments),
            CallOperation::Stream { .. } | CallOperation::StreamEnd => {
                Err(RequestError::new(Code::METHOD_NOT_ALLOWED, "nothing streams here"))
            }
            CallOperation::Proceed => Ok(CallReply::Done),
            CallOperation::Create { instances, entries } => self.create(instances, entries),
            CallOperation::Delete => self.delete(path),
        }
    }

    fn read(&self, path: &Path) -> CallResult {
        self.check_exists(path)?;
        let readable = |id: u16| {
            self.definition.resource(id).is_some_and(|resource| resource.operations.readable())
        };
        let mut entries = Vec::new();
        for (at, values) in self.wanted(path) {
            entries.extend(values.entries(&at, path, readable));
        }
        Ok(CallReply::Entries(entries))
    }

    fn discover(&self, path: &Path) -> CallResult {
        self.check_exists(path)?;
        let mut paths = BTreeSet::new();
        for (at, values) in self.wanted(path) {
            paths.extend(self.valueless().filter_map(|resource| at.child(resource.id).ok()));
            for entry in values.entries(&at, &at, |_| true) {
                paths.insert(entry.path.truncated(3));
                paths.insert(entry.path);
            }
            paths.insert(at);
        }
        Ok(CallReply::Paths(paths.into_iter().filter(|at| path.contains(at)).collect()))
    }

    fn write(&mut self, path: &Path, mode: WriteMode, entries: &[Entry]) -> CallResult {
        // A resource that is not there yet is made; anything else has to exist.
        match path.depth() {
            4 => self.check_exists(path)?,
            _ => self.check_exists(&path.truncated(2))?,
        }
        let (Some(id), Some(values)) = (path.instance_id(), self.at(path)) else {
            return Err(not_found(path));
        };
        let mut values = values.clone();
        values.write(&self.definition, &self.limits, path, mode, entries)?;
        self.take_over(BTreeMap::from([(id, values)]))
    }

    fn create(&mut self, instances: &[u16], entries: &[Entry]) -> CallResult {
        if self.instances.len() + instances.len() > self.limits.instances {
            return Err(full("another instance"));
        }
        let mut made = BTreeMap::new();
        for id in instances {
            if self.instances.contains_key(id) {
                let reason = format!("instance {id} exists already");
                return Err(RequestError::new(Code::BAD_REQUEST, reason));
            }
            let Ok(at) = Path::object(self.definition.id).child(*id) else { continue };
            let start = entries.partition_point(|entry| entry.path < at);
            let own = entries.get(start..).unwrap_or_default();
            let end = own.partition_point(|entry| at.contains(&entry.path));
            let own = own.get(..end).unwrap_or_default();
            let mut values = Instance::default();
            values.write(&self.definition, &self.limits, &at, WriteMode::Partial, own)?;
            values.complete(&self.definition)?;
            made.insert(*id, values);
        }
        self.take_over(made)
    }

    fn delete(&mut self, path: &Path) -> CallResult {
        if self.remove(path) { Ok(CallReply::Done) } else { Err(not_found(path)) }
    }

    fn execute(&mut self, path: &Path, arguments: &Arguments) -> CallResult {
        self.check_exists(path)?;
        let (Some(id), Some(resource)) = (path.instance_id(), path.resource_id()) else {
            return Err(not_found(path));
        };
        if self.definition.id == test_object::ID {
            let mut values = self.at(path).cloned().unwrap_or_default();
            let definition = &self.definition;
            let dice = &mut self.dice;
            test_object::execute(definition, &mut values, resource, arguments, dice)?;
            self.replace(id, values);
        }
        Ok(CallReply::Done)
    }

    /// Takes over instances as they are from now on, if there is room for them.
    fn take_over(&mut self, instances: BTreeMap<u16, Instance>) -> CallResult {
        let before: usize =
            instances.keys().filter_map(|id| self.instances.get(id)).map(Instance::cost).sum();
        let after: usize = instances.values().map(Instance::cost).sum();
        // What makes nothing larger is always allowed.
        if after > before && self.bytes - before + after > self.limits.bytes {
            return Err(full("more values"));
        }
        for (id, values) in instances {
            self.replace(id, values);
        }
        Ok(CallReply::Done)
    }

    fn replace(&mut self, id: u16, values: Instance) {
        self.bytes += values.cost();
        if let Some(before) = self.instances.insert(id, values) {
            self.bytes -= before.cost();
        }
    }

    fn at(&self, path: &Path) -> Option<&Instance> {
        if path.object_id() != Some(self.definition.id) {
            return None;
        }
        self.instances.get(&path.instance_id()?)
    }

    /// The instances at or below a path, each with its own.
    fn wanted<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (Path, &'a Instance)> {
        let all = match path.instance_id() {
            Some(id) => self.instances.range(id..=id),
            None => self.instances.range(..),
        };
        let object = path.truncated(1);
        all.filter_map(move |(id, values)| Some((object.child(*id).ok()?, values)))
    }

    /// Resources that are there without a value: executable and write-only ones.
    fn valueless(&self) -> impl Iterator<Item = &ResourceDef> {
        self.definition.resources.iter().filter(|resource| {
            let id = (self.definition.id, resource.id);
            !resource.operations.readable()
                && (resource.operations.executable() || resource.operations.writable())
                && !test_object::lacks(id.0, id.1)
        })
    }

    fn check_exists(&self, path: &Path) -> Result<(), RequestError> {
        let found = match path.ids() {
            [object] => *object == self.definition.id,
            [_, _] => self.at(path).is_some(),
            [_, _, resource, rest @ ..] => self.at(path).is_some_and(|values| {
                values.holds(*resource, rest.first().copied())
                    || (rest.is_empty() && self.valueless().any(|known| known.id == *resource))
            }),
            [] => false,
        };
        if found { Ok(()) } else { Err(not_found(path)) }
    }
}

fn not_found(path: &Path) -> RequestError {
    RequestError::new(Code::NOT_FOUND, format!("there is no {path}"))
}
