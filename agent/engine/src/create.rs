//! Create and Delete: which instances come and go (Core 6.5, 6.6).
//!
//! 1. The identifiers of new instances are fixed here: those of the payload, else
//!    the lowest free one.
//! 2. The object makes or removes them; before it has confirmed nothing differs.
//! 3. The list of instances changes: observations and attributes of what is gone
//!    end, and every server is told by one Update (CORE-151).

use std::collections::BTreeSet;

use lwm2m_model::{Code, Entry, ObjectDef, Path, RequestError, Version, objects::id};

use crate::dispatch::{Job, Payload, Pending};
use crate::engine::Engine;
use crate::reply::Answer;
use crate::{CallResult, values};

impl Engine {
    /// The instances of a Create, ascending, and their values.
    ///
    /// # Errors
    /// 4.05 if no server makes instances of the object, 4.00 for an identifier that
    /// is in use (CORE-143), what a Write gets for values that do not fit, 5.00 if
    /// no identifier is free.
    pub(crate) fn to_create(
        &self,
        job: &Job,
        object: &ObjectDef,
    ) -> Result<(Vec<u16>, Vec<Entry>), RequestError> {
        check_instances_vary(&job.path, object)?;
        let used = self.used(object.id);
        let free = || (0..u16::MAX).filter(|id| !used.contains(id));
        let lowest = || if object.multiple { free().next() } else { Some(0) };
        let (instances, entries) = match &job.payload {
            Payload::None | Payload::Typed(_) | Payload::Chunk(_) => (BTreeSet::new(), Vec::new()),
            Payload::Wire(content) => {
                let read = |unassigned| {
                    values::read_create(object, &job.path, content, self.version(job), unassigned)
                };
                // Nobody asks for the highest free identifier: if it is there, it
                // stands for none, and the lowest that is named nowhere takes its place.
                let stand_in = if object.multiple { free().next_back() } else { Some(0) };
                let stand_in = stand_in.ok_or_else(|| no_identifier(object))?;
                let first = read(stand_in)?;
                if object.multiple && first.0.contains(&stand_in) {
                    read(free().find(|id| !first.0.contains(id)).unwrap_or(stand_in))?
                } else {
                    first
                }
            }
            Payload::New { instance, entries } => {
                let instance = instance.or_else(lowest).ok_or_else(|| no_identifier(object))?;
                (BTreeSet::from([instance]), moved(object, instance, entries)?)
            }
        };
        let instances = if instances.is_empty() {
            BTreeSet::from([lowest().ok_or_else(|| no_identifier(object))?])
        } else {
            instances
        };
        if !object.multiple && instances.iter().ne([&0]) {
            let reason = format!("object {} has no instance but 0", object.id);
            return Err(RequestError::new(Code::BAD_REQUEST, reason)); // CORE-146
        }
        let instances: Vec<u16> = instances.into_iter().collect();
        if let Some(id) = instances.iter().find(|id| used.contains(id)) {
            let reason = format!("instance /{}/{id} exists already", object.id);
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        }
        self.check_links(&entries, Some(object.id), &instances)?;
        Ok((instances, entries))
    }

    /// Instances of an object that are there, or that it works on.
    fn used(&self, object: u16) -> BTreeSet<u16> {
        let known = self.objects.get(&object).map(|entry| &entry.instances);
        let coming = self.calls.values().filter_map(|open| match &open.pending {
            Pending::Create { job, instances } if job.path.object_id() == Some(object) => {
                Some(instances)
            }
            _ => None,
        });
        known.into_iter().chain(coming).flatten().copied().collect()
    }

    /// An object has made instances, or not.
    pub(crate) fn created(&mut self, job: &Job, instances: &[u16], result: CallResult) {
        let made = result.map(|_| {
            instances.iter().filter_map(|id| job.path.child(*id).ok()).collect::<Vec<_>>()
        });
        let is_done = made.is_ok();
        if let (Ok(paths), Some(server)) = (&made, job.origin.server()) {
            for path in paths {
                self.done(server, job, path.clone());
            }
        }
        self.answer(job, made.map(Answer::Created));
        if is_done {
            self.instances_differ(&job.path, |list| list.extend(instances));
        }
    }

    /// An object has removed an instance or a resource instance.
    pub(crate) fn deleted(&mut self, path: &Path) {
        match path.parent() {
            Some(parent) if path.depth() == 4 => {
                self.removed(path);
                self.changed(&parent);
            }
            _ => self.instances_differ(path, |list| {
                list.retain(|id| Some(*id) != path.instance_id());
            }),
        }
    }

    fn instances_differ(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u16>)) {
        let Some(object) = path.object_id() else { return };
        let Some(entry) = self.objects.get_mut(&object) else { return };
        let before = entry.instances.clone();
        change(&mut entry.instances);
        entry.instances.sort_unstable();
        entry.instances.dedup();
        // The object may have announced them itself before it answered.
        if entry.instances != before {
            self.instances_changed(object, before);
            self.object_list_changed();
        }
    }
}

/// Checks that a Delete may go to the object.
///
/// # Errors
/// 4.05 for an instance that has to be there (CORE-148), and for a resource
/// instance before LwM2M 1.1.
pub(crate) fn check_delete(
    path: &Path,
    object: &ObjectDef,
    version: Version,
) -> Result<(), RequestError> {
    if path.depth() == 2 {
        return check_instances_vary(path, object);
    }
    if version < Version::V1_1 {
        let reason = "LwM2M 1.0 knows no Delete of a resource instance";
        return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
    }
    Ok(())
}

/// Accounts come and go by bootstrap (OBJ-51); what has one instance on every device
/// keeps it.
fn check_instances_vary(path: &Path, object: &ObjectDef) -> Result<(), RequestError> {
    if object.id != id::SERVER && (object.multiple || !object.mandatory) {
        return Ok(());
    }
    let reason = format!("{path}: instances of {} are neither made nor deleted", object.name);
    Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason))
}

/// Typed values below the new instance. A person is told of what cannot be written.
fn moved(object: &ObjectDef, instance: u16, entries: &[Entry]) -> Result<Vec<Entry>, RequestError> {
    let bad = |error: String| RequestError::new(Code::BAD_REQUEST, error);
    let mut moved = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut ids =
            [object.id, instance].into_iter().chain(entry.path.ids().iter().skip(2).copied());
        let path = ids.try_fold(Path::root(), |path, id| path.child(id));
        let path = path.map_err(|error| bad(error.to_string()))?;
        moved.push(Entry { path, ..entry.clone() });
    }
    moved.sort_by(|one, other| one.path.cmp(&other.path));
    values::check(object, moved)
}

fn no_identifier(object: &ObjectDef) -> RequestError {
    let reason = format!("object {} has no free instance identifier", object.id);
    RequestError::new(Code::INTERNAL_SERVER_ERROR, reason)
}
