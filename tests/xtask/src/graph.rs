//! The crate graph of the design, checked against what Cargo says.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::output;

/// Prints the graph; an arrow that is not in [`ALLOWED`] is an error, and so is a
/// crate with a runtime or the system below the engine.
pub(crate) fn check() -> Result<()> {
    let metadata = output("cargo", &["metadata", "--format-version", "1", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is no JSON")?;
    let graph = Graph::read(&metadata)?;
    let mut faults = Vec::new();
    for (name, depends) in &graph.workspace {
        show(name, depends);
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
            if !is_test(name) {
                faults.push(format!("{name} has no row in the graph of tests/xtask/src/graph.rs"));
            }
            continue;
        };
        for dependency in depends.iter().filter(|name| !allowed.contains(&name.as_str())) {
            faults.push(format!("{name} -> {dependency} is not an arrow of the design"));
        }
    }
    for name in SANS_IO {
        for reached in graph.reachable(name) {
            if RIM.contains(&reached.as_str()) {
                faults.push(format!("{name} reaches {reached}: it must know no rim"));
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    eprintln!("check-graph: every arrow points the right way");
    Ok(())
}

/// Dependencies by name; of the workspace, and of everything.
struct Graph {
    workspace: BTreeMap<String, Vec<String>>,
    all: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        let members: Vec<&str> =
            array(metadata, "workspace_members")?.iter().filter_map(Value::as_str).collect();
        let names: BTreeMap<&str, &str> = array(metadata, "packages")?
            .iter()
            .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
            .collect();
        let mut graph = Self { workspace: BTreeMap::new(), all: BTreeMap::new() };
        for node in array(&metadata["resolve"], "nodes")? {
            let id = node["id"].as_str().unwrap_or_default();
            let name = names.get(id).copied().unwrap_or_default().to_owned();
            let depends: Vec<&str> = array(node, "deps")?
                .iter()
                .filter(|dependency| is_normal(dependency))
                .filter_map(|dependency| dependency["pkg"].as_str())
                .collect();
            let named = |id: &&str| names.get(*id).map(|name| (*name).to_owned());
            if members.contains(&id) {
                let inside = depends.iter().filter(|id| members.contains(id));
                graph.workspace.insert(name.clone(), inside.filter_map(named).collect());
            }
            graph.all.entry(name).or_default().extend(depends.iter().filter_map(named));
        }
        Ok(graph)
    }

    fn reachable(&self, from: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        let mut next = vec![from.to_owned()];
        while let Some(name) = next.pop() {
            for dependency in self.all.get(&name).into_iter().flatten() {
                if !seen.contains(dependency) {
                    seen.push(dependency.clone());
                    next.push(dependency.clone());
                }
            }
        }
        seen
    }
}

/// True unless it is for tests or build scripts alone.
fn is_normal(dependency: &Value) -> bool {
    dependency["dep_kinds"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("cargo metadata has no {key}"))
}

fn is_test(name: &str) -> bool {
    TEST_CRATES.contains(&name)
}

fn show(name: &str, depends: &[String]) {
    let mut depends = depends.to_vec();
    depends.sort();
    eprintln!(
        "  {name:<18} -> {}",
        if depends.is_empty() { "-".into() } else { depends.join(" ") }
    );
}

/// Who may depend on whom (design, section 2).
const ALLOWED: &[(&str, &[&str])] = &[
    ("lwm2m-model", &[]),
    ("lwm2m-codec", &["lwm2m-model"]),
    ("lwm2m-coap", &["lwm2m-model"]),
    ("lwm2m-engine", &["lwm2m-model", "lwm2m-codec", "lwm2m-coap"]),
    ("lwm2m-tls-ffi", &[]),
    ("lwm2m-security", &["lwm2m-model", "lwm2m-tls-ffi"]),
    ("lwm2m-transport", &["lwm2m-model", "lwm2m-engine", "lwm2m-security"]),
    ("lwm2m-store", &["lwm2m-model"]),
    ("lwm2m-memory", &["lwm2m-model", "lwm2m-engine"]),
    ("lwm2m-objects", &["lwm2m-model", "lwm2m-engine", "lwm2m-memory"]),
    (
        "lwm2m-firmware",
        &["lwm2m-model", "lwm2m-engine", "lwm2m-memory", "lwm2m-objects", "rauc-dbus"],
    ),
    // Usable on its own: it knows none of the others.
    ("rauc-dbus", &[]),
    ("lwm2m-bus", &["lwm2m-model"]),
    (
        "lwm2md",
        &[
            "lwm2m-model",
            "lwm2m-codec",
            "lwm2m-coap",
            "lwm2m-engine",
            "lwm2m-security",
            "lwm2m-transport",
            "lwm2m-store",
            "lwm2m-objects",
            "lwm2m-firmware",
            "lwm2m-bus",
            // The demo has a server inside.
            "lwm2m-test-server",
        ],
    ),
    ("lwm2mctl", &["lwm2m-model", "lwm2m-bus"]),
    ("lwm2m-test-server", &["lwm2m-model", "lwm2m-codec", "lwm2m-security"]),
];

/// Crates of tests alone: they may use everything.
const TEST_CRATES: &[&str] = &[
    "lwm2m-world",
    "lwm2m-interop",
    "lwm2m-bench",
    "lwm2m-conformance",
    "lwm2m-system-tests",
    "lwm2m-test-bus",
    "lwm2m-test-device",
    "xtask",
];

/// Crates without I/O and clock.
const SANS_IO: &[&str] = &["lwm2m-model", "lwm2m-codec", "lwm2m-coap", "lwm2m-engine"];

/// What is of the rim.
const RIM: &[&str] = &["tokio", "mio", "zbus", "nix", "libc", "openssl", "rustix", "socket2"];
