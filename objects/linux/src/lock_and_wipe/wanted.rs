//! What a Write asks for.

use lwm2m_model::{Code, Entry, Node, Path, RequestError, Value, WriteMode};

use super::record::{Operation, Record};
use super::{Config, resource};
use crate::content;

/// The record as it is to be, and what is to be done.
pub(super) struct Wanted {
    pub(super) record: Record,
    pub(super) operation: Option<Operation>,
}

impl Wanted {
    /// Judges a Write as a whole: it is taken over, or nothing of it is.
    pub(super) fn parse(
        mut record: Record,
        config: &Config,
        target: &Path,
        mode: WriteMode,
        entries: &[Entry],
    ) -> Result<Self, RequestError> {
        let mut state = None;
        for id in [resource::LOCK_TARGET, resource::WIPE_TARGET] {
            let (targets, known) = match id {
                resource::LOCK_TARGET => (&mut record.lock_targets, &config.lock),
                _ => (&mut record.wipe_targets, &config.wipe),
            };
            let named = || entries.iter().filter(|entry| entry.path.resource_id() == Some(id));
            if named().next().is_none() {
                continue;
            }
            if mode == WriteMode::Replace && target.depth() < 4 {
                targets.clear();
            }
            for entry in named() {
                let at = entry.path.resource_instance_id();
                let (Some(at), Node::Value(Value::String(name))) = (at, &entry.node) else {
                    continue;
                };
                if !known.contains(name) {
                    return Err(bad(format!("{name} is no target; there are: {}", list(known))));
                }
                targets.retain(|(taken, _)| *taken != at);
                targets.push((at, name.clone()));
            }
            targets.sort();
        }
        for entry in entries {
            match (entry.path.resource_id(), &entry.node) {
                (Some(resource::LOCK_TARGET | resource::WIPE_TARGET), _) => {}
                (Some(resource::STATE), Node::Value(Value::Integer(value))) => {
                    state = Some(*value);
                }
                _ => return Err(content::not_found(&entry.path)),
            }
        }
        let operation = match state {
            None => None,
            Some(value) => Some(
                Operation::of_state(value)
                    .ok_or_else(|| bad(format!("State is 0, 1 or 2, and not {value}")))?,
            ),
        };
        if operation == Some(Operation::LockSome) && record.lock_targets.is_empty() {
            return Err(bad("State 1 locks what Lock Target names, which is nothing".into()));
        }
        if operation.is_some() && config.lock.is_empty() {
            let reason = "objects.lock_and_wipe.lock names nothing that could be locked";
            return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
        }
        Ok(Self { record, operation })
    }
}

fn bad(reason: String) -> RequestError {
    RequestError::new(Code::BAD_REQUEST, reason)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
