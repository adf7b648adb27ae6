//! The interface `org.lwm2md.Firmware1` on `/org/lwm2md`: how a firmware update stands,
//! and consent to one that was put off (Objects 7).

use zbus::{DeserializeDict, SerializeDict, Type};

use crate::AgentError;

/// What people on the device ask of a firmware update.
///
/// Without Object 5 each method gives [`AgentError::NotFound`].
#[zbus::proxy(
    interface = "org.lwm2md.Firmware1",
    default_service = "org.lwm2md",
    default_path = "/org/lwm2md"
)]
pub trait Firmware1 {
    /// How the update stands.
    fn status(&self) -> Result<FirmwareStatus, AgentError>;

    /// Agrees to the update that was put off; answered when it has begun.
    /// [`AgentError::MethodNotAllowed`] if none was.
    fn accept(&self) -> Result<(), AgentError>;

    /// The update stands otherwise than before; sent to everybody whom the policy of the
    /// bus lets ask, at most four times a second, the last change always.
    #[zbus(signal, name = "Changed")]
    fn firmware_changed(&self, status: FirmwareStatus);
}

/// How a firmware update stands. A reader ignores keys that it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct FirmwareStatus {
    /// State (`/5/0/3`): 0 Idle, 1 Downloading, 2 Downloaded, 3 Updating.
    pub state: u32,
    /// Update Result (`/5/0/5`), 0 to 11.
    pub result: u32,
    /// Why the result is what it is, why a download was interrupted that is to be tried
    /// again, or why the new system is left again; one line, absent after a success.
    pub cause: Option<String>,
    /// Package URI (`/5/0/1`), if one was written.
    pub uri: Option<String>,
    /// PkgName (`/5/0/6`), if the package has one.
    pub package_name: Option<String>,
    /// PkgVersion (`/5/0/7`), if the package has one.
    pub package_version: Option<String>,
    /// Last State Change Time (`/5/0/12`), Unix time in seconds; absent while the clock
    /// was never set.
    pub last_change: Option<i64>,
    /// Severity (`/5/0/11`): 0 critical, 1 mandatory, 2 optional.
    pub severity: u32,
    /// A package is installed as soon as it is there (`/5/0/14`).
    pub automatic: bool,
    /// An update waits for consent, and begins by itself in so many seconds.
    pub consent_within: Option<u64>,
    /// In State Updating, one word: `wanted`, `installing`, `installed` (the restart is
    /// due), `on-trial` (a server has to answer, then checks run), `confirming` (the new
    /// system is marked good), `rolling-back` (the old system is booted again).
    pub step: Option<String>,
    /// Bytes of the package that have come, in State Downloading.
    pub bytes: Option<u64>,
    /// Bytes of the whole package, as far as its sender has said.
    pub size: Option<u64>,
    /// How far the installation is, 0 to 100.
    pub percent: Option<u32>,
    /// What the installer does now, in its own words.
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use zbus::wire::{LE, serialized::Context, to_bytes};

    use super::*;

    #[test]
    fn a_status_survives_the_bus_without_what_is_absent() {
        assert_eq!(FirmwareStatus::SIGNATURE, "a{sv}");
        let status = FirmwareStatus {
            state: 1,
            bytes: Some(7),
            cause: Some("why".into()),
            ..FirmwareStatus::default()
        };
        let bytes = to_bytes(Context::new(LE, 0), &status).unwrap();
        let (back, _): (FirmwareStatus, usize) = bytes.deserialize().unwrap();
        assert_eq!(back, status);
    }
}
