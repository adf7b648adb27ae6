//! Verbs for stories: what a test says, one line each.

use std::time::Duration;

use lwm2m_engine::{Command, Event, Input, LocalRequest, ServerState};
use lwm2m_model::{Code, ContentFormat, Instant, ObjectDef, Path, Value};

use crate::{Ask, Cut, Memory, Notice, Outage, Outcome, Response, Security, Setup, Ticket, World};

/// Seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Time.
impl World {
    /// A world in which the device has just registered.
    pub fn registered(change: impl FnOnce(&mut Setup)) -> Self {
        let mut world = Self::new(change);
        world.until_registered(secs(60));
        world
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        let mut at_this_moment = 0_u32;
        let mut moment = self.now;
        while self.step(until) {
            at_this_moment = if self.now == moment { at_this_moment + 1 } else { 0 };
            moment = self.now;
            if at_this_moment > MOST_AT_ONE_MOMENT {
                self.fail("time stands still: somebody is due again and again");
            }
        }
    }

    /// Lets time pass until `wanted` holds; fails if it does not within `cap`.
    pub fn run_until(&mut self, what: &str, cap: Duration, wanted: impl Fn(&Self) -> bool) {
        let until = self.now + cap;
        let mut steps = 0_u64;
        while !wanted(self) {
            steps += 1;
            if !self.step(until) || steps > MOST_STEPS {
                if wanted(self) {
                    return;
                }
                self.fail(&format!("not within {cap:?}: {what}"));
            }
        }
    }

    /// Lets time pass until device and server agree that it is registered and awake.
    pub fn until_registered(&mut self, cap: Duration) {
        self.run_until("registered", cap, |world| {
            world.state() == ServerState::Registered && world.server.believed().is_some()
        });
        // The last ACK may still be on its way.
        self.run_for(ms(200));
    }

    /// Lets time pass until the device sleeps.
    pub fn until_asleep(&mut self) {
        self.run_until("asleep", secs(300), |world| world.device.is_asleep());
    }
}

/// The server asks.
impl World {
    /// Sends a request and goes on without waiting for the answer.
    pub fn send(&mut self, ask: Ask) -> Ticket {
        let ticket = self.server.ask(self.now, ask);
        self.settle();
        ticket
    }

    /// What came of a request, in the end.
    pub fn outcome(&mut self, ticket: Ticket) -> Outcome {
        self.run_until("an outcome", secs(400), |world| world.server.outcome(ticket).is_some());
        self.server.outcome(ticket).cloned().expect("it is there now")
    }

    /// The answer to a request, in the end.
    pub fn response(&mut self, ticket: Ticket) -> Response {
        match self.outcome(ticket) {
            Outcome::Response(response) => response,
            outcome => self.fail(&format!("no answer: {outcome:?}")),
        }
    }

    /// Sends a request and waits for the answer.
    pub fn ask(&mut self, ask: Ask) -> Response {
        let ticket = self.send(ask);
        self.response(ticket)
    }

    /// The code of the answer to a request.
    pub fn code(&mut self, ask: Ask) -> Code {
        self.ask(ask).code
    }

    /// Reads a path in the device's own format.
    pub fn read(&mut self, path: &str) -> Response {
        self.ask(Ask::read(path))
    }

    /// Writes text to a resource.
    pub fn write(&mut self, path: &str, text: &str) -> Code {
        self.code(Ask::write(path, ContentFormat::TEXT, text))
    }

    /// Executes a resource.
    pub fn execute(&mut self, path: &str, arguments: &str) -> Code {
        self.code(Ask::execute(path, arguments))
    }

    /// Attaches attributes.
    pub fn attach(&mut self, path: &str, query: &str) -> Code {
        self.code(Ask::attributes(path, query))
    }

    /// The links of a path, as text.
    pub fn discover(&mut self, path: &str) -> String {
        self.ask(Ask::discover(path)).text().to_owned()
    }

    /// Observes a path; gives the token. The values of single resources are text.
    pub fn observe(&mut self, path: &str, query: &str) -> Vec<u8> {
        let response = self.ask(Ask::observe(path, query));
        if response.code != Code::CONTENT || response.observe.is_none() {
            self.fail(&format!("the observation of {path} was not taken: {response:?}"));
        }
        response.token
    }

