//! The values of an object in a file of the state directory, written whole each time.

use std::fs;
use std::io;
use std::path::{Path as FilePath, PathBuf};

use lwm2m_engine::{Call, CallId, CallOperation, CallReply};
use lwm2m_memory::MemoryObject;
use lwm2m_model::{Entry, Path, Value, WriteMode};
use serde::{Deserialize, Serialize};

use crate::durable::{read_record, write_record};

/// The file, and what of the configuration its values began with.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    configured: Vec<String>,
}

/// What a file had of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: there was no file that could be used.
    Nothing,
    /// Values that began with what is configured now.
    Current,
    /// Values that began with what was configured before.
    Outdated,
}

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    format: u32,
    configured: Vec<String>,
    instances: Vec<u16>,
    /// Paths, each with its value as a person would type it, or a resource without
    /// instances.
    values: Vec<(String, Option<String>)>,
}

impl KeptFile {
    /// The file of this name in the state directory.
    pub(super) fn new(state: &FilePath, name: &str, configured: Vec<String>) -> Self {
        Self { path: state.join(name), configured }
    }

    /// Puts what the file has into an object. A file that cannot be used is set aside under
    /// another name.
    pub(super) fn load(&self, object: &mut MemoryObject) -> Found {
        let stored = match read(&self.path) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Found::Nothing,
            Err(error) => {
                let aside = self.path.with_extension("damaged");
                let path = self.path.display();
                match fs::rename(&self.path, &aside) {
                    Ok(()) => tracing::error!("{path}: {error}; set aside as {}", aside.display()),
                    Err(_) => tracing::error!("{path}: {error}"),
                }
                return Found::Nothing;
            }
        };
        stored.instances.iter().for_each(|id| object.add(*id));
        for (path, value) in &stored.values {
            if !put(object, path, value.as_deref()) {
                tracing::warn!("{}: {path} does not fit its object", self.path.display());
            }
        }
        if stored.configured == self.configured { Found::Current } else { Found::Outdated }
    }

    /// Writes an object; durable when it returns.
    pub(super) fn save(&self, object: &mut MemoryObject) -> io::Result<()> {
        let instances = object.instances();
        let path = Path::object(object.definition().id);
        let read = Call { id: CallId(0), path, operation: CallOperation::Read, server: None };
        let entries = match object.call(&read) {
            Ok(CallReply::Entries(entries)) => entries,
            Ok(_) => Vec::new(),
            Err(error) => return Err(io::Error::other(error)),
        };
        let values =
            entries.iter().map(|entry| (entry.path.to_string(), entry.value().map(text))).collect();
        let configured = self.configured.clone();
        let stored = Stored { format: FORMAT, configured, instances, values };
        write_record(&self.path, &stored)
    }
}

fn read(path: &FilePath) -> io::Result<Option<Stored>> {
    let Some(stored) = read_record::<Stored>(path)? else { return Ok(None) };
    if stored.format != FORMAT {
        return Err(io::Error::other(format!("is of format {}", stored.format)));
    }
    Ok(Some(stored))
}

/// Puts a value where it belongs; false if the object has no such place for it.
fn put(object: &mut MemoryObject, path: &str, value: Option<&str>) -> bool {
    let Ok(path) = path.parse::<Path>() else { return false };
    let definition = object.definition().clone();
    let resource = path.resource_id().and_then(|id| definition.resource(id));
    let (Some(resource), Some(instance)) = (resource, path.instance_id()) else { return false };
    if path.object_id() != Some(definition.id) || !object.instances().contains(&instance) {
        return false;
    }
    let Some(text) = value else {
        let entries = vec![Entry::empty(path.clone())];
        let operation = CallOperation::Write { mode: WriteMode::Partial, entries };
        return resource.multiple
            && path.depth() == 3
            && object.call(&Call { id: CallId(0), path, operation, server: None }).is_ok();
    };
    let value = Value::parse(resource.data_type, text).ok();
    let value = value.filter(|value| resource.range.check(value).is_ok());
    let has_place = resource.multiple == path.resource_instance_id().is_some();
    value.is_some_and(|value| has_place && object.set(&path, value))
}

/// What [`Value::parse`] makes the same value of.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) | Value::Corelnk(text) => text.clone(),
        Value::Integer(_)
        | Value::Unsigned(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Opaque(_)
        | Value::Time(_)
        | Value::Objlnk(_) => value.to_string(),
    }
}

const FORMAT: u32 = 1;
