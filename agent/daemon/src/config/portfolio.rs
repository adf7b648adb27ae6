//! `objects.portfolio`: the identities of instance 0.

use lwm2m_objects::MAX_IDENTITIES;

use super::position::ConfigError;
use super::tree::Node;

/// The identities; adds what is wrong beyond types to `errors`.
pub(super) fn identities(node: &Node, errors: &mut Vec<ConfigError>) -> Vec<String> {
    let elements = node.elements();
    if let Some(one_more) = elements.get(MAX_IDENTITIES) {
        let key = format!("objects.portfolio[{MAX_IDENTITIES}]");
        let message = format!("{MAX_IDENTITIES} identities are the most");
        errors.push(ConfigError::new(&one_more.at, &key, message));
    }
    elements.iter().filter_map(Node::text).map(str::to_owned).collect()
}
