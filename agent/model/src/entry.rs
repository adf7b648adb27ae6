//! A value at its path: what reads, writes and notifications are made of.

use crate::{Path, Value};

/// One value at its path, or an empty container.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it stands. Absolute, with the gateway prefix if there is one.
    pub path: Path,
    /// What stands there.
    pub node: Node,
    /// When it was sampled, Unix time in seconds; `None` means now.
    pub time: Option<f64>,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A value at a resource or resource instance.
    Value(Value),
    /// An instance without readable resources, or a multiple-instance resource
    /// without instances.
    Empty,
}

impl Entry {
    /// A value without a time of its own.
    pub fn new(path: Path, value: Value) -> Self {
        Self { path, node: Node::Value(value), time: None }
    }

    /// A container that exists but holds nothing.
    pub fn empty(path: Path) -> Self {
        Self { path, node: Node::Empty, time: None }
    }

    /// The value, unless this is an empty container.
    pub fn value(&self) -> Option<&Value> {
        match &self.node {
            Node::Value(value) => Some(value),
            Node::Empty => None,
        }
    }
}
