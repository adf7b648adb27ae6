//! Scripted objects: values that a story sets, objects that are slow, dead or
//! refuse, and a count of what was really done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation, CallReply, CallResult};
use lwm2m_model::{
    Code, DataType as T, Entry, Node, ObjectDef, Operations as O, Path, Range, RequestError,
    ResourceDef, Value, Version, WriteMode, objects,
};

/// How fast an object answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// In place.
    AtOnce,
    /// After this time.
    After(Duration),
    /// Not at all.
    Never,
}

/// All objects of the device but Security and Server.
#[derive(Debug, Default)]
pub struct Objects {
    values: BTreeMap<Path, Value>,
    definitions: BTreeMap<u16, Arc<ObjectDef>>,
    instances: BTreeMap<u16, BTreeSet<u16>>,
    pace: BTreeMap<u16, Pace>,
    refusals: BTreeMap<u16, Code>,
    /// Executes that are done when their answer is out, by path.
    after_answer: BTreeSet<Path>,
    /// How often each Execute and Write was carried out, by what it said.
    pub runs: BTreeMap<String, u32>,
    /// Promised actions that were told to go on.
    pub proceeded: Vec<Path>,
}

impl Objects {
    /// Device, a sensor with two instances, and an object that is slow if told so.
    pub fn usual() -> Self {
        let mut all = Self::default();
        all.define(&objects::DEVICE, &[0]);
        all.define(&SENSOR, &[0, 1]);
        all.define(&SLOW, &[0]);
        let text = |text: &str| Value::String(text.into());
        for (path, value) in [
            ("/3/0/0", text("Acme")),
            ("/3/0/1", text("Gadget")),
            ("/3/0/6/0", Value::Integer(1)),
            ("/3/0/6/1", Value::Integer(5)),
            ("/3/0/7/0", Value::Integer(3800)),
            ("/3/0/7/1", Value::Integer(5000)),
            ("/3/0/9", Value::Integer(100)),
            ("/3/0/11/0", Value::Integer(0)),
            ("/3/0/13", Value::Time(1_700_000_000)),
            ("/3/0/16", text("U")),
            ("/3303/0/5518", Value::Time(1_700_000_000)),
            ("/3303/0/5500", Value::Boolean(false)),
            ("/3303/0/5700", Value::Float(20.0)),
            ("/3303/0/5701", text("Cel")),
            ("/3303/0/5750", text("first")),
            ("/3303/0/5821", Value::Float(1.0)),
            ("/3303/0/7000/0", Value::Integer(10)),
            ("/3303/0/7000/1", Value::Integer(11)),
            ("/3303/0/7001", Value::Opaque(vec![1, 2, 3])),
            ("/3303/0/7004", Value::Unsigned(7)),
            ("/3303/1/5700", Value::Float(30.0)),
            ("/33100/0/1", Value::Integer(1)),
        ] {
            all.set(path, value);
        }
        all.after_answer.insert(Path::resource(3, 0, 4));
        all
    }

    /// Adds an object.
    pub fn define(&mut self, definition: &ObjectDef, instances: &[u16]) {
        self.definitions.insert(definition.id, Arc::new(definition.clone()));
        self.instances.insert(definition.id, instances.iter().copied().collect());
    }

    /// Sets a value; the engine is not told.
    pub fn set(&mut self, path: &str, value: Value) {
        let path: Path = path.parse().expect("stories name real paths");
        self.values.insert(path, value);
    }

    /// The value at a path.
    pub fn value(&self, path: &str) -> Option<&Value> {
        self.values.get(&path.parse::<Path>().expect("stories name real paths"))
    }

    /// Removes everything at and below a path; an instance goes as a whole.
    pub fn remove(&mut self, path: &str) {
        let path: Path = path.parse().expect("stories name real paths");
        self.values.retain(|at, _| !path.contains(at));
        if let (2, Some(object), Some(instance)) =
            (path.depth(), path.object_id(), path.instance_id())
            && let Some(instances) = self.instances.get_mut(&object)
        {
            instances.remove(&instance);
        }
    }

    /// Adds an instance without values.
    pub fn add_instance(&mut self, object: u16, instance: u16) {
        self.instances.entry(object).or_default().insert(instance);
    }

    /// How fast an object answers from now on.
    pub fn set_pace(&mut self, object: u16, pace: Pace) {
        self.pace.insert(object, pace);
    }

    /// Makes an object refuse every call with this code, or none.
    pub fn refuse(&mut self, object: u16, code: Option<Code>) {
        match code {
            Some(code) => self.refusals.insert(object, code),
            None => self.refusals.remove(&object),
        };
    }

    /// Definition and instances of an object, as the engine wants them.
    pub(crate) fn announcement(&self, object: u16) -> Option<(Arc<ObjectDef>, Vec<u16>)> {
        let definition = Arc::clone(self.definitions.get(&object)?);
        let instances = self.instances.get(&object)?.iter().copied().collect();
        Some((definition, instances))
    }

    pub(crate) fn ids(&self) -> Vec<u16> {
        self.definitions.keys().copied().collect()
    }

    pub(crate) fn pace_of(&self, call: &Call) -> Pace {
        let pace = call.path.object_id().and_then(|id| self.pace.get(&id));
        pace.copied().unwrap_or(Pace::AtOnce)
    }

