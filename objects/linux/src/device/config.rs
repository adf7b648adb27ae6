//! What the operator and the daemon say about the device.

/// Values that the configuration gives; an empty text counts as not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Manufacturer (0).
    pub manufacturer: Option<String>,
    /// Model Number (1).
    pub model: Option<String>,
    /// Serial Number (2).
    pub serial: Option<String>,
    /// Device Type (17).
    pub device_type: Option<String>,
    /// Hardware Version (18).
    pub hardware_version: Option<String>,
    /// Software Version (19), such as that of the agent's package.
    pub software_version: Option<String>,
    /// Supported Binding and Modes (16): exactly the bindings built in and
    /// enabled, such as `U` (OBJ-68).
    pub bindings: String,
}

impl DeviceConfig {
    /// A configuration that gives the bindings alone.
    pub fn new(bindings: impl Into<String>) -> Self {
        Self {
            manufacturer: None,
            model: None,
            serial: None,
            device_type: None,
            hardware_version: None,
            software_version: None,
            bindings: bindings.into(),
        }
    }
}
