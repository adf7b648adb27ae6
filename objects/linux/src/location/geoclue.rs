//! GeoClue over D-Bus (org.freedesktop.GeoClue2): a client of ours that is started while
//! fixes are wanted.
//!
//! 1. Wanted: ask for a client, name us, start it, take each location that it tells.
//! 2. Not wanted: delete the client; GeoClue then lets its sources rest.
//! 3. Refused, or gone with the service or the bus: again after a back-off.

use tokio::time::timeout;
use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, MessageStream, OwnedObjectPath, OwnedVariant, Variant};

use super::config::Place;
use super::fix::{Accuracy, Fix, Motion};
use super::outage::Outage;
use super::track::{Gone, Track};
use crate::bus::{ASK_TIME_LIMIT, BusHandle, error_name, is_service_missing, next_message};
use crate::source::Wanted;
use crate::sources::properties::{self, PROPERTIES, Properties};

/// Measures until the object is gone.
pub(super) async fn run(bus: BusHandle, mut track: Track) {
    let mut outage = Outage::default();
    loop {
        let step = match track.wanted() {
            Wanted::No => track.changed().await,
            Wanted::Yes => tokio::select! {
                connection = bus.connected() => visit(&connection, &mut track, &mut outage).await,
                // Without a bus there is nothing to wait for but it.
                changed = track.changed() => changed,
            },
        };
        if step.is_err() {
            return;
        }
    }
}

/// One client, and the pause after it if it ended by itself.
async fn visit(bus: &Connection, track: &mut Track, outage: &mut Outage) -> Result<(), Gone> {
    let reason = match timeout(ASK_TIME_LIMIT, Client::start(bus)).await {
        Err(_) => "it does not answer".to_owned(),
        Ok(Err(error)) => reason(&error),
        Ok(Ok(mut client)) => match client.listen(track, outage).await? {
            Ended::Unwanted => {
                client.end().await;
                return Ok(());
            }
            Ended::Broken => "it has left the bus".to_owned(),
        },
    };
    if outage.begins() {
        tracing::warn!("GeoClue cannot be used: {reason}; it is tried again");
    }
    outage.pause(track).await
}

/// Why GeoClue could not be asked, and what to do about it.
fn reason(error: &zbus::Error) -> String {
    if is_service_missing(error) {
        return format!("{NAME} is not on the bus");
    }
    match error_name(error) {
        Some(name) if name.ends_with(".AccessDenied") => {
            format!(
                "it gives us no position: /etc/geoclue/geoclue.conf has to allow [{DESKTOP_ID}]"
            )
        }
        Some(name) => name,
        None => error.to_string(),
    }
}

enum Ended {
    Unwanted,
    Broken,
}

/// A client of GeoClue's that is started.
struct Client<'a> {
    bus: &'a Connection,
    path: OwnedObjectPath,
    updates: MessageStream,
    owner: MessageStream,
    has_warned: bool,
}

impl<'a> Client<'a> {
    async fn start(bus: &'a Connection) -> zbus::Result<Self> {
        let owner = properties::owner_changes(bus, NAME).await?;
        let reply =
            bus.call_method(Some(NAME), MANAGER, Some(MANAGER_OF), "GetClient", &()).await?;
        let path: OwnedObjectPath = reply.body().deserialize()?;
        // Before the start, since what is known already is told at once.
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(NAME)
            .path(path.as_str())
            .interface(CLIENT)
            .member("LocationUpdated")
            .build()?;
        let updates = MessageStream::for_match_rule(rule, bus, None).await?;
        for (name, value) in [
            ("DesktopId", Variant::from(DESKTOP_ID)),
            ("RequestedAccuracyLevel", Variant::from(EXACT)),
        ] {
            let body = (CLIENT, name, value);
            bus.call_method(Some(NAME), path.as_str(), Some(PROPERTIES), "Set", &body).await?;
        }
        bus.call_method(Some(NAME), path.as_str(), Some(CLIENT), "Start", &()).await?;
        Ok(Self { bus, path, updates, owner, has_warned: false })
    }

    async fn listen(&mut self, track: &mut Track, outage: &mut Outage) -> Result<Ended, Gone> {
        while track.wanted() == Wanted::Yes {
            let update = tokio::select! {
                update = next_message(&mut self.updates) => update,
                _ = next_message(&mut self.owner) => return Ok(Ended::Broken),
                () = self.bus.closed() => return Ok(Ended::Broken),
                changed = track.changed() => {
                    changed?;
                    continue;
                }
            };
            let Some(Ok(update)) = update else { return Ok(Ended::Broken) };
            let Ok((_, location)) =
                update.body().deserialize::<(OwnedObjectPath, OwnedObjectPath)>()
            else {
                self.warn("a signal of the wrong type");
                continue;
            };
            let asked = properties::all(self.bus, NAME, location.as_str(), LOCATION);
            match timeout(ASK_TIME_LIMIT, asked).await.map(|found| found.map(|it| fix(&it))) {
                Ok(Ok(Some(fix))) => {
                    outage.end();
                    track.put(fix);
                }
                Ok(Ok(None)) => self.warn("a position that cannot be"),
                // It has told the next one meanwhile, or leaves.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Ok(Ended::Unwanted)
    }

    fn warn(&mut self, what: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!("GeoClue tells {what}; such positions are ignored");
        }
    }

    /// Lets GeoClue rest. It does so by itself when we leave the bus.
    async fn end(self) {
        let body = (&self.path,);
        let call =
            self.bus.call_method(Some(NAME), MANAGER, Some(MANAGER_OF), "DeleteClient", &body);
        if let Ok(Err(error)) = timeout(ASK_TIME_LIMIT, call).await {
            tracing::debug!(%error, "GeoClue does not delete our client");
        }
    }
}

/// What the properties of a location come to. Values below zero are its way of saying
/// that it does not know.
fn fix(location: &Properties) -> Option<Fix> {
    let number = |name| properties::value::<f64>(location, name);
    let known = |name| number(name).filter(|value| *value >= 0.0);
    let altitude = number("Altitude").filter(|altitude| *altitude > -1e300);
    let place = Place::new(number("Latitude")?, number("Longitude")?, altitude)?;
    let accuracy = Accuracy { radius: known("Accuracy") };
    let motion = Motion { speed: known("Speed"), bearing: known("Heading"), climb: None };
    let time: OwnedVariant = location.get("Timestamp")?.clone();
    let (seconds, _): (u64, u64) = time.try_into().ok()?;
    Fix::new(place, accuracy, motion, i64::try_from(seconds).ok().filter(|it| *it > 0)?)
}

const NAME: &str = "org.freedesktop.GeoClue2";
const MANAGER: &str = "/org/freedesktop/GeoClue2/Manager";
const MANAGER_OF: &str = "org.freedesktop.GeoClue2.Manager";
const CLIENT: &str = "org.freedesktop.GeoClue2.Client";
const LOCATION: &str = "org.freedesktop.GeoClue2.Location";
/// By which GeoClue's configuration knows us.
const DESKTOP_ID: &str = "lwm2md";
/// GCLUE_ACCURACY_LEVEL_EXACT.
const EXACT: u32 = 8;
