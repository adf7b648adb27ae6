//! What the object asks of the program that installs, and of the one that restarts.

use std::pin::Pin;

use lwm2m_objects::{BusHandle, can_reboot, reboot};

use crate::{Failure, Installed, Package, PackageInfo, ProgressSink, Protocol, Slot};

/// A program that installs packages.
///
/// Each future may be dropped half-way, when the agent stops; then the question is put
/// again after the restart.
pub trait Backend: Send + Sync + 'static {
    /// The protocols by which it may read a package itself while it installs, so that the
    /// package is not fetched before. A package that it cannot read all the same is a
    /// failure for [`Reason::NotStreamed`](crate::Reason::NotStreamed), and is fetched.
    fn streams(&self) -> &[Protocol] {
        &[]
    }

    /// Looks at a package without changing anything: whether it is whole, trusted, and
    /// for this device.
    fn inspect(
        &self,
        package: &Package,
    ) -> impl Future<Output = Result<PackageInfo, Failure>> + Send;

    /// Installs a package. Doing it twice comes to the same as doing it once. `sink` is
    /// told how far it is, by those who know. An installation whose end is not known is a
    /// failure for [`Reason::Unknown`](crate::Reason::Unknown).
    fn install(
        &self,
        package: &Package,
        sink: &ProgressSink,
    ) -> impl Future<Output = Result<Installed, Failure>> + Send;

    /// Tells the boot loader that the system which runs has proven itself, and reads back
    /// that it is the one to boot from now on; if not, why, in one line. Doing it twice
    /// comes to the same as doing it once.
    fn confirm(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Tells the boot loader never to boot the system which runs again; if that cannot
    /// be, why, in one line.
    fn reject(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// The slot that the running system was booted from. A back end with slots needs a
    /// restart after each installation.
    fn slot(&self) -> impl Future<Output = Slot> + Send;

    /// The slot that is booted next, once nothing is being installed any more; `None` if
    /// the installer cannot tell. The error says in one line why it is not known yet.
    fn next_boot(&self) -> impl Future<Output = Result<Option<String>, String>> + Send {
        async { Ok(None) }
    }

    /// The version of the running system, in the numbering of its packages; `None` if the
    /// installer does not know it. The error says in one line why it cannot be asked.
    fn version(&self) -> impl Future<Output = Result<Option<String>, String>> + Send {
        async { Ok(None) }
    }
}

/// What the operator wants to know of a new system before it is kept. Its futures may be
/// dropped half-way.
pub trait Checks: Send + Sync + 'static {
    /// Runs all of them; the error names the first that failed, in one line.
    fn run(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// What restarts the machine. Its futures may be dropped half-way.
pub trait Restarter: Send + Sync + 'static {
    /// Whether a restart would be done; if not, why, in one line.
    fn check(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Restarts; if that cannot be, why, in one line.
    fn restart(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// Through logind, or systemd where there is none.
impl Restarter for BusHandle {
    async fn check(&self) -> Result<(), String> {
        can_reboot(self).await.map_err(|error| error.reason.into())
    }

    async fn restart(&self) -> Result<(), String> {
        reboot(self).await.map_err(|error| error.reason.into())
    }
}
