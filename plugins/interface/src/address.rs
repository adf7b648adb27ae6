//! Which bus the daemon is on, as both command lines say it.

use std::fmt;
use std::str::FromStr;

use zbus::connection::Builder;

/// A message bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusAddress {
    /// The system bus.
    System,
    /// The session bus of this user.
    Session,
    /// A D-Bus address, `unix:path=/run/bus`.
    Address(String),
}

impl BusAddress {
    /// A connection to this bus, to be built.
    pub fn builder(&self) -> Builder<'_> {
        match self {
            Self::System => Builder::system(),
            Self::Session => Builder::session(),
            Self::Address(address) => Builder::address(address.as_str()),
        }
    }

    /// What a person may try when this bus cannot be reached.
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::System => "is D-Bus running (systemctl status dbus)?",
            Self::Session => "is DBUS_SESSION_BUS_ADDRESS set?",
            Self::Address(_) => "is the address right?",
        }
    }
}

impl FromStr for BusAddress {
    type Err = BusAddressError;

    fn from_str(text: &str) -> Result<Self, BusAddressError> {
        match text {
            "system" => Ok(Self::System),
            "session" => Ok(Self::Session),
            // Every D-Bus address has a transport and a colon.
            address if address.contains(':') => Ok(Self::Address(address.to_owned())),
            _ => Err(BusAddressError),
        }
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the system bus"),
            Self::Session => f.write_str("the session bus"),
            Self::Address(address) => write!(f, "the bus {address}"),
        }
    }
}

/// The text names no bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected system, session or an address such as unix:path=/run/bus")]
pub struct BusAddressError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buses_are_words_or_addresses() {
        assert_eq!("system".parse(), Ok(BusAddress::System));
        assert_eq!("session".parse(), Ok(BusAddress::Session));
        let address = "unix:path=/run/bus";
        assert_eq!(address.parse(), Ok(BusAddress::Address(address.into())));
        for wrong in ["", "sesion", "none", "/run/bus"] {
            assert!(wrong.parse::<BusAddress>().is_err(), "{wrong}");
        }
    }
}
