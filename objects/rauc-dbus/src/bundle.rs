//! What RAUC says about a bundle (`InspectBundle`, before RAUC 1.9 `Info`).

use crate::value::Dictionary;

/// A bundle whose signature RAUC has checked. `Info` gives the compatible and the
/// version alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleInfo {
    /// The hardware it is for.
    pub compatible: String,
    /// Its version; a manifest may have none.
    pub version: Option<String>,
    /// Words for people.
    pub description: Option<String>,
    /// The build.
    pub build: Option<String>,
    /// SHA-256 of the manifest, in hexadecimal; not of a `plain` bundle.
    pub manifest_hash: Option<String>,
    /// `plain`, `verity` or `crypt`.
    pub format: Option<String>,
    /// Size of the hash tree in bytes, of a `verity` or `crypt` bundle.
    pub verity_size: Option<u64>,
    /// The images, in the order of the manifest.
    pub images: Vec<BundleImage>,
}

/// An image in a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleImage {
    /// The class of slots that it is for.
    pub slot_class: Option<String>,
    /// The variant of the hardware that it is for.
    pub variant: Option<String>,
    /// Its name in the bundle.
    pub filename: Option<String>,
    /// How it is written: `raw`, `ext4` and so on.
    pub image_type: Option<String>,
    /// SHA-256, in hexadecimal.
    pub checksum: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    /// Steps of the installation that scripts in the bundle replace or surround.
    pub hooks: Vec<String>,
}

impl BundleInfo {
    /// The answer of `Info`.
    pub(crate) fn short(compatible: String, version: String) -> Self {
        let version = Some(version).filter(|version| !version.is_empty());
        Self { compatible, version, ..Self::default() }
    }

    /// The answer of `InspectBundle`; `None` without a compatible, which every
    /// manifest has.
    pub(crate) fn of(manifest: &Dictionary) -> Option<Self> {
        let update = manifest.dictionary("update");
        let bundle = manifest.dictionary("bundle");
        Some(Self {
            compatible: update.text("compatible")?,
            version: update.text("version"),
            description: update.text("description"),
            build: update.text("build"),
            manifest_hash: manifest.text("manifest-hash"),
            format: bundle.text("format"),
            verity_size: bundle.number("verity-size"),
            images: manifest.dictionaries("images").iter().map(BundleImage::of).collect(),
        })
    }
}

impl BundleImage {
    fn of(image: &Dictionary) -> Self {
        Self {
            slot_class: image.text("slot-class"),
            variant: image.text("variant"),
            filename: image.text("filename"),
            image_type: image.text("type"),
            checksum: image.text("checksum"),
            size: image.number("size"),
            hooks: image.texts("hooks"),
        }
    }
}
