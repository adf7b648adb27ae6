//! `objects.lock_and_wipe`: the targets, each a file of the operator's.

use lwm2m_objects::{LockAndWipeConfig, is_instance_name};

use super::position::ConfigError;
use super::tree::Node;

/// What is configured; adds what is wrong beyond types to `errors`.
pub(super) fn targets(node: &Node, errors: &mut Vec<ConfigError>) -> Option<LockAndWipeConfig> {
    let mut list = |key: &str| {
        let mut names: Vec<String> = Vec::new();
        let elements = node.get(key).map(Node::elements).unwrap_or_default();
        for (place, element) in elements.iter().enumerate() {
            let Some(name) = element.text() else { continue };
            let mut wrong = |message: String| {
                let key = format!("objects.lock_and_wipe.{key}[{place}]");
                errors.push(ConfigError::new(&element.at, &key, message));
            };
            if !is_instance_name(name) {
                wrong(format!("expected letters, digits and any of _.- , got {name:?}"));
            } else if names.iter().any(|known| known == name) {
                wrong(format!("{name} is there already"));
            } else if names.len() == MAX_TARGETS {
                wrong(format!("{MAX_TARGETS} targets are the most"));
            } else {
                names.push(name.to_owned());
            }
        }
        names
    };
    let config = LockAndWipeConfig { lock: list("lock"), wipe: list("wipe") };
    (config != LockAndWipeConfig::default()).then_some(config)
}

/// Targets of either kind.
const MAX_TARGETS: usize = 32;
