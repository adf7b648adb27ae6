//! Failed units, the fallback for reboot, and units that are run to their end, through
//! systemd (org.freedesktop.systemd1(5)).
//!
//! A run: listen, StartUnit, wait for JobRemoved of that job. The job of a oneshot
//! service ends when its program has; a start while it still runs joins the same job.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, MessageStream, OwnedObjectPath};

use super::properties;
use crate::BusHandle;
use crate::bus::{ASK_TIME_LIMIT, error_name, is_service_missing, next_message};

/// Why a unit did not run to a good end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{unit}: {cause}")]
pub struct UnitFailure {
    /// The unit.
    pub unit: String,
    /// What happened to it.
    pub cause: UnitCause,
}

/// What kept a unit from a good end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnitCause {
    /// It cannot be asked for.
    #[error("no D-Bus connection, which systemd needs")]
    NoBus,
    /// It cannot be asked for.
    #[error("systemd is not on the bus")]
    NoSystemd,
    /// systemd does not know it.
    #[error("no such unit: is it installed?")]
    NotInstalled,
    /// polkit says no.
    #[error(
        "not allowed: the polkit action org.freedesktop.systemd1.manage-units is needed, \
         which lwm2md.rules grants to the user lwm2md"
    )]
    NotAllowed,
    /// systemd does not start it: what it says.
    #[error("systemd refuses to start it: {0}")]
    Refused(String),
    /// Its program ended by itself.
    #[error("exit code {0}")]
    Exit(i32),
    /// Its program is missing, or could not be begun as the unit wants: systemd's status
    /// (systemd.exec(5)).
    #[error("its program is missing or cannot be run (status {0})")]
    NotRun(i32),
    /// A signal ended its program.
    #[error("ended by signal {0}")]
    Signal(i32),
    /// It took longer than the unit allows.
    #[error("timeout: it took longer than its TimeoutStartSec")]
    Timeout,
    /// Another end, in systemd's word for it.
    #[error("failed: {0}")]
    Failed(String),
    /// The bus or systemd went away meanwhile. It may run on.
    #[error("the connection to systemd was lost, and what became of it is not known")]
    Lost,
    /// It may run on.
    #[error("no end after {} s, and what becomes of it is not known", .0.as_secs())]
    NoEnd(Duration),
}

/// Starts a unit and waits for its end. It has to be a service of `Type=oneshot`, since
/// others count as done when they have started. After a bad end the unit is reset, so
/// that it does not count as a fault of the machine for ever.
///
/// If the future is dropped, the unit runs on.
///
/// # Errors
/// If it did not run, did not end well, or has not ended within `limit`.
pub async fn run_unit(bus: &BusHandle, unit: &str, limit: Duration) -> Result<(), UnitFailure> {
    let failure = |cause| UnitFailure { unit: unit.to_owned(), cause };
    let bus = bus.connection().ok_or_else(|| failure(UnitCause::NoBus))?;
    let ended = timeout(limit, run(&bus, unit)).await;
    match ended.unwrap_or(Err(UnitCause::NoEnd(limit))) {
        Ok(result) if result == "done" => Ok(()),
        Ok(result) => {
            let details = timeout(ASK_TIME_LIMIT, end(&bus, unit, &result)).await;
            Err(failure(details.unwrap_or(UnitCause::Failed(result))))
        }
        Err(cause) => Err(failure(cause)),
    }
}

