//! Why a command fails, in one line, and the exit code that says so.

use std::{fmt, io};

use lwm2m_bus::{AgentError, BusAddress, Exit};

#[derive(Debug)]
pub(crate) enum CtlError {
    /// No connection to the bus.
    Bus { bus: BusAddress, source: zbus::Error },
    /// The bus is there, the daemon is not.
    NoDaemon { bus: BusAddress },
    /// The bus does not let this user speak to the daemon.
    Denied { bus: BusAddress },
    /// The daemon has left the bus while we were listening.
    DaemonLeft,
    /// The result, which was printed, says it already.
    Told(Exit),
    /// The daemon has refused.
    Agent(AgentError),
    /// Wrong usage that the parser of the command line cannot see.
    Usage(String),
    /// The person at the terminal has not said yes.
    Declined,
    /// Standard output cannot be written, or the terminal not be used.
    Output(io::Error),
}

impl CtlError {
    /// What to make of an error of a call over `bus`.
    pub(crate) fn from_call(error: AgentError, bus: &BusAddress) -> Self {
        match &error {
            AgentError::ZBus(zbus::Error::FDO(standard))
                if matches!(
                    standard.as_ref(),
                    zbus::fdo::Error::ServiceUnknown(_)
                        | zbus::fdo::Error::NameHasNoOwner(_)
                        | zbus::fdo::Error::UnknownObject(_)
                ) =>
            {
                Self::NoDaemon { bus: bus.clone() }
            }
            // The daemon itself refuses by errors of its own.
            AgentError::ZBus(zbus::Error::FDO(standard))
                if matches!(standard.as_ref(), zbus::fdo::Error::AccessDenied(_)) =>
            {
                Self::Denied { bus: bus.clone() }
            }
            AgentError::ZBus(zbus::Error::FDO(standard))
                if matches!(standard.as_ref(), zbus::fdo::Error::NoReply(_)) =>
            {
                Self::DaemonLeft
            }
            _ => Self::Agent(error),
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Bus { .. } | Self::NoDaemon { .. } | Self::DaemonLeft => Exit::Unreachable,
            Self::Denied { .. } => Exit::NotAllowed,
            Self::Told(exit) => *exit,
            Self::Agent(error) => error.exit(),
            Self::Usage(_) => Exit::Usage,
            Self::Declined | Self::Output(_) => Exit::Failed,
        }
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for CtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bus { bus, source } => {
                write!(f, "cannot reach {bus}: {source}; {}", bus.advice())
            }
            Self::NoDaemon { bus: BusAddress::System } => {
                f.write_str("lwm2md is not on the system bus: see systemctl status lwm2md")
            }
            Self::NoDaemon { bus } => {
                write!(f, "lwm2md is not on {bus}: start it there, or name its bus with --bus")
            }
            Self::Denied { bus } => {
                write!(f, "not allowed: {bus} lets only root and the group lwm2md in")
            }
            Self::Told(_) => f.write_str("the result says why"),
            Self::DaemonLeft => f.write_str("lwm2md has left the bus"),
            Self::Agent(error) => f.write_str(&error.reason()),
            Self::Usage(message) => f.write_str(message),
            Self::Declined => f.write_str("nothing was done"),
            Self::Output(error) => write!(f, "cannot write the result: {error}"),
        }
    }
}

impl From<io::Error> for CtlError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_let_to_the_daemon_hears_who_is() {
        let rejected = zbus::fdo::Error::AccessDenied(
            "Rejected send message, 2 matched rules; type=\"method_call\", sender=\":1.80\"".into(),
        );
        let error = AgentError::ZBus(zbus::Error::FDO(Box::new(rejected)));
        let error = CtlError::from_call(error, &BusAddress::System);
        assert_eq!(error.exit(), Exit::NotAllowed);
        assert_eq!(
            error.to_string(),
            "not allowed: the system bus lets only root and the group lwm2md in"
        );
    }

    #[test]
    fn the_common_failures_fit_on_a_terminal() {
        let bus = || BusAddress::System;
        for error in [CtlError::NoDaemon { bus: bus() }, CtlError::Denied { bus: bus() }] {
            let line = format!("lwm2mctl: {error}");
            assert!(line.len() <= 80, "{line}");
        }
    }
}
