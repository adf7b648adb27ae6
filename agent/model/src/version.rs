//! Versions of objects and of the enabler: `major.minor`.

use std::fmt;
use std::str::FromStr;

use crate::digits;

/// A version `major.minor` of an object or of LwM2M itself (Core 2.4, 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Raised by a breaking change.
    pub major: u8,
    /// Raised by an addition.
    pub minor: u8,
}

impl Version {
    /// LwM2M 1.0.
    pub const V1_0: Self = Self::new(1, 0);
    /// LwM2M 1.1, which 1.1.1 declares too.
    pub const V1_1: Self = Self::new(1, 1);
    /// LwM2M 1.2, which 1.2.1 and 1.2.2 declare too.
    pub const V1_2: Self = Self::new(1, 2);

    /// A version from its parts.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('.')
            .and_then(|(major, minor)| {
                Some(Self::new(digits::parse(major)?, digits::parse(minor)?))
            })
            .ok_or(ParseVersionError)
    }
}

/// The text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a version such as 1.2")]
pub struct ParseVersionError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_print_and_order() {
        assert_eq!("1.2".parse(), Ok(Version::V1_2));
        assert_eq!(Version::V1_1.to_string(), "1.1");
        assert!(Version::V1_0 < Version::V1_1);
        for wrong in ["1", "1.", ".2", "1.2.2", "a.b", "+1.2", "1.300", ""] {
            assert_eq!(wrong.parse::<Version>(), Err(ParseVersionError), "{wrong}");
        }
    }
}
