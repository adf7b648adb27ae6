//! BinaryAppDataContainer (19): bytes between a server and programs on the device
//! (Objects 19). Both make, write, read, observe and remove instances, the programs over
//! D-Bus; which is whose is theirs to agree on. Data Priority is told, not acted upon.

use std::borrow::Cow;
use std::path::Path as FilePath;
use std::sync::Arc;

use lwm2m_memory::{Limits, MemoryObject};
use lwm2m_model::objects::BINARY_APP_DATA_CONTAINER;
use lwm2m_model::{ObjectDef, Range, ResourceDef};
use tokio::sync::mpsc;

use super::KeptObject;
use super::file::KeptFile;
use crate::ObjectMessage;

/// What is configured of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppDataConfig {
    /// Bytes of one Data at most, up to [`MAX_APP_DATA`].
    pub limit: usize,
    /// Where it is kept.
    pub keeping: Keeping,
}

/// What becomes of values when the agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// They are there again after it.
    Disk,
    /// They are gone: for data that changes too often for a flash.
    Memory,
}

impl Default for AppDataConfig {
    /// 4096 bytes, on the disk.
    fn default() -> Self {
        Self { limit: 4096, keeping: Keeping::Disk }
    }
}

/// The object; `state` is the state directory and `out` the channel of the host.
pub fn app_data(
    config: &AppDataConfig,
    state: &FilePath,
    out: mpsc::Sender<ObjectMessage>,
) -> KeptObject {
    let limits = Limits { value: config.limit.min(MAX_APP_DATA), ..LIMITS };
    let mut object = MemoryObject::limited(Arc::new(definition()), limits);
    let empty = object.clone();
    let file = match config.keeping {
        Keeping::Disk => {
            let file = KeptFile::new(state, "binary-app-data", Vec::new());
            file.load(&mut object);
            Some(file)
        }
        Keeping::Memory => None,
    };
    KeptObject::new(object, empty, file, out)
}

/// The registry writes the ranges of integers in bytes, `1 bytes`, which no other does.
fn definition() -> ObjectDef {
    let narrowed = |resource: &ResourceDef| ResourceDef {
        range: match resource.id {
            PRIORITY => Range::Number { min: 0.0, max: 254.0 },
            APP_ID => Range::Number { min: 0.0, max: 65535.0 },
            _ => resource.range.clone(),
        },
        ..resource.clone()
    };
    let resources = BINARY_APP_DATA_CONTAINER.resources.iter().map(narrowed).collect();
    ObjectDef { resources: Cow::Owned(resources), ..BINARY_APP_DATA_CONTAINER.clone() }
}

const PRIORITY: u16 = 1;
const APP_ID: u16 = 5;
/// Bytes of one Data that may be configured: as many as a request may have.
pub const MAX_APP_DATA: usize = 60 * 1024;
const LIMITS: Limits =
    Limits { instances: 64, resource_instances: 16, value: MAX_APP_DATA, bytes: 256 * 1024 };
