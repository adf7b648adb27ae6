//! Portfolio (16): what else the device is called (Objects 18).
//!
//! Instance 0 begins with the configured identities; servers may write them and make
//! further instances. The authentication service (1 to 3) is described nowhere that is
//! public, and is absent.

use std::borrow::Cow;
use std::path::Path as FilePath;
use std::sync::Arc;

use lwm2m_memory::{Limits, MemoryObject};
use lwm2m_model::objects::PORTFOLIO;
use lwm2m_model::{ObjectDef, Path, Value};
use tokio::sync::mpsc;

use super::KeptObject;
use super::file::{Found, KeptFile};
use crate::ObjectMessage;

/// The object; `state` is the state directory and `out` the channel of the host. What
/// servers wrote to instance 0 counts until other identities are configured.
pub fn portfolio(
    identities: Vec<String>,
    state: &FilePath,
    out: mpsc::Sender<ObjectMessage>,
) -> KeptObject {
    let resources = PORTFOLIO.resources.iter().filter(|resource| resource.id == IDENTITY);
    let resources = Cow::Owned(resources.cloned().collect());
    let definition = ObjectDef { resources, ..PORTFOLIO.clone() };
    let mut object = MemoryObject::limited(Arc::new(definition), LIMITS);
    let mut configured = object.clone();
    name(&mut configured, &identities);
    let file = KeptFile::new(state, "portfolio", identities.clone());
    match file.load(&mut object) {
        Found::Current => {}
        Found::Nothing => object = configured.clone(),
        Found::Outdated => name(&mut object, &identities),
    }
    KeptObject::new(object, configured, Some(file), out)
}

/// Gives instance 0 the configured identities and no other.
fn name(object: &mut MemoryObject, identities: &[String]) {
    object.remove(&Path::instance(PORTFOLIO.id, 0));
    for (id, identity) in (0..).zip(identities) {
        if let Ok(path) = Path::resource(PORTFOLIO.id, 0, IDENTITY).child(id) {
            object.set(&path, Value::String(identity.clone()));
        }
    }
}

const IDENTITY: u16 = 0;
/// Identities of one instance.
pub const MAX_IDENTITIES: usize = 32;
const LIMITS: Limits =
    Limits { instances: 16, resource_instances: MAX_IDENTITIES, value: 255, bytes: 64 * 1024 };
