//! Fetches what the configuration only names: keys and the serial number, from
//! systemd credentials and files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use lwm2m_security::{Psk, credential_file};

use crate::config::{Config, ConfigError, DeviceSettings, Position, Server, TextSource};

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
        let Some(psk) = &self.psk else { return Ok(None) };
        let wrong = |message: String| ConfigError::new(&psk.at, &psk.key, message);
        let key = psk.source.load(directory).map_err(|error| wrong(error.to_string()))?;
        Psk::new(psk.identity.as_str(), key).map(Some).map_err(|error| wrong(error.to_string()))
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
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_LINE + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_LINE {
        return Err(wrong(format!("longer than {MAX_LINE} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("is no UTF-8 text".into()))?;
    match text.trim() {
        "" => Err(wrong("is empty".into())),
        line if line.chars().any(char::is_control) => Err(wrong("has more than one line".into())),
        line => Ok(line.to_owned()),
    }
}

const SERIAL: &str = "objects.device.serial";
/// What `/3/0/2` may hold.
const MAX_LINE: u64 = 255;
