//! The objects of a Linux device: what they hold, where its values come from,
//! and the host that calls them.
//!
//! [`ObjectHost`] stands between engine and objects; [`Device`] is the Device
//! object (3), [`Location`] Location (6), [`sensors()`] are those of the kernel,
//! [`InMemory`] is an object of any definition. Wire formats, attributes and access rights
//! are the engine's.

mod apn;
mod bus;
mod cellular;
mod connectivity;
mod content;
mod device;
pub mod durable;
mod event_log;
mod follow;
mod host;
mod kept;
mod location;
mod lock_and_wipe;
pub mod machine_id;
mod memory;
mod modems;
mod object;
mod observed;
mod roots;
mod secret;
mod sensors;
mod slots;
mod source;
pub mod sources;
mod statistics;
mod tasks;
mod trial;
mod wlan;

pub use apn::ApnProfiles;
pub use bus::{BusHandle, is_service_missing, rules_of};
pub use cellular::CellularConnectivity;
pub use connectivity::ConnectivityMonitoring;
pub use device::{Device, DeviceConfig, can_reboot, reboot};
pub use event_log::EventLog;
pub use host::{CALL_TIME_LIMIT, ObjectHost, QUEUE_LIMIT};
pub use kept::{
    AppDataConfig, Keeping, KeptObject, MAX_APP_DATA, MAX_IDENTITIES, app_data, portfolio,
};
pub use location::{
    GPSD_ADDRESS, Location, LocationConfig, MAX_ALTITUDE, MAX_LATITUDE, MAX_LONGITUDE, Place,
};
pub use lock_and_wipe::{LockAndWipe, LockAndWipeConfig};
pub use lwm2m_memory::MemoryObject;
pub use memory::InMemory;
pub use modems::Modems;
pub use object::{Answer, Object, ObjectMessage};
pub use roots::Roots;
pub use sensors::sensors;
pub use sources::network_manager::mobile::MAX_MOBILES as MAX_APN_PROFILES;
pub use sources::systemd1::{UnitCause, UnitFailure, is_instance_name, run_unit};
pub use statistics::ConnectivityStatistics;
pub use trial::Reached;
pub use wlan::WlanConnectivity;
