//! The device: the engine, and a rim that answers calls as scripted objects would
//! and watches what the engine may never do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lwm2m_engine::{
    Call, CallId, CallOperation, CallResult, Command, Engine, EngineConfig, Event, Input, LinkId,
    Output, ServerState, ServerStatus,
};
use lwm2m_model::{Instant, Now, Path};

use crate::message;
use crate::objects::{Objects, Pace};
use crate::{Cut, Log, Store};

/// What a device leaves to the world.
#[derive(Debug)]
pub(crate) enum Wish {
    Die,
    Transmit { link: LinkId, bytes: Vec<u8> },
    Open { link: LinkId, server: u16 },
    Close { link: LinkId },
    Forget { server: u16 },
}

/// The engine and the rim around it.
pub struct Device {
    engine: Engine,
    /// What the engine is made with; stories change it while the device is off.
    pub config: EngineConfig,
    /// What survives it.
    pub store: Store,
    /// Outputs that have been carried out.
    pub outputs: u64,
    /// It dies before it carries out the output of this number.
    pub dies_before: Option<u64>,
    /// Objects that are not there when it starts: they come later.
    pub absent: Vec<u16>,
    is_dead: bool,
    /// Links get numbers that no engine before this one has used.
    links: u32,
    /// The server of the first account: what the device may never do is watched
    /// towards this one.
    first: u16,
    /// The server that [`Device::status`] tells of.
    pub(crate) in_view: u16,
    /// The last link to the first server.
    first_link: Option<LinkId>,
    /// The objects, for stories to change.
    pub objects: Objects,
    /// Every event, with its time.
    pub events: Vec<(Instant, Event)>,
    /// Every call of an object, with its time.
    pub calls: Vec<(Instant, Call)>,
    /// When a datagram left, and how long it was.
    pub sent: Vec<(Instant, usize)>,
    /// What the engine wants sampled, and how often.
    pub watched: BTreeMap<Path, Duration>,
    /// Attempts to reach the server.
    pub attempts: Attempts,
    /// Answers to local requests and local notifications.
    pub local: Vec<Output>,
    /// The orderly stop is complete.
    pub stopped: bool,
    /// How often the engine was woken by time.
    pub wakeups: u64,
    /// How many calls have not been answered.
    pub open_calls: usize,
    /// The awake time of queue mode; sleeping sooner is a violation.
    awake_time: Duration,
    wall_offset: i64,
    asleep: bool,
    told_to_sleep: bool,
    last_message: Instant,
    late: VecDeque<(Instant, CallId, CallResult)>,
}

/// When links were opened, and how long the device waited before each.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Every time a link was opened.
    pub all: Vec<Instant>,
    /// Links opened since the last success.
    failing: Vec<Instant>,
    failed_at: Option<Instant>,
    /// Waits since the last success that are not zero.
    waits: Vec<Duration>,
    /// How many of the last attempts followed at once.
    at_once: u32,
    sequence_delay: Duration,
}

impl Device {
    pub(crate) fn new(config: EngineConfig, now: Instant, log: &mut Log) -> Self {
        let account = config.accounts.first();
        let first = account.map_or(0, |account| account.short_server_id);
        let sequence_delay = account.map_or(0, |account| account.retry.sequence_delay);
        let sequence_delay = Duration::from_secs(sequence_delay.into());
        let awake_time = account.and_then(|account| account.awake_time);
        let awake_time = awake_time.unwrap_or_else(|| config.coap.max_transmit_wait());
        let mut device = Self {
            engine: Engine::new(config.clone(), Now { boot: now, wall: None }),
            config,
            store: Store::default(),
            outputs: 0,
            dies_before: None,
            absent: Vec::new(),
            is_dead: false,
            links: 0,
            first,
            in_view: first,
            first_link: None,
            objects: Objects::usual(),
            events: Vec::new(),
            calls: Vec::new(),
            sent: Vec::new(),
            watched: BTreeMap::new(),
            attempts: Attempts::new(sequence_delay),
            local: Vec::new(),
            stopped: false,
            wakeups: 0,
            open_calls: 0,
            awake_time,
            wall_offset: WALL_AT_BOOT,
            asleep: false,
            told_to_sleep: false,
            last_message: now,
            late: VecDeque::new(),
        };
        for id in device.objects.ids() {
            device.announce(now, id, log);
        }
        device
    }

