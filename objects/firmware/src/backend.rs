//! What the object asks of the program that installs.

use std::path::Path;

use crate::{Failure, Installed, PackageInfo};

/// A program that installs packages.
///
/// Each future may be dropped half-way, when the agent stops; then the question is put
/// again after the restart.
pub trait Backend: Send + Sync + 'static {
    /// Looks at a package without changing anything: whether it is whole, trusted, and
    /// for this device.
    fn inspect(&self, package: &Path) -> impl Future<Output = Result<PackageInfo, Failure>> + Send;

    /// Installs a package. Doing it twice comes to the same as doing it once.
    fn install(&self, package: &Path) -> impl Future<Output = Result<Installed, Failure>> + Send;

    /// The slot that the running system was booted from, if there are slots.
    fn slot(&self) -> impl Future<Output = Option<String>> + Send;
}
