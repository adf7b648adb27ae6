//! What RAUC knows about a slot (`GetSlotStatus`).

use crate::value::Dictionary;

/// A slot. Everything is optional: which facts there are depends on the slot, its
/// history and the version of RAUC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotStatus {
    /// Class of slots that can stand in for each other, such as `rootfs`.
    pub class: Option<String>,
    /// Path of the device or file.
    pub device: Option<String>,
    /// How the slot is written: `raw`, `ext4` and so on.
    pub slot_type: Option<String>,
    /// Words of the configuration for people.
    pub description: Option<String>,
    /// Name of the slot that this one belongs to.
    pub parent: Option<String>,
    /// Where it is mounted now.
    pub mount_point: Option<String>,
    /// Whether the system runs from it.
    pub state: Option<SlotState>,
    /// Its name at the boot loader, if it can be booted.
    pub boot_name: Option<String>,
    /// What the boot loader thinks of it, if it can be booted.
    pub boot_status: Option<BootStatus>,
    /// The bundle installed last; nothing in a slot as it left the factory, and
    /// nothing reliable where `install_status` is not `ok`.
    pub bundle: InstalledBundle,
    /// How the last installation ended: `ok`; `update` or `pending` while it is
    /// written or after that was interrupted; `failed`.
    pub install_status: Option<String>,
    /// SHA-256 of the image, in hexadecimal.
    pub sha256: Option<String>,
    /// Size of the image in bytes.
    pub size: Option<u64>,
    /// When it was written last, ISO 8601.
    pub installed_timestamp: Option<String>,
    /// How often it was written.
    pub installed_count: Option<u64>,
    /// The transaction that wrote it last (newer versions).
    pub installed_transaction: Option<String>,
    /// When it was made the one to boot, ISO 8601.
    pub activated_timestamp: Option<String>,
    /// How often it was made the one to boot.
    pub activated_count: Option<u64>,
}

/// The bundle that a slot was written from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstalledBundle {
    /// The hardware it is for.
    pub compatible: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Words for people.
    pub description: Option<String>,
    /// The build.
    pub build: Option<String>,
    /// Hash of its manifest, in hexadecimal (newer versions).
    pub hash: Option<String>,
}

/// Whether the system runs from a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotState {
    /// The system was booted from it.
    Booted,
    /// In use beside the booted one, as its child.
    Active,
    /// Not in use: the next installation may write it.
    Inactive,
    /// A word of another version.
    Other(String),
}

impl From<String> for SlotState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "booted" => Self::Booted,
            "active" => Self::Active,
            "inactive" => Self::Inactive,
            _ => Self::Other(word),
        }
    }
}

/// What the boot loader thinks of a slot. Where boot loaders count tries, the booted
/// slot is `Bad` until it is marked good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootStatus {
    /// It may be booted.
    Good,
    /// It will not be booted.
    Bad,
    /// RAUC could not find out.
    Unknown,
    /// A word of another version.
    Other(String),
}

impl From<String> for BootStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "good" => Self::Good,
            "bad" => Self::Bad,
            "unknown" => Self::Unknown,
            _ => Self::Other(word),
        }
    }
}

impl From<Dictionary> for SlotStatus {
    fn from(facts: Dictionary) -> Self {
        Self {
            class: facts.text("class"),
            device: facts.text("device"),
            slot_type: facts.text("type"),
            description: facts.text("description"),
            parent: facts.text("parent"),
            mount_point: facts.text("mountpoint"),
            state: facts.text("state").map(Into::into),
            boot_name: facts.text("bootname"),
            boot_status: facts.text("boot-status").map(Into::into),
            bundle: InstalledBundle {
                compatible: facts.text("bundle.compatible"),
                version: facts.text("bundle.version"),
                description: facts.text("bundle.description"),
                build: facts.text("bundle.build"),
                hash: facts.text("bundle.hash"),
            },
            install_status: facts.text("status"),
            sha256: facts.text("sha256"),
            size: facts.number("size"),
            installed_timestamp: facts.text("installed.timestamp"),
            installed_count: facts.number("installed.count"),
            installed_transaction: facts.text("installed.transaction"),
            activated_timestamp: facts.text("activated.timestamp"),
            activated_count: facts.number("activated.count"),
        }
    }
}
