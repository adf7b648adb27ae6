//! `objects.binary_app_data`: how much is held, and where.

use lwm2m_objects::{AppDataConfig, Keeping};

use super::tree::Node;

/// What is configured; the shape has checked it.
pub(super) fn app_data(node: &Node) -> AppDataConfig {
    let default = AppDataConfig::default();
    let limit = node.get("limit").and_then(Node::integer);
    AppDataConfig {
        limit: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(default.limit),
        keeping: match node.get("persistent").and_then(Node::boolean) {
            Some(false) => Keeping::Memory,
            Some(true) => Keeping::Disk,
            None => default.keeping,
        },
    }
}
