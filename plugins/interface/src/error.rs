//! The D-Bus errors of the daemon, and the exit code each means to a program.

use lwm2m_model::{Code, RequestError};
use zbus::DBusError;

/// Why the daemon refuses: `org.lwm2md.Error.*`, with the reason as text.
#[derive(Debug, Clone, DBusError)]
#[zbus(prefix = "org.lwm2md.Error")]
#[non_exhaustive]
pub enum AgentError {
    /// The call did not get through, or something else than the daemon refused it.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// Nothing at this path (4.04), or no such server or observation.
    NotFound(String),
    /// The target does not allow the operation (4.05).
    MethodNotAllowed(String),
    /// A bad path, value, argument or attribute (4.00 and its relatives).
    BadRequest(String),
    /// Not allowed (4.01, 4.03).
    Unauthorized(String),
    /// No such representation (4.06).
    NotAcceptable(String),
    /// Busy, try again (5.03).
    Busy(String),
    /// Anything else.
    Failed(String),
}

impl AgentError {
    /// The reason in words, without the name of the error.
    pub fn reason(&self) -> String {
        match self {
            Self::ZBus(error) => match error {
                zbus::Error::MethodError(name, text, _) => {
                    text.clone().unwrap_or_else(|| name.to_string())
                }
                other => other.to_string(),
            },
            Self::NotFound(reason)
            | Self::MethodNotAllowed(reason)
            | Self::BadRequest(reason)
            | Self::Unauthorized(reason)
            | Self::NotAcceptable(reason)
            | Self::Busy(reason)
            | Self::Failed(reason) => reason.clone(),
        }
    }

    /// What a program that was refused exits with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotFound(_) => Exit::NotFound,
            Self::MethodNotAllowed(_) | Self::Unauthorized(_) => Exit::NotAllowed,
            Self::BadRequest(_) => Exit::Usage,
            Self::NotAcceptable(_) | Self::Busy(_) | Self::Failed(_) => Exit::Failed,
            Self::ZBus(error) => exit_of_bus_error(error),
        }
    }
}

impl From<RequestError> for AgentError {
    fn from(error: RequestError) -> Self {
        let reason = if error.reason.is_empty() {
            format!("{} {}", error.code, error.code.name())
        } else {
            error.reason.into_owned()
        };
        match error.code {
            Code::NOT_FOUND => Self::NotFound(reason),
            Code::METHOD_NOT_ALLOWED => Self::MethodNotAllowed(reason),
            Code::UNAUTHORIZED | Code::FORBIDDEN => Self::Unauthorized(reason),
            Code::NOT_ACCEPTABLE => Self::NotAcceptable(reason),
            Code::SERVICE_UNAVAILABLE => Self::Busy(reason),
            code if code.class() == 4 => Self::BadRequest(reason),
            _ => Self::Failed(reason),
        }
    }
}

/// The exit codes of our programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// The daemon cannot be reached.
    Unreachable = 3,
    /// Not found.
    NotFound = 4,
    /// Not allowed.
    NotAllowed = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn exit_of_bus_error(error: &zbus::Error) -> Exit {
    use zbus::fdo;
    match error {
        zbus::Error::InputOutput(_) | zbus::Error::Handshake(_) => Exit::Unreachable,
        zbus::Error::FDO(standard) => match standard.as_ref() {
            fdo::Error::ServiceUnknown(_)
            | fdo::Error::NameHasNoOwner(_)
            | fdo::Error::NoReply(_)
            | fdo::Error::Timeout(_)
            | fdo::Error::TimedOut(_)
            | fdo::Error::NoServer(_)
            | fdo::Error::Disconnected(_)
            | fdo::Error::UnknownObject(_) => Exit::Unreachable,
            fdo::Error::AccessDenied(_)
            | fdo::Error::AuthFailed(_)
            | fdo::Error::InteractiveAuthorizationRequired(_) => Exit::NotAllowed,
            fdo::Error::InvalidArgs(_) => Exit::Usage,
            fdo::Error::ZBus(inner) => exit_of_bus_error(inner),
            // The rest of the standard errors says that this daemon is another
            // version than we are, or that the bus itself has failed.
            _ => Exit::Failed,
        },
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_errors_and_exit_codes() {
        let cases = [
            (Code::BAD_REQUEST, "BadRequest", 2),
            (Code::UNAUTHORIZED, "Unauthorized", 5),
            (Code::BAD_OPTION, "BadRequest", 2),
            (Code::FORBIDDEN, "Unauthorized", 5),
            (Code::NOT_FOUND, "NotFound", 4),
            (Code::METHOD_NOT_ALLOWED, "MethodNotAllowed", 5),
            (Code::NOT_ACCEPTABLE, "NotAcceptable", 1),
            (Code::CONFLICT, "BadRequest", 2),
            (Code::REQUEST_ENTITY_TOO_LARGE, "BadRequest", 2),
            (Code::UNSUPPORTED_CONTENT_FORMAT, "BadRequest", 2),
            (Code::INTERNAL_SERVER_ERROR, "Failed", 1),
            (Code::NOT_IMPLEMENTED, "Failed", 1),
            (Code::SERVICE_UNAVAILABLE, "Busy", 1),
        ];
        for (code, name, exit) in cases {
            let error = AgentError::from(RequestError::new(code, "why"));
            let full = format!("org.lwm2md.Error.{name}");
            assert_eq!(DBusError::name(&error).as_str(), full, "{code}");
            assert_eq!(error.exit() as u8, exit, "{code}");
            assert_eq!(error.reason(), "why");
        }
        let bare = AgentError::from(RequestError::new(Code::NOT_FOUND, ""));
        assert_eq!(bare.reason(), "4.04 Not Found");
    }

    #[test]
    fn errors_of_the_bus_become_exit_codes() {
        use zbus::fdo;
        let cases = [
            (fdo::Error::ServiceUnknown(String::new()), Exit::Unreachable),
            (fdo::Error::NoReply(String::new()), Exit::Unreachable),
            (fdo::Error::AccessDenied(String::new()), Exit::NotAllowed),
            (fdo::Error::UnknownMethod(String::new()), Exit::Failed),
        ];
        for (error, exit) in cases {
            let shown = error.to_string();
            assert_eq!(AgentError::ZBus(error.into()).exit(), exit, "{shown}");
        }
    }
}
