//! The objects of the device that the agent serves by itself, but for Firmware Update.

use std::path::Path;

use lwm2m_objects::{
    ApnProfiles, AppDataConfig, BusHandle, CellularConnectivity, ConnectivityMonitoring,
    ConnectivityStatistics, Device, DeviceConfig, EventLog, Location, LocationConfig, LockAndWipe,
    LockAndWipeConfig, Modems, ObjectHost, Reached, Roots, WlanConnectivity, app_data, portfolio,
    sensors,
};

use crate::config::{EventLogSource, Sensors};

/// What the objects stand on.
pub(crate) struct Place<'a> {
    /// The state directory.
    pub(crate) state: &'a Path,
    /// The directories of the system.
    pub(crate) roots: &'a Roots,
    pub(crate) bus: BusHandle,
    /// Hears when a server has answered.
    pub(crate) reached: Reached,
}

/// What is configured of the objects.
pub(crate) struct Settings {
    pub(crate) device: DeviceConfig,
    pub(crate) sensors: Sensors,
    pub(crate) location: Option<LocationConfig>,
    pub(crate) lock_and_wipe: Option<LockAndWipeConfig>,
    pub(crate) portfolio: Vec<String>,
    pub(crate) binary_app_data: Option<AppDataConfig>,
    pub(crate) event_log: EventLogSource,
}

/// Adds them.
pub(crate) fn add(objects: &mut ObjectHost, settings: Settings, place: &Place<'_>) {
    let Place { state, roots, bus, reached } = place;
    let out = objects.sender();
    if settings.sensors == Sensors::Shown {
        sensors(roots, &out).for_each(|object| objects.add(object));
    }
    objects.add(Box::new(Device::new(settings.device, (*roots).clone(), bus.clone(), out)));
    if let Some(location) = settings.location {
        objects.add(Box::new(Location::new(location, bus.clone(), objects.sender())));
    }
    let modems = Modems::new(bus.clone());
    let out = objects.sender();
    objects.add(Box::new(ConnectivityMonitoring::new((*roots).clone(), &modems, out)));
    let out = objects.sender();
    objects.add(Box::new(ConnectivityStatistics::new((*roots).clone(), state, out)));
    let out = objects.sender();
    objects.add(Box::new(CellularConnectivity::new(state, bus.clone(), &modems, out)));
    let out = objects.sender();
    objects.add(Box::new(ApnProfiles::new(bus.clone(), &modems, reached.clone(), out)));
    if let Some(targets) = settings.lock_and_wipe {
        objects.add(Box::new(LockAndWipe::new(targets, state, bus.clone(), objects.sender())));
    }
    if !settings.portfolio.is_empty() {
        objects.add(Box::new(portfolio(settings.portfolio, state, objects.sender())));
    }
    if let Some(config) = &settings.binary_app_data {
        objects.add(Box::new(app_data(config, state, objects.sender())));
    }
    let (out, reached) = (objects.sender(), reached.clone());
    objects.add(Box::new(WlanConnectivity::new((*roots).clone(), bus.clone(), reached, out)));
    if settings.event_log == EventLogSource::Journal {
        objects.add(Box::new(EventLog::new((*roots).clone(), state, objects.sender())));
    }
}