    /// Does what a call asks for.
    pub(crate) fn answer(&mut self, call: &Call) -> CallResult {
        let object = call.path.object_id().unwrap_or_default();
        if let Some(code) = self.refusals.get(&object) {
            return Err(RequestError::new(*code, "the story wants it so"));
        }
        match &call.operation {
            CallOperation::Read => self.read(&call.path),
            CallOperation::Discover => self.discover(&call.path),
            CallOperation::Write { mode, entries } => self.write(&call.path, *mode, entries),
            CallOperation::Execute(arguments) => {
                self.exists(&call.path)?;
                if arguments.get(9).is_some() {
                    let reason = "argument 9 is not understood";
                    return Err(RequestError::new(Code::BAD_REQUEST, reason));
                }
                self.count(format!("execute {} {arguments}", call.path));
                if self.after_answer.contains(&call.path) {
                    return Ok(CallReply::AfterAnswer);
                }
                Ok(CallReply::Done)
            }
            CallOperation::Proceed => {
                self.proceeded.push(call.path.clone());
                Ok(CallReply::Done)
            }
            CallOperation::Create { .. } | CallOperation::Delete => {
                Err(RequestError::new(Code::METHOD_NOT_ALLOWED, "nothing here comes or goes"))
            }
        }
    }

    fn count(&mut self, what: String) {
        *self.runs.entry(what).or_default() += 1;
    }

    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Value)> {
        // Parents sort before their children, so what is below follows.
        self.values.range(path.clone()..).take_while(|(at, _)| path.contains(at))
    }

    fn resource(&self, path: &Path) -> Option<&ResourceDef> {
        self.definitions.get(&path.object_id()?)?.resource(path.resource_id()?)
    }

    /// Executable and write-only resources exist without a value.
    fn exists(&self, path: &Path) -> Result<(), RequestError> {
        let valueless = self.resource(path).is_some_and(|resource| {
            resource.operations.executable() || resource.operations == O::W
        });
        if path.depth() < 3 || (valueless && path.depth() == 3) || self.below(path).count() > 0 {
            return Ok(());
        }
        Err(RequestError::new(Code::NOT_FOUND, format!("there is no {path}")))
    }

    fn read(&self, path: &Path) -> CallResult {
        self.exists(path)?;
        let readable =
            |at: &Path| self.resource(at).is_some_and(|resource| resource.operations.readable());
        let values = self.below(path).filter(|(at, _)| readable(at));
        let entries = values.map(|(at, value)| Entry::new(at.clone(), value.clone()));
        Ok(CallReply::Entries(entries.collect()))
    }

    fn discover(&self, path: &Path) -> CallResult {
        self.exists(path)?;
        let object = path.object_id().unwrap_or_default();
        let mut paths = BTreeSet::new();
        let instances = self.instances.get(&object).into_iter().flatten();
        let wanted = |id: &&u16| path.instance_id().is_none_or(|only| only == **id);
        for instance in instances.filter(wanted) {
            paths.insert(Path::instance(object, *instance));
            for resource in self.definitions[&object].resources.iter() {
                let at = Path::resource(object, *instance, resource.id);
                if self.exists(&at).is_ok() {
                    paths.insert(at);
                }
            }
        }
        paths.extend(self.below(&path.truncated(2)).map(|(at, _)| at.clone()));
        Ok(CallReply::Paths(paths.into_iter().filter(|at| path.contains(at)).collect()))
    }

    fn write(&mut self, path: &Path, mode: WriteMode, entries: &[Entry]) -> CallResult {
        if path.depth() == 4 {
            self.exists(path)?;
        }
        let replaced = |at: &Path| {
            mode == WriteMode::Replace
                && at.depth() == 4
                && entries.iter().any(|entry| entry.path.truncated(3).contains(at))
        };
        if path.depth() < 4 {
            self.values.retain(|at, _| !replaced(at));
        }
        for entry in entries {
            if let Node::Value(value) = &entry.node {
                self.count(format!("write {} {value}", entry.path));
                self.values.insert(entry.path.clone(), value.clone());
            }
        }
        Ok(CallReply::Done)
    }
}

/// A sensor with a resource of every kind that stories need.
pub static SENSOR: LazyLock<ObjectDef> = LazyLock::new(|| {
    object(
        3303,
        "Sensor",
        vec![
            resource(5500, O::R, T::Boolean, Range::Any),
            resource(5518, O::R, T::Time, Range::Any),
            resource(5605, O::E, T::None, Range::Any),
            resource(5700, O::R, T::Float, Range::Any),
            resource(5701, O::R, T::String, Range::Any),
            resource(5750, O::RW, T::String, Range::Any),
            resource(5821, O::RW, T::Float, Range::Number { min: 0.0, max: 10.0 }),
            multiple(resource(7000, O::RW, T::Integer, Range::Any)),
            resource(7001, O::RW, T::Opaque, Range::Any),
            resource(7002, O::W, T::Integer, Range::Any),
            resource(7003, O::RW, T::Objlnk, Range::Any),
            resource(7004, O::RW, T::Unsigned, Range::Any),
        ],
    )
});

/// An object of a vendor that stories make slow.
pub static SLOW: LazyLock<ObjectDef> = LazyLock::new(|| {
    let slow =
        vec![resource(1, O::RW, T::Integer, Range::Any), resource(2, O::E, T::None, Range::Any)];
    object(33100, "Slow", slow)
});

fn object(id: u16, name: &'static str, resources: Vec<ResourceDef>) -> ObjectDef {
    ObjectDef {
        id,
        name: Cow::Borrowed(name),
        version: Version::V1_0,
        multiple: true,
        mandatory: false,
        resources: Cow::Owned(resources),
    }
}

fn multiple(resource: ResourceDef) -> ResourceDef {
    ResourceDef { multiple: true, ..resource }
}

fn resource(id: u16, operations: O, data_type: T, range: Range) -> ResourceDef {
    ResourceDef {
        id,
        name: Cow::Borrowed("of a story"),
        operations,
        multiple: false,
        mandatory: false,
        data_type,
        range,
        unit: Cow::Borrowed(""),
    }
}
