//! The list of objects, and the paths of a Discover.

use lwm2m_bus::ObjectInfo;
use serde_json::json;

use super::text::{columns, printable};

/// One line an object.
pub(crate) fn table(list: &[ObjectInfo]) -> String {
    let head = ["OBJECT", "NAME", "VERSION", "INSTANCES"].map(str::to_owned);
    let rows = list.iter().map(|object| {
        let instances: Vec<String> = object.instances.iter().map(u16::to_string).collect();
        [
            format!("/{}", object.id),
            printable(&object.name).into_owned(),
            printable(&object.version).into_owned(),
            if instances.is_empty() { "none".into() } else { instances.join(" ") },
        ]
    });
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

/// An array of objects.
pub(crate) fn json(list: &[ObjectInfo]) -> serde_json::Value {
    list.iter()
        .map(|object| {
            json!({
                "id": object.id,
                "name": object.name,
                "version": object.version,
                "instances": object.instances,
            })
        })
        .collect()
}

/// One line a path.
pub(crate) fn paths(list: &[String]) -> String {
    list.iter().map(|path| format!("{}\n", printable(path))).collect()
}
