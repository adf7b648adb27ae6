//! The state that belongs to one server account: link, registration, attributes.
//!
//! What happens to it, and when, is told in [`crate::registration`] and
//! [`crate::queue_mode`].

use std::time::Duration;

use lwm2m_coap::{Counters, Endpoint, Random, RequestId};
use lwm2m_model::record::Fingerprint;
use lwm2m_model::{Instant, Version};

use crate::account::with_queue_mode;
use crate::attributes::Attached;
use crate::backlog::Backlog;
use crate::{Account, Continuity, LinkId, SecurityMode, ServerState};

/// One server account and everything that concerns this server alone.
pub(crate) struct Server {
    /// The account as it is now; a server may have written to it.
    pub(crate) account: Account,
    /// The account as the configuration had it.
    pub(crate) configured: Account,
    /// Instance of Objects 0 and 1.
    pub(crate) instance: u16,
    /// The version offered, or agreed on.
    pub(crate) version: Version,
    pub(crate) phase: Phase,
    /// The link that is opening or open.
    pub(crate) link: Option<LinkId>,
    /// CoAP over the open link.
    pub(crate) endpoint: Option<Endpoint>,
    /// CoAP over the last link, while there is none.
    parked: Option<Endpoint>,
    /// Counts CoAP sessions.
    pub(crate) session: u32,
    pub(crate) registration: Option<Registration>,
    /// What a Register or Update on its way tells.
    pub(crate) told: Option<Announced>,
    /// Attributes that this server has attached.
    pub(crate) attached: Attached,
    /// Notifications that wait for it.
    pub(crate) backlog: Backlog,
    /// A confirmable notification has found nobody, and nothing was heard since.
    pub(crate) is_unheard: bool,
    /// It was away since it last answered.
    pub(crate) has_missed: bool,
    /// Failed attempts in this sequence.
    pub(crate) attempts: u32,
    /// Failed attempts since the last success.
    pub(crate) failures: u32,
    pub(crate) last_error: Option<String>,
    /// At a stop, while Register is on its way: it is De-registered as soon as that is
    /// answered, if it is by then.
    pub(crate) leave_by: Option<Instant>,
    /// When an Update is due because something has changed.
    pub(crate) update_at: Option<Instant>,
    /// Sleep as soon as nothing is under way, without the awake time.
    pub(crate) sleepy: bool,
    /// Counters of links that are gone.
    pub(crate) past_counters: Counters,
}

/// Where the account stands between being configured and being registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The next attempt is due at this time.
    Waiting { until: Instant },
    /// A link is being opened.
    Connecting,
    /// Register has been sent.
    Registering { request: RequestId },
    /// Registered; perhaps an Update is on its way, perhaps we sleep.
    Registered { update: Option<RequestId>, asleep: bool },
    /// De-register has been sent; given up at `until`.
    Deregistering { request: RequestId, until: Instant, then: Then },
    /// The server wants silence until then.
    Disabled { until: Instant },
    /// Stopped for good.
    Stopped,
}

/// An operation of ours that a server has yet to answer (Core 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnOperation {
    Register,
    Update,
    Deregister(Then),
}

/// What follows a De-register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Silence for `/1/x/5` seconds.
    Disable,
    /// The end.
    Stop,
    /// The end of the account.
    Remove,
    /// A Register with the account as it is configured.
    BeginAnew,
}

/// A registration that the server has acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    /// Location-Path, every segment (CORE-96).
    pub(crate) location: Vec<String>,
    /// When Register was answered.
    pub(crate) made: Instant,
    /// When Register or an Update was last answered.
    pub(crate) confirmed: Instant,
    /// What the server knows of us.
    pub(crate) known: Announced,
    /// From before a restart, and its server has not answered since.
    pub(crate) is_restored: bool,
}

/// The parameters that a server learns at Register and, when they change, by Update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) lifetime: u32,
    /// What `/1/x/7` says; the server is told what comes of it on this device.
    pub(crate) binding: String,
    /// The object list.
    pub(crate) objects: Fingerprint,
}