    /// The notifications that came since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.server.notices)
    }

    /// When notifications came, in whole seconds after `from`, with their texts.
    pub fn noticed_since(&mut self, from: Instant) -> Vec<(u64, String)> {
        let notices = self.take_notices();
        let shown =
            notices.iter().map(|notice| ((notice.at - from).as_secs(), notice.text().to_owned()));
        shown.collect()
    }

    /// The server starts anew and knows nothing.
    pub fn restart_server(&mut self) {
        self.server.restart();
        self.network.forget_sessions();
    }

    /// The server forgets the device, which it does not tell.
    pub fn server_forgets(&mut self) {
        self.server.restart();
    }
}

/// The device.
impl World {
    /// What the engine does for its server now.
    pub fn state(&self) -> ServerState {
        self.device.status().state
    }

    /// Changes a value, and the object says so.
    pub fn change(&mut self, path: &str, value: Value) {
        self.device.objects.set(path, value);
        let path: Path = path.parse().expect("stories name real paths");
        self.tell_device(Input::Changed(path));
    }

    /// Adds an object to the device, and lets the server hear of it.
    pub fn add_object(&mut self, definition: &ObjectDef, instances: &[u16]) {
        self.device.objects.define(definition, instances);
        self.announce(definition.id);
        self.run_for(secs(6));
    }

    /// Tells the engine which instances an object has now.
    pub fn announce(&mut self, object: u16) {
        self.device.announce(self.now, object, &mut self.log);
        self.settle();
    }

    /// The operator commands.
    pub fn command(&mut self, command: Command) {
        if let Command::Update { .. } | Command::Wake { .. } | Command::FactoryReset { .. } =
            command
        {
            self.device.attempts.begin_anew();
        }
        self.device.command(self.now, command, &mut self.log);
        self.settle();
    }

    /// The operator asks for something on the device itself.
    pub fn ask_locally(&mut self, id: u64, request: LocalRequest) {
        self.command(Command::Request { id, request });
    }

    /// The device moves to another network: its address is another one.
    pub fn change_address(&mut self) {
        let link = self.network.change_address();
        if let Some(link) = link {
            let reason = "the local address is gone".into();
            self.tell_device(Input::LinkDown { link: self.device.inside(link), reason });
        }
        self.device.attempts.begin_anew();
        self.tell_device(Input::NetworkChanged);
    }

    /// The device is killed, and starts again after a while.
    pub fn restart_after(&mut self, off: Duration, cut: Cut, memory: Memory) {
        self.kill(cut, memory);
        self.run_for(off);
        self.start();
    }

    /// The open link ends, for this reason.
    pub fn lose_link(&mut self, reason: &str) {
        if let Some(link) = self.network.lose_link() {
            self.tell_device(Input::LinkDown {
                link: self.device.inside(link),
                reason: reason.to_owned(),
            });
        }
    }

    /// The device has no route any more, and its link ends.
    pub fn lose_network(&mut self) {
        self.network.outage = Some(Outage::NoRoute);
        self.lose_link("network is unreachable");
    }

    /// Lets time pass without a network, then with one until the device is registered.
    pub fn regain_network_after(&mut self, away: Duration) {
        self.run_for(away);
        self.network.heal();
        self.until_registered(secs(100));
    }

    /// The wall clock steps; the time since boot does not.
    pub fn step_wall(&mut self, milliseconds: i64) {
        self.device.step_wall(milliseconds);
    }

    /// Datagrams of the device since `from`, with their times.
    pub fn sent_since(&self, from: Instant) -> Vec<Instant> {
        self.device.sent.iter().map(|(at, _)| *at).filter(|at| *at >= from).collect()
    }

    /// When the device last sent a datagram.
    pub fn last_sent(&self) -> Instant {
        self.device.sent.last().map_or(Instant::ZERO, |(at, _)| *at)
    }

    /// When events happened that `wanted` picks.
    pub fn events(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Instant> {
        let events = self.device.events.iter();
        events.filter(|(_, event)| wanted(event)).map(|(at, _)| *at).collect()
    }

    /// The reasons of ended observations.
    pub fn ended_observations(&self) -> Vec<String> {
        let events = self.device.events.iter();
        events
            .filter_map(|(_, event)| match event {
                Event::ObservationEnded { path, reason, .. } => Some(format!("{path}: {reason}")),
                _ => None,
            })
            .collect()
    }
}

impl Setup {
    /// The device sleeps, over links of this kind.
    pub fn sleeps_over(&mut self, security: Security) {
        self.queue_mode();
        if security != Security::None {
            self.secured(security);
        }
    }
}

/// Steps without a step of time that no honest world takes.
const MOST_AT_ONE_MOMENT: u32 = 20_000;
/// Steps in one wait.
const MOST_STEPS: u64 = 50_000_000;
