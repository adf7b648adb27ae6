//! Fetches what the configuration only names: keys and the serial number, from
//! systemd credentials and files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use lwm2m_security::{ClientCertificate, Psk, Secret, credential_file};
use lwm2m_transport::{CredentialsError, OriginCredentials, PackageScheme};

use crate::config::{
    Authorization, Certificate, Config, ConfigError, DeviceSettings, PackageSource, Position,
    PskSettings, SecretSettings, Server, TextSource,
};

impl Config {
    /// The key of each server with one, by Short Server ID. `directory` is
    /// systemd's `CREDENTIALS_DIRECTORY`, if it set one.
    ///
    /// # Errors
    /// Every key that cannot be had; content is never quoted.
    pub fn credentials(
        &self,
        directory: Option<&Path>,
    ) -> Result<BTreeMap<u16, Psk>, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut credentials = BTreeMap::new();
        for server in &self.servers {
            match server.credentials(directory) {
                Ok(Some(found)) => {
                    credentials.insert(server.account.short_server_id, found);
                }
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(credentials) } else { Err(errors) }
    }
}

impl Server {
    /// The credentials of this server; `None` for NoSec.
    ///
    /// # Errors
    /// [`ConfigError`] at the place that names the key.
    pub fn credentials(&self, directory: Option<&Path>) -> Result<Option<Psk>, ConfigError> {
        self.psk.as_ref().map(|psk| psk.load(directory)).transpose()
    }
}

impl PskSettings {
    /// The key.
    ///
    /// # Errors
    /// [`ConfigError`] at the place that names it.
    pub fn load(&self, directory: Option<&Path>) -> Result<Psk, ConfigError> {
        let wrong = |message: String| ConfigError::new(&self.at, &self.key, message);
        let key = self.source.load(directory).map_err(|error| wrong(error.to_string()))?;
        Psk::new(self.identity.as_str(), key).map_err(|error| wrong(error.to_string()))
    }
}

impl SecretSettings {
    /// The secret, which is text.
    ///
    /// # Errors
    /// [`ConfigError`] at the place that names it.
    pub fn load(&self, directory: Option<&Path>) -> Result<Secret, ConfigError> {
        self.source.load_text(directory).map_err(|error| self.wrong(error.to_string()))
    }

    fn wrong(&self, message: String) -> ConfigError {
        ConfigError::new(&self.at, &self.key, message)
    }
}

impl PackageSource {
    /// What HTTP is to use for this origin; `None` for another protocol.
    ///
    /// # Errors
    /// [`ConfigError`] at the place that names a secret that cannot be had or used.
    pub fn http(&self, directory: Option<&Path>) -> Result<Option<OriginCredentials>, ConfigError> {
        let wrong = |message: String| ConfigError::new(&self.at, &self.key, message);
        if matches!(self.origin.scheme(), PackageScheme::Coap | PackageScheme::Coaps) {
            return Ok(None);
        }
        let refused = |error: CredentialsError| wrong(error.to_string());
        let mut credentials = OriginCredentials::new(self.origin.clone()).map_err(refused)?;
        if let Some(file) = &self.ca {
            credentials = credentials.with_ca(file.clone()).map_err(refused)?;
        }
        if let Some(Certificate { file, at, key }) = &self.certificate {
            let place = format!("{}.certificate", self.key);
            let wrong = |message: String| ConfigError::new(at, &place, message);
            let text = read_bytes(file, MAX_CERTIFICATES)
                .map_err(|message| wrong(format!("{}: {message}", file.display())))?;
            let certificate = ClientCertificate::from_pem(&text, &key.load(directory)?);
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            credentials = credentials.with_certificate(certificate).map_err(refused)?;
        }
        match &self.authorization {
            None => Ok(Some(credentials)),
            Some(Authorization::Basic { user, password }) => {
                let set = credentials.with_basic(user, &password.load(directory)?);
                set.map(Some).map_err(|error| password.wrong(error.to_string()))
            }
            Some(Authorization::Bearer(token)) => {
                let set = credentials.with_bearer(&token.load(directory)?);
                set.map(Some).map_err(|error| token.wrong(error.to_string()))
            }
        }
    }
}

impl DeviceSettings {
    /// The Serial Number, if one is configured.
    ///
    /// # Errors
    /// [`ConfigError`] if its file or credential cannot be read, or holds no line of
    /// 1 to 255 bytes of text.
    pub fn serial(&self, directory: Option<&Path>) -> Result<Option<String>, ConfigError> {
        match &self.serial {
            None => Ok(None),
            Some(TextSource::Text(text)) => Ok(Some(text.clone())),
            Some(TextSource::File(path, at)) => read_line(path, at).map(Some),
            Some(TextSource::Credential(name, at)) => {
                let path = credential_file(name, directory)
                    .map_err(|error| ConfigError::new(at, SERIAL, error.to_string()))?;
                read_line(&path, at).map(Some)
            }
        }
    }
}

/// One line of text; blanks around it do not count.
fn read_line(path: &Path, at: &Position) -> Result<String, ConfigError> {
    let wrong =
        |message: String| ConfigError::new(at, SERIAL, format!("{}: {message}", path.display()));
    let bytes = read_bytes(path, MAX_LINE).map_err(wrong)?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is no UTF-8 text".into()))?;
    match text.trim() {
        "" => Err(wrong("is empty".into())),
        line if line.chars().any(char::is_control) => Err(wrong("has more than one line".into())),
        line => Ok(line.to_owned()),
    }
}

/// A file as it is, up to `max` bytes; the error does not name it.
fn read_bytes(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > max {
        return Err(format!("longer than {max} bytes"));
    }
    Ok(bytes)
}

/// A certificate and its chain.
const MAX_CERTIFICATES: u64 = 64 * 1024;
const SERIAL: &str = "objects.device.serial";
/// What `/3/0/2` may hold.
const MAX_LINE: u64 = 255;