    /// The state of the engine towards the server in view.
    pub fn status(&self) -> ServerStatus {
        let mut servers = self.engine.status().servers.into_iter();
        servers.find(|server| server.short_server_id == self.in_view).expect("it has the account")
    }

    /// True while the engine takes the server to know it, asleep or not.
    pub fn is_registered(&self) -> bool {
        matches!(self.status().state, ServerState::Registered | ServerState::Asleep)
    }

    /// True between a power cut and the next start.
    pub fn is_dead(&self) -> bool {
        self.is_dead
    }

    pub(crate) fn die(&mut self, now: Instant, cut: Cut, log: &mut Log) {
        log.note(now, || format!("device dies, commit: {cut:?}"));
        (self.is_dead, self.dies_before) = (true, None);
        (self.asleep, self.told_to_sleep, self.first_link) = (false, false, None);
        self.store.cut(cut);
        self.late.clear();
        self.open_calls = 0;
        self.watched.clear();
        self.attempts.begin_anew();
        // Whatever it has done it does not know any more.
        self.objects.runs.clear();
        self.objects.packages.parts.clear();
    }

    pub(crate) fn start(&mut self, now: Instant, seed: [u8; 32], log: &mut Log) {
        log.note(now, || "device starts".into());
        self.config.seed = seed;
        self.is_dead = false;
        self.links += LINKS_OF_AN_ENGINE;
        self.engine = Engine::new(self.config.clone(), self.clocks(now));
        self.engine.restore(self.store.records());
        for id in self.objects.ids() {
            if !self.absent.contains(&id) {
                self.announce(now, id, log);
            }
        }
    }

    /// True in the sleep of queue mode.
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Moves the wall clock; the time since boot goes on as it did.
    pub fn step_wall(&mut self, milliseconds: i64) {
        self.wall_offset += milliseconds;
    }

    /// What the wall clock showed, or will show, at this time: Unix time in seconds.
    pub fn unix_time(&self, at: Instant) -> f64 {
        (self.wall_offset + at.since_boot().as_millis() as i64) as f64 / 1000.0
    }

    /// Calls of this operation on this path, with their times.
    pub fn calls_of(&self, path: &str, wanted: fn(&CallOperation) -> bool) -> Vec<Instant> {
        let path: Path = path.parse().expect("stories name real paths");
        let calls = self.calls.iter();
        calls
            .filter(|(_, call)| call.path == path && wanted(&call.operation))
            .map(|(at, _)| *at)
            .collect()
    }

