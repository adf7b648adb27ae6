//! SIGHUP: what can change in a running agent does, the rest is named.

use crate::cli::Cli;
use crate::config::{DownloadSettings, EventLogSource, FirmwareSettings, Sensors, Server};
use lwm2m_objects::{AppDataConfig, DeviceConfig, LocationConfig, LockAndWipeConfig};
use lwm2m_transport::LinkSecurity;
use tracing::{error, info, warn};

use crate::agent::Agent;
use crate::loaded::Loaded;

/// What is settled at the start.
pub(crate) struct Fixed {
    endpoint: String,
    version: lwm2m_model::Version,
    min_version: lwm2m_model::Version,
    device: DeviceConfig,
    sensors: Sensors,
    location: Option<LocationConfig>,
    lock_and_wipe: Option<LockAndWipeConfig>,
    portfolio: Vec<String>,
    binary_app_data: Option<AppDataConfig>,
    event_log: EventLogSource,
    firmware: FirmwareSettings,
    downloads: DownloadSettings,
}

impl Fixed {
    pub(crate) fn of(loaded: &Loaded) -> Self {
        Self {
            endpoint: loaded.endpoint.clone(),
            version: loaded.config.version,
            min_version: loaded.config.min_version,
            device: loaded.device.clone(),
            sensors: loaded.config.sensors,
            location: loaded.config.location.clone(),
            lock_and_wipe: loaded.config.lock_and_wipe.clone(),
            portfolio: loaded.config.portfolio.clone(),
            binary_app_data: loaded.config.binary_app_data.clone(),
            event_log: loaded.config.event_log,
            firmware: loaded.config.firmware.clone(),
            downloads: loaded.config.downloads.clone(),
        }
    }

    /// Says which settings of `loaded` have to wait for the next start.
    fn name_differences(&self, loaded: &Loaded) {
        for (key, differs) in [
            ("endpoint", loaded.endpoint != self.endpoint),
            ("lwm2m_version", loaded.config.version != self.version),
            ("min_lwm2m_version", loaded.config.min_version != self.min_version),
            ("objects.device", loaded.device != self.device),
            ("objects.sensors", loaded.config.sensors != self.sensors),
            ("objects.location", loaded.config.location != self.location),
            ("objects.lock_and_wipe", loaded.config.lock_and_wipe != self.lock_and_wipe),
            ("objects.portfolio", loaded.config.portfolio != self.portfolio),
            ("objects.binary_app_data", loaded.config.binary_app_data != self.binary_app_data),
            ("objects.event_log", loaded.config.event_log != self.event_log),
            (
                "objects.firmware",
                loaded.config.firmware != self.firmware
                    || loaded.config.downloads != self.downloads,
            ),
        ] {
            if differs {
                warn!("{key} has changed; the new value counts from the next start of lwm2md");
            }
        }
    }
}

/// Reads the configuration again. One with faults changes nothing.
pub(crate) fn reload(cli: &Cli, fixed: &Fixed, current: &mut Loaded, agent: &mut Agent) {
    let loaded = match Loaded::read(&cli.config) {
        Ok(loaded) => loaded,
        Err(errors) => {
            for error in errors {
                error!("{error}");
            }
            return warn!("the configuration has faults; the one read before stays in force");
        }
    };
    fixed.name_differences(&loaded);
    let changed = name_changes(current, &loaded);
    let accounts = loaded.config.servers.iter().map(|server| server.account.clone()).collect();
    agent.reconfigure(accounts, loaded.credentials.clone(), &changed);
    *current = loaded;
    match changed.len() {
        0 => info!("the configuration was read again; no server account has changed"),
        _ => info!("the configuration was read again"),
    }
}

/// Says which accounts have changed; gives those that are there.
fn name_changes(current: &Loaded, loaded: &Loaded) -> Vec<u16> {
    for server in &current.config.servers {
        let id = server.account.short_server_id;
        if find(loaded, id).is_none() {
            info!(server = id, "server {id}: removed from the configuration");
        }
    }
    let mut changed = Vec::new();
    for server in &loaded.config.servers {
        let id = server.account.short_server_id;
        match find(current, id) {
            None => info!(server = id, "server {id}: added to the configuration"),
            Some(before) if before.account != server.account => {
                info!(server = id, "server {id}: its account has changed");
            }
            Some(_) if !has_same_key(current, loaded, id) => {
                info!(
                    server = id,
                    "server {id}: its key has changed; the new one counts from the next handshake"
                );
            }
            Some(_) => continue,
        }
        changed.push(id);
    }
    changed
}

fn find(loaded: &Loaded, id: u16) -> Option<&Server> {
    loaded.config.servers.iter().find(|server| server.account.short_server_id == id)
}

fn has_same_key(current: &Loaded, loaded: &Loaded, id: u16) -> bool {
    match (current.credentials.get(&id), loaded.credentials.get(&id)) {
        (Some(LinkSecurity::Psk(before)), Some(LinkSecurity::Psk(after))) => {
            before.key().expose() == after.key().expose()
        }
        (before, after) => before.is_none() && after.is_none(),
    }
}
