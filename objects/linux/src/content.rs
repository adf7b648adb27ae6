//! What stands in the resources of an object, and what a Read and a Discover make of it.

use lwm2m_engine::{CallReply, CallResult};
use lwm2m_model::{Code, Entry, Path, RequestError, Value};

/// What stands in a resource that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// One value.
    Single(Value),
    /// Resource instances, ascending; there may be none.
    Multiple(Vec<(u16, Value)>),
    /// Nothing that could be read: a resource to execute, or to write alone.
    Unreadable,
}

/// The answer to a Read of `path` from the contents of its object, each with the path
/// of its resource.
pub(crate) fn read(path: &Path, contents: Vec<(Path, Content)>) -> CallResult {
    let mut entries = Vec::new();
    for (at, content) in contents {
        match content {
            Content::Single(value) => entries.push(Entry::new(at, value)),
            Content::Multiple(values) if values.is_empty() => entries.push(Entry::empty(at)),
            Content::Multiple(values) => {
                entries.extend(
                    values.into_iter().filter_map(|(id, value)| {
                        at.child(id).ok().map(|at| Entry::new(at, value))
                    }),
                );
            }
            Content::Unreadable => {}
        }
    }
    entries.retain(|entry| path.contains(&entry.path));
    // An object may have no instance at the time (CORE-127).
    if entries.is_empty() && path.instance_id().is_some() {
        return Err(not_found(path));
    }
    Ok(CallReply::Entries(entries))
}

/// The answer to a Discover of `path` from the instances and the contents of its object.
pub(crate) fn discover(
    path: &Path,
    instances: impl IntoIterator<Item = Path>,
    contents: Vec<(Path, Content)>,
) -> CallResult {
    let mut paths: Vec<Path> = instances.into_iter().collect();
    for (at, content) in contents {
        paths.push(at.clone());
        if let Content::Multiple(values) = content {
            paths.extend(values.into_iter().filter_map(|(id, _)| at.child(id).ok()));
        }
    }
    paths.retain(|known| path.contains(known));
    if paths.is_empty() {
        return Err(not_found(path));
    }
    paths.sort();
    Ok(CallReply::Paths(paths))
}

/// True if the value that a Write brings stands there already.
pub(crate) fn stands(contents: &[(Path, Content)], entry: &Entry) -> bool {
    contents.iter().any(|(at, content)| match content {
        Content::Single(value) => *at == entry.path && entry.value() == Some(value),
        Content::Multiple(values) => {
            let is_it = |(id, value): &(u16, Value)| {
                at.child(*id).is_ok_and(|at| at == entry.path) && entry.value() == Some(value)
            };
            values.iter().any(is_it)
        }
        Content::Unreadable => false,
    })
}

/// The refusal of a path without anything behind it.
pub(crate) fn not_found(path: &Path) -> RequestError {
    RequestError::new(Code::NOT_FOUND, format!("{path} does not exist on this device"))
}
