//! The configuration: one YAML file and the `conf.d/*.yaml` beside it.
//!
//! 1. `tree`: each file becomes a tree in which everything knows its place; the
//!    trees are merged in order.
//! 2. `shape`, `keys`: keys, types and ranges are checked; `schema` prints them.
//! 3. `account`, `load`: what the values mean together, and the [`Config`].
//!
//! Keys are only named here ([`KeySource`]); `credentials` fetches them.

mod account;
mod app_data;
mod keys;
mod load;
mod location;
mod lock_and_wipe;
mod portfolio;
mod position;
mod schema;
mod shape;
mod source;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use lwm2m_engine::{Account, EngineConfig};
use lwm2m_firmware::{DEFAULT_PATIENCE, Downgrade, ScriptName};
use lwm2m_model::Version;
use lwm2m_model::record::BootId;
use lwm2m_objects::{AppDataConfig, LocationConfig, LockAndWipeConfig};
use lwm2m_security::KeySource;
use lwm2m_transport::Origin;

pub use load::{files, load};
pub use position::{ConfigError, Position};
pub use schema::schema;

/// A configuration without a known fault.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Endpoint Client Name, if it is configured.
    pub endpoint: Option<String>,
    /// Highest LwM2M version to offer.
    pub version: Version,
    /// Lowest LwM2M version to step down to.
    pub min_version: Version,
    /// De-register when the service stops.
    pub deregister_on_stop: bool,
    /// Server accounts in the order of the file; at least one.
    pub servers: Vec<Server>,
    /// Settings of Object 3.
    pub device: DeviceSettings,
    /// Whether the sensors of the system are objects.
    pub sensors: Sensors,
    /// Where Object 6 has its values from; there is none without.
    pub location: Option<LocationConfig>,
    /// What servers may lock and wipe; `None` without a target.
    pub lock_and_wipe: Option<LockAndWipeConfig>,
    /// What instance 0 of Object 16 begins with; there is none without.
    pub portfolio: Vec<String>,
    /// What Object 19 may hold; there is none without.
    pub binary_app_data: Option<AppDataConfig>,
    /// What Object 20 shows; there is none without.
    pub event_log: EventLogSource,
    /// Settings of Object 5.
    pub firmware: FirmwareSettings,
    /// How Object 5 fetches packages.
    pub downloads: DownloadSettings,
    /// The files read, in order.
    pub files: Vec<PathBuf>,
}

/// A server account and where its key comes from.
#[derive(Debug, Clone)]
pub struct Server {
    /// What the engine is told.
    pub account: Account,
    /// What the security layer is told; `None` for NoSec.
    pub psk: Option<PskSettings>,
}

/// A pre-shared key that is still where it is kept.
#[derive(Debug, Clone)]
pub struct PskSettings {
    /// Identity, 1 to 128 bytes.
    pub identity: String,
    /// Where the key is.
    pub source: KeySource,
    /// Where the configuration says so, for errors.
    pub at: Position,
    /// The key of the configuration that says so.
    pub key: String,
}

/// What is configured of Object 3; the rest is found out from the system.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeviceSettings {
    /// Manufacturer (`/3/0/0`).
    pub manufacturer: Option<String>,
    /// Model Number (`/3/0/1`).
    pub model: Option<String>,
    /// Serial Number (`/3/0/2`).
    pub serial: Option<TextSource>,
    /// Device Type (`/3/0/17`).
    pub device_type: Option<String>,
    /// Hardware Version (`/3/0/18`).
    pub hardware_version: Option<String>,
    /// Software Version (`/3/0/19`).
    pub software_version: Option<String>,
}

/// Whether servers see the sensors of the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sensors {
    /// There are no objects of sensors.
    #[default]
    Hidden,
    /// Each quantity has its object, each sensor its instance.
    Shown,
}

/// What the Event Log object shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventLogSource {
    /// Nothing: there is no such object.
    #[default]
    None,
    /// The journal of the system.
    Journal,
}

/// What is configured of Object 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareSettings {
    /// What installs packages.
    pub installer: Installer,
    /// If somebody on the device may put an update off: for how long where the server
    /// has written no Maximum Defer Period.
    pub defer: Option<Duration>,
    /// How long a new system has to prove itself, from its boot.
    pub trial: Duration,
}

impl Default for FirmwareSettings {
    /// Nothing installs.
    fn default() -> Self {
        Self { installer: Installer::None, defer: None, trial: DEFAULT_TRIAL }
    }
}

/// What installs firmware.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Installer {
    /// Nothing: there is no Object 5.
    #[default]
    None,
    /// RAUC on the bus.
    Rauc(Downgrade),
    /// A script that systemd runs.
    Script(ScriptName, Downgrade),
    /// Packages are put at this path.
    File(PathBuf),
}

/// How packages are fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct DownloadSettings {
    /// For how long nothing new comes before a package is given up.
    pub patience: Duration,
    /// Whether the installer reads packages of HTTP itself, where it can.
    pub streaming: bool,
    /// Origins that want a proof, or have authorities of their own; each once.
    pub sources: Vec<PackageSource>,
}

impl Default for DownloadSettings {
    fn default() -> Self {
        Self { patience: DEFAULT_PATIENCE, streaming: false, sources: Vec::new() }
    }
}

