//! The objects that the command line names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lwm2m_model::{DefinitionError, ObjectDef, objects};
use lwm2m_objects::MemoryObject;

/// Why an object cannot be added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Definition { path: PathBuf, source: DefinitionError },
    #[error("{}: object {id} is one of the agent's own", path.display())]
    Own { path: PathBuf, id: u16 },
    #[error("{}: object {id} is given twice", path.display())]
    Twice { path: PathBuf, id: u16 },
    #[error("{}: an object with one instance cannot have {count}", path.display())]
    Single { path: PathBuf, count: u16 },
}

/// Reads the definitions; each object has `count` instances with values.
pub(crate) fn read(files: &[PathBuf], count: u16) -> Result<Vec<MemoryObject>, ObjectError> {
    let mut all: Vec<MemoryObject> = Vec::new();
    for path in files {
        let object = read_one(path, count)?;
        let id = object.definition().id;
        if all.iter().any(|known| known.definition().id == id) {
            return Err(ObjectError::Twice { path: path.clone(), id });
        }
        all.push(object);
    }
    Ok(all)
}

/// What the agent cannot be without; any other object of its own is replaced.
const ALWAYS_SERVED: [u16; 4] =
    [objects::SECURITY.id, objects::SERVER.id, objects::DEVICE.id, objects::FIRMWARE_UPDATE.id];

fn read_one(path: &Path, count: u16) -> Result<MemoryObject, ObjectError> {
    let definition = definition(path)?;
    if !definition.multiple && count > 1 {
        return Err(ObjectError::Single { path: path.to_owned(), count });
    }
    let mut object = MemoryObject::new(Arc::new(definition));
    (0..count).for_each(|instance| object.fill(instance));
    Ok(object)
}

/// Reads the definition of an object that the agent does not have itself.
pub(crate) fn definition(path: &Path) -> Result<ObjectDef, ObjectError> {
    let at = || path.to_owned();
    let text =
        std::fs::read_to_string(path).map_err(|source| ObjectError::Read { path: at(), source })?;
    let definition = ObjectDef::from_xml(&text)
        .map_err(|source| ObjectError::Definition { path: at(), source })?;
    if ALWAYS_SERVED.contains(&definition.id) {
        return Err(ObjectError::Own { path: at(), id: definition.id });
    }
    Ok(definition)
}
