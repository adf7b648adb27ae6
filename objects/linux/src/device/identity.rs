//! What does not change while the agent runs: maker, model, serial number and
//! versions. Read once, so that a Read of them costs nothing.

use lwm2m_model::Value;

use super::{DeviceConfig, resource as id};
use crate::Roots;
use crate::sources::{device_tree, dmi, os_release};

/// The constant resources; a text without source is absent.
pub(super) struct Identity {
    manufacturer: Option<String>,
    model: Option<String>,
    serial: Option<String>,
    firmware_version: Option<String>,
    bindings: String,
    device_type: Option<String>,
    hardware_version: Option<String>,
    software_version: Option<String>,
}

impl Identity {
    /// Asks the sources in their order; the first that answers wins.
    pub(super) fn read(config: DeviceConfig, roots: &Roots) -> Self {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let release = os_release::read(roots);
        let (proc, sys) = (&roots.proc, &roots.sys);
        Self {
            manufacturer: given(config.manufacturer)
                .or_else(|| device_tree::manufacturer(proc))
                .or_else(|| dmi::field(sys, "sys_vendor")),
            model: given(config.model)
                .or_else(|| device_tree::model(proc))
                .or_else(|| dmi::field(sys, "product_name")),
            serial: given(config.serial)
                .or_else(|| device_tree::serial(proc))
                .or_else(|| dmi::field(sys, "product_serial")),
            firmware_version: release.image_version.or(release.version_id).or(release.build_id),
            bindings: config.bindings,
            device_type: given(config.device_type)
                .or_else(|| dmi::chassis(sys).map(ToOwned::to_owned)),
            hardware_version: given(config.hardware_version)
                .or_else(|| dmi::field(sys, "product_version"))
                .or_else(|| dmi::field(sys, "board_version"))
                .or_else(|| device_tree::compatible(proc)),
            software_version: given(config.software_version).or(release.version),
        }
    }

    /// The value of a resource; `None` if it is absent or not one of these.
    pub(super) fn value(&self, resource: u16) -> Option<Value> {
        let text = match resource {
            id::MANUFACTURER => self.manufacturer.as_ref(),
            id::MODEL_NUMBER => self.model.as_ref(),
            id::SERIAL_NUMBER => self.serial.as_ref(),
            id::FIRMWARE_VERSION => self.firmware_version.as_ref(),
            id::BINDINGS => Some(&self.bindings),
            id::DEVICE_TYPE => self.device_type.as_ref(),
            id::HARDWARE_VERSION => self.hardware_version.as_ref(),
            id::SOFTWARE_VERSION => self.software_version.as_ref(),
            _ => None,
        };
        text.cloned().map(Value::String)
    }
}
