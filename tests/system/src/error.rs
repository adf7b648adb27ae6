//! What can go wrong with a laboratory.

use lwm2m_interop::PeerError;

/// What can go wrong with a laboratory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A file or program of this machine failed.
    #[error(transparent)]
    Program(#[from] PeerError),
    /// A script of a laboratory failed.
    #[error("{request} failed:\n{output}")]
    Script {
        /// The script and what it was asked.
        request: String,
        /// What it printed.
        output: String,
    },
    /// A file of the laboratory or its script cannot be used.
    #[error("{what}: {source}")]
    System {
        /// The file or program.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The virtual machine does not do what it should.
    #[error("the machine: {0}")]
    Machine(String),
}

impl LabError {
    pub(crate) fn system(what: impl ToString, source: std::io::Error) -> Self {
        Self::System { what: what.to_string(), source }
    }

    pub(crate) fn script(request: &str, output: impl Into<String>) -> Self {
        Self::Script { request: request.into(), output: output.into() }
    }

    pub(crate) fn machine(what: impl Into<String>) -> Self {
        Self::Machine(what.into())
    }
}