impl Phase {
    /// What `request` was for; `None` if its answer no longer matters.
    pub(crate) fn awaits(self, request: RequestId) -> Option<OwnOperation> {
        let (ours, operation) = match self {
            Self::Registering { request } => (request, OwnOperation::Register),
            Self::Registered { update: Some(request), .. } => (request, OwnOperation::Update),
            Self::Deregistering { request, then, .. } => (request, OwnOperation::Deregister(then)),
            Self::Registered { update: None, .. }
            | Self::Waiting { .. }
            | Self::Connecting
            | Self::Disabled { .. }
            | Self::Stopped => return None,
        };
        (ours == request).then_some(operation)
    }
}

impl OwnOperation {
    /// The name in the specification.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Register => "Register",
            Self::Update => "Update",
            Self::Deregister(_) => "De-register",
        }
    }
}

impl Server {
    /// An account that tries to register at `now`.
    pub(crate) fn new(account: Account, instance: u16, version: Version, now: Instant) -> Self {
        Self {
            configured: account.clone(),
            account,
            instance,
            version,
            phase: Phase::Waiting { until: now },
            link: None,
            endpoint: None,
            parked: None,
            session: 0,
            registration: None,
            told: None,
            attached: Attached::default(),
            backlog: Backlog::default(),
            is_unheard: false,
            has_missed: false,
            attempts: 0,
            failures: 0,
            last_error: None,
            leave_by: None,
            update_at: None,
            sleepy: false,
            past_counters: Counters::default(),
        }
    }

    /// True if requests of this server are served and notifications go out.
    pub(crate) fn is_registered(&self) -> bool {
        matches!(self.phase, Phase::Registered { .. }) && self.endpoint.is_some()
    }

