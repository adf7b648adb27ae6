//! Why a request to RAUC gave nothing, told apart by what the caller can do about it.
//!
//! RAUC answers every failure with the same error name (the unmapped GError of
//! GDBus), so only its sentence tells a busy service from a refusal. The names of
//! the bus itself tell the rest.

use zbus::DBusError;
use zbus::fdo;

use crate::value::sentence;

/// What a request to RAUC may give.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request gave nothing. After [`Error::Bus`] and [`Error::ServiceGone`] it is
/// not known whether RAUC has acted; after any other error it has not.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed, or its time limit for calls is over.
    #[error("call {member} of RAUC: {source}")]
    Bus {
        /// The method or property.
        member: &'static str,
        /// What the connection says.
        source: zbus::Error,
    },
    /// RAUC does one thing at a time. Recognised by the sentence of the answer: a
    /// version that words it otherwise gives [`Error::Refused`], and so does `Info`
    /// of RAUC 1.8, which has one sentence for everything.
    #[error("RAUC is busy, so it refuses {member}")]
    Busy {
        /// The method.
        member: &'static str,
    },
    /// RAUC says no; its sentence is for the log, not for decisions.
    #[error("RAUC refuses {member}: {message}")]
    Refused {
        /// The method.
        member: &'static str,
        /// The sentence of RAUC, at most 4 KiB.
        message: String,
    },
    /// The policy of the bus does not let this user call RAUC.
    #[error("the bus denies {member} of RAUC: {message}")]
    Denied {
        /// The method or property.
        member: &'static str,
        /// The sentence of the bus.
        message: String,
    },
    /// RAUC is not on the bus and cannot be started, or it left during the call.
    #[error("RAUC is not on the bus, or left it during {member}: {message}")]
    ServiceGone {
        /// The method or property.
        member: &'static str,
        /// The sentence of the bus.
        message: String,
    },
    /// This version of RAUC lacks what was asked for.
    #[error("this version of RAUC does not know {what}")]
    Unsupported {
        /// A method, a property, or the key of an option.
        what: &'static str,
    },
    /// An answer of another shape than the interface has.
    #[error("{member} of RAUC: expected {expected}, got {got}")]
    Unexpected {
        /// The method or property.
        member: &'static str,
        /// A signature of D-Bus, or words.
        expected: &'static str,
        /// A signature of D-Bus, or words.
        got: String,
    },
}

impl Error {
    /// What an error answer to `member` means.
    pub(crate) fn of_call(member: &'static str, error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, text, _) if is_start_failure(&name) => {
                Self::ServiceGone { member, message: text.unwrap_or_else(|| name.to_string()) }
            }
            zbus::Error::MethodError(name, text, _) => {
                Self::refusal(member, &text.unwrap_or_else(|| name.to_string()))
            }
            zbus::Error::FDO(standard) => Self::of_standard(member, *standard),
            source => Self::Bus { member, source },
        }
    }

    fn of_standard(member: &'static str, error: fdo::Error) -> Self {
        let message = error.description().unwrap_or_default().to_owned();
        match error {
            fdo::Error::ZBus(inner) => Self::of_call(member, inner),
            fdo::Error::ServiceUnknown(_)
            | fdo::Error::NameHasNoOwner(_)
            | fdo::Error::NoReply(_)
            | fdo::Error::Disconnected(_) => Self::ServiceGone { member, message },
            _ if is_start_failure(&error.name()) => Self::ServiceGone { member, message },
            fdo::Error::AccessDenied(_)
            | fdo::Error::AuthFailed(_)
            | fdo::Error::InteractiveAuthorizationRequired(_) => Self::Denied { member, message },
            fdo::Error::UnknownMethod(_)
            | fdo::Error::UnknownInterface(_)
            | fdo::Error::UnknownObject(_)
            | fdo::Error::UnknownProperty(_) => Self::Unsupported { what: member },
            fdo::Error::Failed(_) | fdo::Error::InvalidArgs(_) => Self::refusal(member, &message),
            other => Self::Bus { member, source: other.into() },
        }
    }

    fn refusal(member: &'static str, message: &str) -> Self {
        if message.to_ascii_lowercase().contains(BUSY) {
            Self::Busy { member }
        } else {
            Self::Refused { member, message: sentence(message) }
        }
    }
}

/// True for the errors with which the bus or systemd says that it cannot start RAUC.
fn is_start_failure(name: &str) -> bool {
    name.starts_with("org.freedesktop.DBus.Error.Spawn.")
        || name.starts_with("org.freedesktop.systemd1.")
}

/// In lower case, since RAUC writes it both ways.
const BUSY: &str = "already processing a different method";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_bus_say_what_the_caller_can_do() {
        type Fits = fn(&Error) -> bool;
        let text = || "why".to_owned();
        let cases: [(fdo::Error, Fits); 9] = [
            (fdo::Error::ServiceUnknown(text()), |e| matches!(e, Error::ServiceGone { .. })),
            (fdo::Error::NameHasNoOwner(text()), |e| matches!(e, Error::ServiceGone { .. })),
            (fdo::Error::NoReply(text()), |e| matches!(e, Error::ServiceGone { .. })),
            (fdo::Error::SpawnExecFailed(text()), |e| matches!(e, Error::ServiceGone { .. })),
            (fdo::Error::AccessDenied(text()), |e| matches!(e, Error::Denied { .. })),
            (fdo::Error::UnknownMethod(text()), |e| {
                matches!(e, Error::Unsupported { what: "Mark" })
            }),
            (
                fdo::Error::Failed(text()),
                |e| matches!(e, Error::Refused { message, .. } if message == "why"),
            ),
            (fdo::Error::Failed("Already processing a different method".into()), |e| {
                matches!(e, Error::Busy { member: "Mark" })
            }),
            (fdo::Error::LimitsExceeded(text()), |e| matches!(e, Error::Bus { .. })),
        ];
        for (standard, fits) in cases {
            let shown = format!("{standard:?}");
            let error = Error::of_call("Mark", standard.into());
            assert!(fits(&error), "{shown} became {error:?}");
        }
    }

    #[test]
    fn a_failed_connection_is_told_with_the_member() {
        let error = Error::of_call("Mark", zbus::Error::InvalidReply);
        assert!(error.to_string().starts_with("call Mark of RAUC: "), "{error}");
    }
}