    /// Tells the engine that an object is there, or has other instances.
    pub(crate) fn announce(&mut self, now: Instant, object: u16, log: &mut Log) {
        if let Some((definition, instances)) = self.objects.announcement(object) {
            let streams = self.objects.streams(object);
            self.handle(now, Input::Object { definition, instances, streams }, log);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        if self.is_dead {
            return None;
        }
        let late = self.late.iter().map(|(at, ..)| *at).min();
        [late, self.store.next_timeout(), self.engine.next_timeout()].into_iter().flatten().min()
    }

    /// Lets time act: answers of slow objects, then the engine's own.
    pub(crate) fn time(&mut self, now: Instant, log: &mut Log) {
        if self.is_dead {
            return;
        }
        if let Some((ticket, result)) = self.store.end(now) {
            self.handle(now, Input::Persisted { ticket, result }, log);
        }
        while let Some(place) = self.late.iter().position(|(at, ..)| *at <= now) {
            let Some((_, call, result)) = self.late.remove(place) else { break };
            self.open_calls -= 1;
            self.handle(now, Input::Reply { call, result }, log);
        }
        if self.engine.next_timeout().is_some_and(|at| at <= now) {
            self.wakeups += 1;
            self.handle(now, Input::Time, log);
        }
    }

    pub(crate) fn command(&mut self, now: Instant, command: Command, log: &mut Log) {
        self.told_to_sleep |= matches!(command, Command::Sleep { .. }) && self.is_registered();
        self.handle(now, Input::Command(command), log);
    }

    pub(crate) fn datagram(&mut self, now: Instant, link: LinkId, bytes: &[u8], log: &mut Log) {
        let counts = self.first_link == Some(link) && !self.asleep;
        if counts && lwm2m_coap::Message::decode(bytes).is_ok() {
            self.last_message = now;
        }
        let link = self.inside(link);
        self.handle(now, Input::Datagram { link, bytes }, log);
    }

    pub(crate) fn handle(&mut self, now: Instant, input: Input<'_>, log: &mut Log) {
        if self.is_dead {
            return;
        }
        log.note(now, || match &input {
            Input::Datagram { bytes, .. } => format!("device <- {}", message::summary(bytes)),
            Input::Time => "device: time".into(),
            Input::Reply { call, result } => format!("device: object answers {call:?} {result:?}"),
            Input::Object { definition, instances, .. } => {
                format!("device: object {} {instances:?}", definition.id)
            }
            input => format!("device: {input:?}"),
        });
        let now = self.clocks(now);
        self.engine.handle(now, input);
    }

    fn clocks(&self, now: Instant) -> Now {
        let wall = Some(self.wall_offset + now.since_boot().as_millis() as i64);
        Now { boot: now, wall }
    }

    /// Takes the next output that concerns the world; the rim deals with the rest.
    ///
    /// # Errors
    /// What the engine did and may never do.
    pub(crate) fn next_wish(
        &mut self,
        now: Instant,
        log: &mut Log,
    ) -> Result<Option<Wish>, String> {
        while !self.is_dead
            && let Some(output) = self.engine.poll_output()
        {
            if self.dies_before == Some(self.outputs) {
                return Ok(Some(Wish::Die));
            }
            self.outputs += 1;
            match output {
                Output::Transmit { link, bytes } => {
                    let link = self.outside(link);
                    log.note(now, || format!("device -> {}", message::summary(&bytes)));
                    if self.first_link == Some(link) {
                        if self.asleep {
                            let what = message::summary(&bytes);
                            return Err(format!("a datagram while asleep: {what}"));
                        }
                        self.last_message = now;
                    }
                    self.sent.push((now, bytes.len()));
                    return Ok(Some(Wish::Transmit { link, bytes }));
                }
                Output::OpenLink { link, server, .. } => {
                    let link = self.outside(link);
                    log.note(now, || format!("device opens {link:?} to {server}"));
                    if server == self.first {
                        self.first_link = Some(link);
                        self.attempts.opened(now)?;
                    }
                    return Ok(Some(Wish::Open { link, server }));
                }
                Output::CloseLink { link } => {
                    let link = self.outside(link);
                    log.note(now, || format!("device closes {link:?}"));
                    return Ok(Some(Wish::Close { link }));
                }
                Output::Call(call) => self.called(now, call, log),
                Output::Watch { path, interval: Some(interval) } => {
                    self.watched.insert(path, interval);
                }
                Output::Watch { path, interval: None } => {
                    self.watched.remove(&path);
                }
                Output::Event(event) => self.event(now, event, log)?,
                Output::Persist { ticket, changes } => {
                    log.note(now, || format!("device stores {changes:?}"));
                    if let Some((ticket, result)) = self.store.begin(now, ticket, changes)? {
                        self.handle(now, Input::Persisted { ticket, result }, log);
                    }
                }
                Output::ForgetLinks { server } => {
                    log.note(now, || format!("device forgets its links to {server}"));
                    return Ok(Some(Wish::Forget { server }));
                }
                Output::Stopped => self.stopped = true,
                Output::LocalReply { .. } | Output::LocalNotify { .. } => self.local.push(output),
            }
        }
        Ok(None)
    }

    /// The name that the world has for a link.
    fn outside(&self, link: LinkId) -> LinkId {
        LinkId(link.0 + self.links)
    }

    /// The engine's name of a link; that of another engine is none of its own.
    pub(crate) fn inside(&self, link: LinkId) -> LinkId {
        LinkId(link.0.wrapping_sub(self.links))
    }

    fn called(&mut self, now: Instant, call: Call, log: &mut Log) {
        log.note(now, || match &call.operation {
            CallOperation::Stream { offset, chunk, last, .. } => {
                let (path, len) = (&call.path, chunk.len());
                format!("device calls {path} Stream of {len} bytes at {offset}, last: {last}")
            }
            operation => format!("device calls {} {operation:?}", call.path),
        });
        let (id, pace) = (call.id, self.objects.pace_of(&call));
        let is_told = !call.operation.expects_reply();
        // What is not answered is not done either, but what is told is known.
        let result = (is_told || pace != Pace::Never).then(|| self.objects.answer(&call));
        self.calls.push((now, call));
        match (pace, result) {
            _ if is_told => {}
            (Pace::AtOnce, Some(result)) => {
                self.handle(now, Input::Reply { call: id, result }, log);
            }
            (Pace::After(span), Some(result)) => {
                self.open_calls += 1;
                self.late.push_back((now + span, id, result));
            }
            (Pace::Never | Pace::AtOnce | Pace::After(_), _) => self.open_calls += 1,
        }
    }

    fn event(&mut self, now: Instant, event: Event, log: &mut Log) -> Result<(), String> {
        log.note(now, || format!("device says {event:?}"));
        match &event {
            Event::Asleep { server, .. }
            | Event::Awake { server }
            | Event::Deregistered { server, .. }
            | Event::Disabled { server, .. }
            | Event::AttemptFailed { server, .. }
            | Event::Registered { server, .. }
            | Event::Updated { server }
                if *server != self.first => {}
            Event::Asleep { .. } => {
                self.asleep = true;
                let awake = now - self.last_message;
                if awake < self.awake_time && !std::mem::take(&mut self.told_to_sleep) {
                    return Err(format!("asleep {awake:?} after the last message"));
                }
            }
            Event::Awake { .. } | Event::Deregistered { .. } | Event::Disabled { .. } => {
                self.asleep = false;
            }
            Event::AttemptFailed { .. } => {
                self.asleep = false;
                self.attempts.failed_at = Some(now);
            }
            Event::Registered { .. } => {
                self.told_to_sleep = false;
                self.attempts.begin_anew();
            }
            Event::Updated { .. } => self.attempts.begin_anew(),
            _ => {}
        }
        self.events.push((now, event));
        Ok(())
    }
}

impl Attempts {
    fn new(sequence_delay: Duration) -> Self {
        Self { sequence_delay, ..Self::default() }
    }