    /// True while the server is told that its account is no more.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Deregistering { then: Then::Remove, .. })
    }

    /// True while the server is told that the device forgets what it wrote.
    pub(crate) fn begins_anew(&self) -> bool {
        matches!(self.phase, Phase::Deregistering { then: Then::BeginAnew, .. })
    }

    /// The same account in the same place, as after a first start. Sessions and what
    /// was counted go on, so that a late answer does not get into a new session.
    pub(crate) fn begin_anew(&mut self, version: Version, now: Instant) {
        *self = Self {
            session: self.session,
            past_counters: self.counters(),
            ..Self::new(self.configured.clone(), self.instance, version, now)
        };
    }

    /// True in the sleep of queue mode.
    pub(crate) fn is_asleep(&self) -> bool {
        matches!(self.phase, Phase::Registered { asleep: true, .. })
    }

    /// True if the last answer to Register or Update is some time ago, so that a
    /// lost link is bad luck and not the start of a loop.
    pub(crate) fn has_served(&self, now: Instant) -> bool {
        self.registration.as_ref().is_some_and(|known| known.confirmed + SERVED <= now)
    }

    /// When the registration has to be refreshed (Core 5.6): half the lifetime
    /// before its end, 93 s before at most; `None` if it lasts for ever.
    pub(crate) fn refresh_at(&self) -> Option<Instant> {
        let registration = self.registration.as_ref()?;
        let lifetime = Duration::from_secs(u64::from(registration.known.lifetime));
        let ahead = (lifetime / 2).min(REFRESH_AHEAD);
        (!lifetime.is_zero()).then(|| registration.confirmed + (lifetime - ahead))
    }

    /// When an Update is due for whatever reason.
    pub(crate) fn next_update(&self) -> Option<Instant> {
        [self.refresh_at(), self.update_at].into_iter().flatten().min()
    }

    /// What it does now, for people.
    pub(crate) fn state(&self) -> ServerState {
        match self.phase {
            Phase::Waiting { .. } => ServerState::Waiting,
            Phase::Connecting => ServerState::Connecting,
            Phase::Registering { .. } => ServerState::Registering,
            Phase::Registered { asleep: true, .. } => ServerState::Asleep,
            Phase::Registered { asleep: false, .. } => ServerState::Registered,
            Phase::Deregistering { .. } => ServerState::Deregistering,
            Phase::Disabled { .. } => ServerState::Disabled,
            Phase::Stopped => ServerState::Stopped,
        }
    }

    /// The `b` of Register and Update: what the device can do (`/3/0/16`), and once the
    /// server has written what it wants (`/1/x/7`), what is common to both. LwM2M 1.0
    /// knows U and S, and has queue mode in it.
    pub(crate) fn binding_mode(&self, bindings: &str) -> String {
        let old = self.version < Version::V1_1;
        let is_written = self.account.binding != self.configured.binding;
        let letters = if is_written { &self.account.binding } else { bindings };
        let is_told =
            |letter: &char| bindings.contains(*letter) && (!old || "US".contains(*letter));
        let mut common: String = letters.chars().filter(is_told).collect();
        if common.is_empty() {
            common.push('U'); // CORE-118
        }
        with_queue_mode(common, old && self.account.queue_mode)
    }

    /// Path segments of the Server URI; requests go below them (Transport 2.4).
    pub(crate) fn base_path(&self) -> impl Iterator<Item = &str> {
        let after_scheme = self.account.uri.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.split_once('/').map_or("", |(_, path)| path);
        path.split(['?', '#']).next().unwrap_or_default().split('/').filter(|s| !s.is_empty())
    }

    /// Begins a CoAP session over a link that has come up. Without security, from the
    /// same address, it is the old one for the server, which may repeat requests.
    pub(crate) fn begin_session(
        &mut self,
        continuity: Continuity,
        config: lwm2m_coap::Config,
        random: Random,
    ) {
        let goes_on = continuity == Continuity::Kept && !self.is_secure();
        self.endpoint = Some(match self.parked.take() {
            Some(mut endpoint) if goes_on => {
                endpoint.resume(config.max_datagram);
                endpoint
            }
            parked => {
                self.session += 1;
                self.past_counters = sum(self.past_counters, parked.as_ref());
                Endpoint::new(config, random)
            }
        });
    }

    /// The CoAP session of this number, also while there is no link: an answer is kept
    /// for a server that repeats its request.
    pub(crate) fn session(&mut self, session: u32) -> Option<&mut Endpoint> {
        let endpoint = self.endpoint.as_mut().or(self.parked.as_mut());
        endpoint.filter(|_| self.session == session)
    }

    /// Ends the CoAP session, until a link comes up again; false if there was none.
    pub(crate) fn drop_endpoint(&mut self) -> bool {
        let dropped = self.endpoint.is_some();
        if dropped {
            self.parked = self.endpoint.take();
        }
        dropped
    }

    /// Counters of all links so far.
    pub(crate) fn counters(&self) -> Counters {
        sum(self.past_counters, self.endpoint.as_ref().or(self.parked.as_ref()))
    }

    /// True if links to this server are encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.account.security != SecurityMode::NoSec
    }
}

fn sum(past: Counters, endpoint: Option<&Endpoint>) -> Counters {
    let now = endpoint.map(Endpoint::counters).unwrap_or_default();
    Counters {
        received: past.received + now.received,
        sent: past.sent + now.sent,
        malformed: past.malformed + now.malformed,
        duplicates: past.duplicates + now.duplicates,
        retransmissions: past.retransmissions + now.retransmissions,
        unmatched: past.unmatched + now.unmatched,
    }
}

/// An Update goes out so long before the lifetime ends (MAX_TRANSMIT_WAIT).
const REFRESH_AHEAD: Duration = Duration::from_secs(93);

/// A link lost sooner after an answer is opened again with back-off only.
const SERVED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_path_is_what_follows_the_authority() {
        let segments = |uri: &str| {
            let server = Server::new(Account::new(1, uri), 0, Version::V1_2, Instant::ZERO);
            server.base_path().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(segments("coap://host").is_empty());
        assert!(segments("coaps://[2001:db8::1]:5684/").is_empty());
        assert_eq!(segments("coap://host/a/b?x=1"), ["a", "b"]);
    }
}
