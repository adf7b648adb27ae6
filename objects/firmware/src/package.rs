//! Where the package is that an installer looks at or installs.

use std::path::{Path, PathBuf};

use crate::{Failure, Reason};

/// A package, for a [`Backend`](crate::Backend).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Package {
    /// In this file.
    Stored(PathBuf),
    /// At this URI, from where the installer reads what it needs.
    Remote(String),
}

impl Package {
    /// The file that it is in.
    ///
    /// # Errors
    /// [`Failure`] for [`Reason::NotStreamed`] if there is none.
    pub fn file(&self) -> Result<&Path, Failure> {
        match self {
            Self::Stored(path) => Ok(path),
            Self::Remote(_) => {
                Err(Failure::new(Reason::NotStreamed, "the back end installs files alone"))
            }
        }
    }
}

/// What an installer is told of the origin of a package that it reads itself; no secret
/// is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamAccess {
    /// The authorities to trust, instead of those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate of the device and its chain.
    pub certificate: Option<PathBuf>,
    /// The key of the certificate.
    pub key: Option<PathBuf>,
}

/// Looks up what is configured for the origin of a package.
pub trait StreamOrigins: std::fmt::Debug + Send + Sync + 'static {
    /// What goes to this URI, and to no other origin.
    ///
    /// # Errors
    /// If packages cannot come from there; the URI is not quoted.
    fn access(&self, uri: &str) -> Result<StreamAccess, Failure>;
}