/// What is configured for one origin of packages; it has what its scheme can use.
#[derive(Debug, Clone)]
pub struct PackageSource {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Where the configuration says so, for errors.
    pub at: Position,
    /// The key of the configuration that says so.
    pub key: String,
    /// The authorities to trust, instead of those of the system.
    pub ca: Option<PathBuf>,
    /// The Authorization of HTTP.
    pub authorization: Option<Authorization>,
    /// The certificate of the device.
    pub certificate: Option<Certificate>,
    /// The pre-shared key of DTLS.
    pub psk: Option<PskSettings>,
}

/// What proves the device to a server of HTTP.
#[derive(Debug, Clone, PartialEq)]
pub enum Authorization {
    /// A user and a password.
    Basic {
        /// Not secret.
        user: String,
        /// Where the password is.
        password: SecretSettings,
    },
    /// A token, and where it is.
    Bearer(SecretSettings),
}

/// A certificate that is still where it is kept.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// It and its chain.
    pub file: PathBuf,
    /// Where the configuration says so, for errors.
    pub at: Position,
    /// Where its key is.
    pub key: SecretSettings,
}

/// A secret that is still where it is kept.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    /// Where it is.
    pub source: KeySource,
    /// Where the configuration says so, for errors.
    pub at: Position,
    /// The key of the configuration that says so.
    pub key: String,
}

impl PackageSource {
    /// Whether systemd has to pass a part of it.
    pub fn uses_credential(&self) -> bool {
        let secret = match &self.authorization {
            Some(Authorization::Basic { password: secret, .. } | Authorization::Bearer(secret)) => {
                Some(&secret.source)
            }
            None => None,
        };
        let key = self.certificate.as_ref().map(|certificate| &certificate.key.source);
        let psk = self.psk.as_ref().map(|psk| &psk.source);
        let mut all = [secret, key, psk].into_iter().flatten();
        all.any(|source| matches!(source, KeySource::Credential(_)))
    }
}

/// Alike is what says the same, wherever it stands in the file.
impl PartialEq for PackageSource {
    fn eq(&self, other: &Self) -> bool {
        let psk = |it: &Self| it.psk.as_ref().map(|psk| psk.identity.clone());
        let has_same_key = match (&self.psk, &other.psk) {
            (Some(one), Some(other)) => is_same(&one.source, &other.source),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.origin == other.origin
            && self.ca == other.ca
            && self.authorization == other.authorization
            && self.certificate == other.certificate
            && psk(self) == psk(other)
            && has_same_key
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.key == other.key
    }
}

impl PartialEq for SecretSettings {
    fn eq(&self, other: &Self) -> bool {
        is_same(&self.source, &other.source)
    }
}

/// Whether two sources name the same place or are the same secret.
fn is_same(one: &KeySource, other: &KeySource) -> bool {
    match (one, other) {
        (KeySource::Credential(one), KeySource::Credential(other)) => one == other,
        (KeySource::File(one), KeySource::File(other)) => one == other,
        (KeySource::Hex(one), KeySource::Hex(other))
        | (KeySource::Base64(one), KeySource::Base64(other)) => one.expose() == other.expose(),
        _ => false,
    }
}

/// Where a text is.
#[derive(Debug, Clone)]
pub enum TextSource {
    /// In the configuration.
    Text(String),
    /// In a systemd credential of this name.
    Credential(String, Position),
    /// In a file.
    File(PathBuf, Position),
}

impl Config {
    /// The Endpoint Client Name: the configured one, or `urn:uuid:` with the
    /// identifier that `machine` derives from the machine-id (never the machine-id
    /// itself, which would tell the server what other programs use).
    ///
    /// # Errors
    /// [`ConfigError`] if there is neither.
    pub fn endpoint(
        &self,
        machine: impl FnOnce() -> Option<[u8; 16]>,
    ) -> Result<String, ConfigError> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        machine().map(endpoint_of).ok_or_else(|| ConfigError::Unreadable {
            path: self.files.first().cloned().unwrap_or_default(),
            message: "endpoint: missing, and this system has no machine-id to derive one from"
                .into(),
        })
    }

    /// What the engine is made with.
    pub fn engine_config(&self, endpoint: String, boot: BootId, seed: [u8; 32]) -> EngineConfig {
        EngineConfig {
            endpoint,
            version: self.version,
            min_version: self.min_version,
            bindings: BINDINGS.into(),
            accounts: self.servers.iter().map(|server| server.account.clone()).collect(),
            coap: lwm2m_coap::Config::default(),
            boot,
            seed,
        }
    }
}

/// The endpoint name of a machine whose derived identifier is `id`.
pub fn endpoint_of(id: [u8; 16]) -> String {
    format!("urn:uuid:{}", uuid_text(id))
}

/// `6ba7b810-9dad-11d1-80b4-00c04fd430c8`.
fn uuid_text(id: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in id.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Names lwm2md where an identifier is derived from the machine-id, so that other
/// programs derive others.
pub const APPLICATION_ID: [u8; 16] = 0x010c_d5f9_c333_4df2_96ae_e5cd_5d86_1450_u128.to_be_bytes();

/// The trial of a new system where none is configured.
const DEFAULT_TRIAL: Duration = Duration::from_secs(900);

/// Bindings built into this version, as `/3/0/16` lists them.
pub const BINDINGS: &str = "U";

#[cfg(test)]
mod tests;
