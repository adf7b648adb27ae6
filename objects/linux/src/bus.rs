//! The D-Bus connection as the objects see it: there, gone, there again.
//!
//! The daemon connects and reconnects; losing the bus or a service on it is
//! normal. An error of a service becomes the refusal that a server is told.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use lwm2m_model::{Code, RequestError};
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::{Connection, DBusError, Message, MessageStream};

/// The connection of the moment, if there is one.
#[derive(Debug, Clone)]
pub struct BusHandle(watch::Receiver<Option<Connection>>);

impl BusHandle {
    /// A handle and the end through which the daemon supplies the connection:
    /// `Some` when it is there, `None` when it is lost.
    pub fn channel() -> (watch::Sender<Option<Connection>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// A handle that never has a connection.
    pub fn absent() -> Self {
        Self::channel().1
    }

    /// The connection, if it is there and not closed.
    pub fn connection(&self) -> Option<Connection> {
        self.0.borrow().as_ref().filter(|connection| !connection.is_closed()).cloned()
    }

    /// Waits for a connection. Without a daemon that could supply one it waits for
    /// ever. Cancel safe.
    pub async fn connected(&self) -> Connection {
        let mut handle = self.clone();
        loop {
            if let Some(connection) = handle.take_notice() {
                return connection;
            }
            handle.changed().await;
        }
    }

    /// Listens on one connection after the other, as long as each is there; what was
    /// heard is to be forgotten in between. Never ends.
    ///
    /// A connection on which `listen` has ended is not tried again: the daemon brings
    /// another.
    pub(crate) async fn listen_on_each<L, F>(
        mut self,
        listen: impl Fn(Connection) -> L,
        forget: impl Fn() -> F,
    ) where
        L: Future<Output = zbus::Result<()>>,
        F: Future<Output = ()>,
    {
        loop {
            let Some(connection) = self.take_notice() else {
                self.changed().await;
                continue;
            };
            let ended = tokio::select! {
                result = listen(connection.clone()) => result,
                () = connection.closed() => Ok(()),
                () = self.changed() => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "cannot listen to services on the bus");
            }
            forget().await;
            while self.connection().is_some_and(|now| is_same(&now, &connection)) {
                self.changed().await;
            }
        }
    }

    /// Waits for another connection than before, or none. Without a daemon that
    /// could supply one it waits for ever. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            pending().await
        }
    }

    /// The connection, and what was there before counts as seen.
    pub(crate) fn take_notice(&mut self) -> Option<Connection> {
        self.0.borrow_and_update().as_ref().filter(|connection| !connection.is_closed()).cloned()
    }
}

fn is_same(one: &Connection, other: &Connection) -> bool {
    one.unique_name() == other.unique_name() && one.server_guid() == other.server_guid()
}

/// The next message of a stream; `None` when the connection is gone. Cancel safe.
pub(crate) async fn next_message(stream: &mut MessageStream) -> Option<zbus::Result<Message>> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// Lets the news of `time` pass: what they ask for is asked once, afterwards. `news` takes
/// one after the other until there can be no more, and is given up while it waits.
pub(crate) async fn settle(time: Duration, news: impl Future<Output = ()>) {
    let all = async {
        news.await;
        pending::<()>().await;
    };
    let _ = timeout(time, all).await;
}

/// The D-Bus name of the error that a service answered.
pub(crate) fn error_name(error: &zbus::Error) -> Option<String> {
    match error {
        zbus::Error::MethodError(name, ..) => Some(name.to_string()),
        zbus::Error::FDO(error) => Some(error.name().to_string()),
        _ => None,
    }
}

/// True if the service is not there and cannot be started.
pub fn is_service_missing(error: &zbus::Error) -> bool {
    error_name(error).is_some_and(|name| {
        name.ends_with(".ServiceUnknown")
            || name.ends_with(".NameHasNoOwner")
            || name.contains(".DBus.Error.Spawn.")
    })
}

/// True if an error of this name says that polkit or the bus forbids it.
pub(crate) fn is_denied(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    DENIALS.contains(&last)
}

/// What a server is told when `service` answers with an error; `action` is the
/// polkit action that the call needs.
pub(crate) fn refusal(error: &zbus::Error, service: &str, action: &str) -> RequestError {
    if is_service_missing(error) {
        return RequestError::new(Code::METHOD_NOT_ALLOWED, format!("{service} is not on the bus"));
    }
    let Some(name) = error_name(error) else {
        return RequestError::new(Code::SERVICE_UNAVAILABLE, format!("call {service}: {error}"));
    };
    if is_denied(&name) {
        return not_granted(service, action);
    }
    match name.rsplit('.').next().unwrap_or_default() {
        "InvalidArgs" | "InvalidArguments" | "InvalidConnection" | "InvalidProperty"
        | "MissingProperty" => {
            RequestError::new(Code::BAD_REQUEST, format!("{service} refuses the value"))
        }
        "AutomaticTimeSyncEnabled" => {
            RequestError::new(Code::METHOD_NOT_ALLOWED, "time synchronisation is on")
        }
        "NotSupported" => {
            RequestError::new(Code::METHOD_NOT_ALLOWED, format!("{service} cannot do it here"))
        }
        "NoReply" | "Timeout" | "TimedOut" | "Disconnected" | "LimitsExceeded" => {
            RequestError::new(Code::SERVICE_UNAVAILABLE, format!("{service} does not answer"))
        }
        _ => RequestError::new(Code::INTERNAL_SERVER_ERROR, format!("{service} fails: {name}")),
    }
}

/// The refusal for want of a polkit action.
pub(crate) fn not_granted(service: &str, action: &str) -> RequestError {
    RequestError::new(
        Code::METHOD_NOT_ALLOWED,
        format!("{service} denies access: {}", needed(action)),
    )
}

/// What is missing where polkit denies an action, and which of the rules that come with
/// the agent is about it.
pub(crate) fn needed(action: &str) -> String {
    let rules = rules_of(action).map_or_else(String::new, |rules| format!(" (see {rules})"));
    format!("the polkit action {action} is needed{rules}")
}

/// Which of the files of rules that come with the agent grants a polkit action.
pub fn rules_of(action: &str) -> Option<&'static str> {
    RULES.iter().find(|(start, _)| action.starts_with(start)).map(|(_, rules)| *rules)
}

/// The refusal for want of the bus.
pub(crate) fn no_bus(service: &str) -> RequestError {
    RequestError::new(
        Code::METHOD_NOT_ALLOWED,
        format!("no D-Bus connection, which {service} needs"),
    )
}

/// The last words of errors that say so; each service has its own.
const DENIALS: [&str; 6] = [
    "AccessDenied",
    "InteractiveAuthorizationRequired",
    "AuthFailed",
    "NotAuthorized",
    "Unauthorized",
    "PermissionDenied",
];
/// Which file of `systemd/polkit-1/rules.d` grants the actions that begin so.
const RULES: [(&str, &str); 4] = [
    ("org.freedesktop.login1.", "lwm2md-power.rules"),
    ("org.freedesktop.timedate1.", "lwm2md-clock.rules"),
    ("org.freedesktop.ModemManager1.", "lwm2md-modem.rules"),
    ("org.freedesktop.NetworkManager.", "lwm2md-wlan.rules"),
];
/// Gives up on a service that does not answer a question asked in passing.
pub(crate) const ASK_TIME_LIMIT: Duration = Duration::from_secs(3);
/// Gives up on all the calls that one request leads to, before the host does.
pub(crate) const WORK_TIME_LIMIT: Duration = Duration::from_secs(8);
