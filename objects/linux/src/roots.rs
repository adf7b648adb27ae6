//! Where the system's files are; a test gives a made-up tree.

use std::path::{Path, PathBuf};

/// The directories that the sources read below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/etc`
    pub etc: PathBuf,
    /// `/usr`
    pub usr: PathBuf,
    /// `/run`
    pub run: PathBuf,
    /// `/var`
    pub var: PathBuf,
}

impl Roots {
    /// The directories of a tree that holds `proc`, `sys`, `etc`, `usr`, `run` and `var`.
    pub fn below(root: &Path) -> Self {
        Self {
            proc: root.join("proc"),
            sys: root.join("sys"),
            etc: root.join("etc"),
            usr: root.join("usr"),
            run: root.join("run"),
            var: root.join("var"),
        }
    }
}

impl Default for Roots {
    /// Those of this machine.
    fn default() -> Self {
        Self::below(Path::new("/"))
    }
}
