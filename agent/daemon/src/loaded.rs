//! A configuration together with what it only names: keys and the serial number.

use std::collections::HashMap;
use std::path::Path;

use crate::config::{self, Config, ConfigError};
use lwm2m_objects::DeviceConfig;
use lwm2m_transport::LinkSecurity;

use crate::program::{credentials_directory, machine};
use crate::sources::Sources;

/// A configuration with its keys.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) endpoint: String,
    pub(crate) credentials: HashMap<u16, LinkSecurity>,
    pub(crate) device: DeviceConfig,
    /// Until the start has taken them.
    pub(crate) sources: Option<Sources>,
}

impl Loaded {
    /// Reads the files of the configuration whose main file is `main`, and the keys they
    /// name.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(crate) fn read(main: &Path) -> Result<Self, Vec<ConfigError>> {
        let files = config::files(main).map_err(|error| vec![error])?;
        let config = config::load(&files)?;
        let directory = credentials_directory();
        let mut errors = Vec::new();
        let endpoint = config.endpoint(machine).map_err(|error| errors.push(error));
        let credentials =
            config.credentials(directory.as_deref()).map_err(|found| errors.extend(found));
        let sources =
            Sources::load(&config, directory.as_deref()).map_err(|found| errors.extend(found));
        let serial = config.device.serial(directory.as_deref()).map_err(|error| errors.push(error));
        let (Ok(endpoint), Ok(credentials), Ok(sources), Ok(serial)) =
            (endpoint, credentials, sources, serial)
        else {
            return Err(errors);
        };
        let credentials =
            credentials.into_iter().map(|(server, psk)| (server, LinkSecurity::Psk(psk))).collect();
        let device = device(&config, serial);
        Ok(Self { config, endpoint, credentials, device, sources: Some(sources) })
    }
}

fn device(config: &Config, serial: Option<String>) -> DeviceConfig {
    let device = &config.device;
    DeviceConfig {
        manufacturer: device.manufacturer.clone(),
        model: device.model.clone(),
        serial,
        device_type: device.device_type.clone(),
        hardware_version: device.hardware_version.clone(),
        software_version: device.software_version.clone(),
        ..DeviceConfig::new(config::BINDINGS)
    }
}
