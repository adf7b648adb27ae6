//! Scripted objects: the agent's objects in memory with values that a story sets,
//! objects that are slow, dead or refuse, and a count of what was really done.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lwm2m_engine::{Call, CallOperation, CallReply, CallResult};
use lwm2m_memory::MemoryObject;
use lwm2m_model::{
    Code, DataType as T, ObjectDef, Operations as O, Path, Range, RequestError, ResourceDef, Value,
    Version, objects,
};

use crate::package::{PACKAGE, Packages, STREAMS};

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
    held: BTreeMap<u16, MemoryObject>,
    pace: BTreeMap<u16, Pace>,
    refusals: BTreeMap<u16, Code>,
    /// Executes that are done when their answer is out, by path.
    after_answer: BTreeSet<Path>,
    /// How often each Execute, Write, Create and Delete was carried out, by what it
    /// said.
    pub runs: BTreeMap<String, u32>,
    /// Promised actions that were told to go on.
    pub proceeded: Vec<Path>,
    /// What the object holds that takes its values chunk by chunk.
    pub packages: Packages,
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
        let mut object = MemoryObject::new(Arc::new(definition.clone()));
        instances.iter().for_each(|instance| object.add(*instance));
        self.held.insert(definition.id, object);
    }

    /// An object, for what the verbs below do not say.
    pub fn object(&mut self, object: u16) -> &mut MemoryObject {
        self.held.get_mut(&object).expect("stories name objects that are there")
    }

    /// Sets a value; the engine is not told.
    pub fn set(&mut self, path: &str, value: Value) {
        let path: Path = path.parse().expect("stories name real paths");
        let object = path.object_id().unwrap_or_default();
        assert!(self.object(object).set(&path, value), "{path} holds no value");
    }

    /// The value at a path.
    pub fn value(&self, path: &str) -> Option<&Value> {
        let path: Path = path.parse().expect("stories name real paths");
        self.held.get(&path.object_id()?)?.value(&path)
    }

    /// Removes everything at and below a path; an instance goes as a whole.
    pub fn remove(&mut self, path: &str) {
        let path: Path = path.parse().expect("stories name real paths");
        self.object(path.object_id().unwrap_or_default()).remove(&path);
    }

    /// Adds an instance without values.
    pub fn add_instance(&mut self, object: u16, instance: u16) {
        self.object(object).add(instance);
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

    /// The resources of an object that take their values chunk by chunk.
    pub(crate) fn streams(&self, object: u16) -> Vec<u16> {
        if object == PACKAGE.id { STREAMS.to_vec() } else { Vec::new() }
    }

    /// Definition and instances of an object, as the engine wants them.
    pub(crate) fn announcement(&self, object: u16) -> Option<(Arc<ObjectDef>, Vec<u16>)> {
        let object = self.held.get(&object)?;
        Some((Arc::clone(object.definition()), object.instances()))
    }

    pub(crate) fn ids(&self) -> Vec<u16> {
        self.held.keys().copied().collect()
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
        if object == PACKAGE.id
            && let Some(result) = self.packages.answer(call)
        {
            return result;
        }
        if let CallOperation::Execute(arguments) = &call.operation
            && object != TEST_OBJECT
            && arguments.get(9).is_some()
        {
            let reason = "argument 9 is not understood";
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        }
        let result = self.object(object).call(call)?;
        let path = &call.path;
        match &call.operation {
            CallOperation::Read | CallOperation::Discover => {}
            CallOperation::Write { entries, .. } => {
                for entry in entries {
                    if let Some(value) = entry.value() {
                        self.count(format!("write {} {value}", entry.path));
                    }
                }
            }
            CallOperation::Execute(arguments) => {
                self.count(format!("execute {path} {arguments}"));
                if self.after_answer.contains(path) {
                    return Ok(CallReply::AfterAnswer);
                }
            }
            CallOperation::Stream { .. } | CallOperation::StreamEnd => {}
            CallOperation::Proceed => self.proceeded.push(path.clone()),
            CallOperation::Create { instances, .. } => {
                self.count(format!("create {path} {instances:?}"));
            }
            CallOperation::Delete => self.count(format!("delete {path}")),
        }
        Ok(result)
    }

    fn count(&mut self, what: String) {
        *self.runs.entry(what).or_default() += 1;
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

/// An object that has one instance if any, and resources that an instance needs.
pub static LONE: LazyLock<ObjectDef> = LazyLock::new(|| {
    let mandatory = |resource| ResourceDef { mandatory: true, ..resource };
    let resources = vec![
        mandatory(resource(0, O::RW, T::Integer, Range::Number { min: 0.0, max: 10.0 })),
        mandatory(resource(1, O::R, T::String, Range::Any)),
        resource(2, O::E, T::None, Range::Any),
        resource(3, O::RW, T::Corelnk, Range::Any),
    ];
    ObjectDef { multiple: false, version: Version::new(2, 1), ..object(33101, "Lone", resources) }
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

/// The test object of the registry, which knows its arguments itself.
const TEST_OBJECT: u16 = 3442;