    /// Every retry backs off: the waits of a sequence do not get shorter, at most
    /// two in a row are left out, and there are not many attempts in an hour.
    fn opened(&mut self, now: Instant) -> Result<(), String> {
        let wait = self.failed_at.take().map(|at| now - at);
        self.all.push(now);
        self.failing.push(now);
        let hour = self.failing.iter().rev().take_while(|at| now - **at < HOUR).count();
        if hour > MOST_IN_AN_HOUR {
            return Err(format!("{hour} failing attempts in an hour"));
        }
        let Some(wait) = wait else { return Ok(()) };
        if wait.is_zero() {
            // One for a link that ended, one for an Update that took 90 s to fail.
            self.at_once += 1;
            let message = format!("{} attempts without a pause", self.at_once);
            return if self.at_once > 2 { Err(message) } else { Ok(()) };
        }
        self.at_once = 0;
        let shortened = self
            .waits
            .last()
            .is_some_and(|before| wait < before.mul_f64(0.9) && *before < self.sequence_delay);
        self.waits.push(wait);
        match shortened {
            true => Err(format!("the back-off gets shorter: {:?}", self.waits)),
            false => Ok(()),
        }
    }

    /// A success, or the operator or another network asks for an attempt now: the
    /// back-off begins anew.
    pub(crate) fn begin_anew(&mut self) {
        self.failing.clear();
        self.waits.clear();
        self.failed_at = None;
        self.at_once = 0;
    }

    /// Times between failures and next attempts since the last success.
    pub fn waits(&self) -> &[Duration] {
        &self.waits
    }
}

/// Unix time in milliseconds at boot.
const WALL_AT_BOOT: i64 = 1_790_000_000_000;
/// More links than an engine opens in a story.
const LINKS_OF_AN_ENGINE: u32 = 1_000_000;
const HOUR: Duration = Duration::from_secs(3600);
/// Failing attempts in an hour that are still a back-off, with the shortest timers
/// that stories use.
const MOST_IN_AN_HOUR: usize = 30;
