//! What RAUC says about itself in properties.

use zbus::Variant;

use crate::value::{plain, sentence, text};

/// The property `Operation`.
///
/// A hint only: RAUC sets it to `idle` when it refuses a second request, while the
/// first goes on. Only the end of an [`Installation`](crate::Installation) is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// `idle`
    Idle,
    /// `installing`
    Installing,
    /// A word of another version.
    Other(String),
}

impl From<&str> for Operation {
    fn from(word: &str) -> Self {
        match word {
            "idle" => Self::Idle,
            "installing" => Self::Installing,
            other => Self::Other(sentence(other)),
        }
    }
}

/// How far an installation or a check is.
///
/// A check of the bundle may run from 0 to 100 before the installation does; depth 1
/// with the message `Installing` starts anew. Steps may be skipped. 100 is no
/// success: that comes as [`Outcome`](crate::Outcome).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// The step, in English, such as `Copying image to rootfs.1`.
    pub message: String,
    /// 1 for the whole, more for steps within steps.
    pub depth: u8,
}

impl Progress {
    /// `None` unless the value is an `(isi)`.
    pub(crate) fn of(value: &Variant<'_>) -> Option<Self> {
        let Variant::Structure(structure) = plain(value) else { return None };
        let [percent, message, depth] = structure.fields() else { return None };
        let (Variant::I32(percent), Variant::I32(depth)) = (plain(percent), plain(depth)) else {
            return None;
        };
        let percent = u8::try_from((*percent).clamp(0, 100)).ok()?;
        let depth = u8::try_from((*depth).clamp(0, 255)).ok()?;
        let message = sentence(&text(message).unwrap_or_default());
        Some(Self { percent, message, depth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_clamped_and_its_shape_checked() {
        let progress = Progress::of(&Variant::new((140_i32, "Installing", -3_i32))).unwrap();
        assert_eq!((progress.percent, progress.depth), (100, 0));
        assert_eq!(progress.message, "Installing");
        assert_eq!(Progress::of(&Variant::new((0_i32, "", 0_i32))).unwrap().message, "");
        for other in [
            Variant::new("50"),
            Variant::new((50_i32, "Installing")),
            Variant::new((50_u32, "Installing", 1_i32)),
        ] {
            assert_eq!(Progress::of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn unknown_operations_are_kept_as_words() {
        assert_eq!(Operation::from("idle"), Operation::Idle);
        assert_eq!(Operation::from("installing"), Operation::Installing);
        assert_eq!(Operation::from("polling"), Operation::Other("polling".into()));
    }
}