/// True for a name that may follow the `@` of a template unit: letters, digits and
/// `_.-`, at most 64 and no dot first. systemd takes and hands them on as they are.
pub fn is_instance_name(name: &str) -> bool {
    (1..=MAX_INSTANCE).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Runs a unit; the result of its job in systemd's word.
async fn run(bus: &Connection, unit: &str) -> Result<String, UnitCause> {
    let lost = |_| UnitCause::Lost;
    // Before the start, since a short job ends before its start is answered.
    let mut jobs = removed_jobs(bus).await.map_err(lost)?;
    let mut owners = properties::owner_changes(bus, NAME).await.map_err(lost)?;
    match subscribe(bus).await {
        Ok(()) => {}
        Err(error) if is_named(&error, "AlreadySubscribed") => {}
        Err(error) => return Err(refusal(&error)),
    }
    let mode = "replace";
    let reply = bus
        .call_method(Some(NAME), PATH, Some(INTERFACE), "StartUnit", &(unit, mode))
        .await
        .map_err(|error| refusal(&error))?;
    let job: OwnedObjectPath = reply.body().deserialize().map_err(lost)?;
    loop {
        tokio::select! {
            biased;
            message = next_message(&mut jobs) => {
                let message = message.ok_or(UnitCause::Lost)?.map_err(lost)?;
                let removed = message.body().deserialize::<(u32, OwnedObjectPath, String, String)>();
                match removed {
                    Ok((_, removed, _, result)) if removed == job => return Ok(result),
                    // Somebody else's.
                    Ok(_) | Err(_) => {}
                }
            }
            // systemd is executed anew, or dies: whether it told the end is not known.
            _ = next_message(&mut owners) => return Err(UnitCause::Lost),
        }
    }
}

/// Why a job that was begun did not end as done.
async fn end(bus: &Connection, unit: &str, result: &str) -> UnitCause {
    let cause = details(bus, unit, result).await;
    // Without the right to do it, it stays in the list of failed units.
    if let Err(error) =
        bus.call_method(Some(NAME), PATH, Some(INTERFACE), "ResetFailedUnit", &unit).await
    {
        tracing::debug!("cannot reset {unit}: {error}");
    }
    cause.unwrap_or_else(|_| UnitCause::Failed(result.to_owned()))
}

async fn details(bus: &Connection, unit: &str, result: &str) -> zbus::Result<UnitCause> {
    if result != "failed" {
        return Ok(match result {
            "timeout" => UnitCause::Timeout,
            _ => UnitCause::Failed(result.to_owned()),
        });
    }
    let reply = bus.call_method(Some(NAME), PATH, Some(INTERFACE), "GetUnit", &unit).await?;
    let path: OwnedObjectPath = reply.body().deserialize()?;
    let result: String = properties::get(bus, NAME, &path, SERVICE, "Result").await?;
    let status: i32 = properties::get(bus, NAME, &path, SERVICE, "ExecMainStatus").await?;
    Ok(match result.as_str() {
        "exit-code" if NOT_RUN.contains(&status) => UnitCause::NotRun(status),
        "exit-code" => UnitCause::Exit(status),
        "signal" | "core-dump" => UnitCause::Signal(status),
        "timeout" => UnitCause::Timeout,
        _ => UnitCause::Failed(result),
    })
}

/// What an error of systemd or of the bus means for a unit.
fn refusal(error: &zbus::Error) -> UnitCause {
    if is_service_missing(error) {
        return UnitCause::NoSystemd;
    }
    let Some(name) = error_name(error) else { return UnitCause::Lost };
    match name.rsplit('.').next().unwrap_or_default() {
        "NoSuchUnit" => UnitCause::NotInstalled,
        "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => UnitCause::NotAllowed,
        "NoReply" | "Timeout" | "TimedOut" | "Disconnected" => UnitCause::Lost,
        _ => UnitCause::Refused(one_line(&error.to_string())),
    }
}

fn is_named(error: &zbus::Error, name: &str) -> bool {
    error_name(error).is_some_and(|full| full.rsplit('.').next() == Some(name))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The signals that say a job has ended.
async fn removed_jobs(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(NAME)
        .path(PATH)
        .interface(INTERFACE)
        .member("JobRemoved")
        .build()?;
    MessageStream::for_match_rule(rule, bus, QUEUE).await
}

/// Number of units that have failed.
pub(crate) async fn failed_units(bus: &Connection) -> zbus::Result<u32> {
    properties::get(bus, NAME, PATH, INTERFACE, "NFailedUnits").await
}

/// Asks for signals; without it systemd sends none to the bus.
pub(crate) async fn subscribe(bus: &Connection) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(INTERFACE), "Subscribe", &()).await.map(drop)
}

/// Reboots at once; for root on images without logind.
pub(crate) async fn reboot(bus: &Connection) -> zbus::Result<()> {
    bus.call_method(Some(NAME), PATH, Some(INTERFACE), "Reboot", &()).await.map(drop)
}

/// The well-known name.
pub(crate) const NAME: &str = "org.freedesktop.systemd1";
/// The manager.
pub(crate) const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// What systemd itself ends a process with that it could not make into the program.
const NOT_RUN: RangeInclusive<i32> = 200..=243;
/// Bytes of the part of a unit's name that is chosen by somebody.
const MAX_INSTANCE: usize = 64;
/// Ends of jobs that may be told before our start is answered, which takes as long as
/// polkit does. While a queue is full zbus reads nothing at all, not even that answer;
/// a machine that boots or stops ends some hundred jobs.
const QUEUE: Option<NonZeroUsize> = NonZeroUsize::new(1024);
