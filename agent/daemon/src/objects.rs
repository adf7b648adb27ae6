//! The objects of the device that the agent serves by itself, but for Firmware Update.

use std::path::Path;

use lwm2m_objects::{BusHandle, Device, DeviceConfig, ObjectHost, Roots};

/// What the objects stand on.
pub(crate) struct Place<'a> {
    /// The state directory.
    pub(crate) state: &'a Path,
    /// The directories of the system.
    pub(crate) roots: &'a Roots,
    pub(crate) bus: BusHandle,
}

/// Adds them.
pub(crate) fn add(objects: &mut ObjectHost, device: DeviceConfig, place: &Place<'_>) {
    let Place { state: _, roots, bus } = place;
    let out = objects.sender();
    objects.add(Box::new(Device::new(device, (*roots).clone(), bus.clone(), out)));
}
