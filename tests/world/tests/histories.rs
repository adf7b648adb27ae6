//! A thousand random histories: hours in which everything that can happen does, in
//! any order, the device being killed too, and invariants that hold all the time or once the faults have ended.
//!
//! 1. Registered means reachable. 2. An observation that the server believes in is
//!    held. 3. No request runs twice, unless the device was killed in between. 4. Memory is
//!    bounded. 5. Every retry backs off. 6. Asleep means no datagram. 7. A value that
//!    streams arrives as it was sent or not at all. (5 and 6 are watched by the device
//!    itself, the order of 7 by the object.)
//!
//! One history: `LWM2M_WORLD_SEED=17 cargo test -p lwm2m-world --test histories`.
//! More of them, for a night: `LWM2M_WORLD_HISTORIES=100000` before the same command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lwm2m_engine::{Command, ServerState};
use lwm2m_model::{Code, ContentFormat, Value};
use lwm2m_world::{
    Ask, Cut, Dice, Lane, Memory, Outage, Outcome, PACKAGE, Pace, Security, World, ms, option,
    secs, short_retry,
};

const HISTORIES: u64 = 1000;

#[test]
fn histories_over_plain_links_keep_the_invariants() {
    tell(0);
}

#[test]
fn histories_over_secure_links_keep_the_invariants() {
    tell(1);
}

#[test]
fn histories_over_plain_links_with_sleep_keep_the_invariants() {
    tell(2);
}

#[test]
fn histories_over_secure_links_with_sleep_keep_the_invariants() {
    tell(3);
}

/// Tells the histories of one kind: every fourth.
fn tell(kind: u64) {
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = setting("LWM2M_WORLD_SEED") {
        if seed % 4 == kind {
            History::new(seed, true).tell();
        }
        return;
    }
    let histories = setting("LWM2M_WORLD_HISTORIES").unwrap_or(HISTORIES);
    for seed in (kind..histories).step_by(4) {
        if catch_unwind(AssertUnwindSafe(|| History::new(seed, false).tell())).is_err() {
            eprintln!("again, with its log:");
            eprintln!("  LWM2M_WORLD_SEED={seed} cargo test -p lwm2m-world --test histories");
            History::new(seed, true).tell();
            panic!("history {seed} is not repeatable");
        }
    }
}

struct History {
    world: World,
    dice: Dice,
    seed: u64,
    /// Numbers of Executes and Writes, each used once.
    next_number: u32,
    next_token: u32,
    requests: usize,
}

impl History {
    fn new(seed: u64, keeps_log: bool) -> Self {
        let dice = Dice::new(seed ^ 0xfeed);
        let mut world = World::new(|setup| {
            setup.seed = seed;
            setup.keeps_log = keeps_log;
            if seed % 4 >= 2 {
                setup.queue_mode();
            }
            if seed % 2 == 1 {
                let full = seed.is_multiple_of(3);
                setup.secured(if full { Security::FullHandshakes } else { Security::Resumes });
            }
            let account = setup.account();
            account.retry = short_retry();
            account.lifetime = 300;
            account.disable_timeout = 200;
            account.notification_storing = !seed.is_multiple_of(5);
            account.confirmable_notifications = seed.is_multiple_of(7);
        });
        world.device.objects.define(&PACKAGE, &[0]);
        world.announce(PACKAGE.id);
        Self { world, dice, seed, next_number: 0, next_token: 0, requests: 0 }
    }

    fn tell(mut self) {
        let length = secs(3600) + self.dice.span(secs(0), secs(7200));
        while self.world.elapsed() < length {
            let longest = *self.dice.pick(&[1, 5, 20, 100, 300]);
            let pause = self.dice.span(ms(10), secs(longest));
            self.world.run_for(pause);
            if self.world.device.is_dead() {
                self.world.start();
            }
            self.something_happens();
            self.check_always();
        }
        self.faults_end();
        self.check_registered();
        self.check_observations();
        self.check_streams();
        self.check_always();
    }

    fn something_happens(&mut self) {
        match self.dice.below(100) {
            0..30 => self.a_value_changes(),
            30..60 => self.the_server_asks(),
            60..75 => self.the_network_changes(),
            75..80 => self.the_server_changes(),
            80..88 => self.the_objects_change(),
            88..93 => self.the_device_moves(),
            93..97 => self.the_operator_acts(),
            _ => {
                let step = self.dice.below(20_000_000_000) as i64 - 10_000_000_000;
                self.world.step_wall(step);
            }
        }
    }

    fn a_value_changes(&mut self) {
        let number = self.dice.below(1000) as f64 / 10.0;
        match self.dice.below(4) {
            0 if self.has_second_sensor() => {
                self.world.change("/3303/1/5700", Value::Float(number))
            }
            1 => self.world.change("/33100/0/1", Value::Integer(number as i64)),
            _ => self.world.change("/3303/0/5700", Value::Float(number)),
        }
    }

    fn the_server_asks(&mut self) {
        self.next_number += 1;
        let number = self.next_number;
        let readable = ["/3/0/0", "/3303", "/3303/1", "/3/0", "/33100/0/1", "/5/0/1", "/1/0"];
        let observable =
            ["/3303", "/3303/0", "/3303/0/5700", "/3303/1/5700", "/33100/0/1", "/33100/0"];
        let attributes = [
            "pmin=5", "pmax=40", "pmin", "pmax", "con=1", "con=0", "epmin=3", "hqmax=2", "hqmax=0",
        ];
        let (read, observed) = (*self.dice.pick(&readable), *self.dice.pick(&observable));
        let ask = match self.dice.below(12) {
            0..3 => Ask::read(read),
            3 => Ask::execute("/3303/0/5605", &format!("0='{number}'")),
            4 => Ask::execute("/33100/0/2", &format!("0='{number}'")),
            5 => {
                let ask = Ask::write("/3303/0/5750", ContentFormat::TEXT, number.to_string());
                if self.dice.chance(0.2) { ask.unconfirmed() } else { ask }
            }
            6..9 => {
                self.next_token += 1;
                let query = *self.dice.pick(&["", "", "pmin=2", "pmax=30", "con=1"]);
                let token = (0x5000_0000 + self.next_token).to_be_bytes();
                Ask::observe(observed, query).token(&token)
            }
            9 => {
                let held = self.world.server.believed().map(|known| known.observations.clone());
                let held: Vec<_> = held.into_iter().flatten().collect();
                if held.is_empty() {
                    return;
                }
                let (token, path) = self.dice.pick(&held).clone();
                if self.dice.chance(0.3) {
                    self.world.server.forget_observation(&token);
                    return;
                }
                Ask::cancel(&path, &token)
            }
            10 => {
                let query = *self.dice.pick(&attributes);
                Ask::attributes(observed, query)
            }
            _ => match self.dice.below(5) {
                0 => Ask::execute("/1/0/8", ""),
                1 => Ask::execute("/1/0/4", ""),
                2 => {
                    let lifetime = (100 + self.dice.below(400)).to_string();
                    Ask::write("/1/0/1", ContentFormat::TEXT, lifetime)
                }
                3 => {
                    let value = package(number, self.dice.below(400) as usize);
                    let push = Ask::write("/33102/0/0", ContentFormat::OPAQUE, value);
                    // Without a tag blocks of two requests could be taken for one (RFC 9175 3).
                    let push = push.option(option::REQUEST_TAG, number.to_be_bytes());
                    push.in_blocks(self.dice.below(4) as u32)
                }
                _ => Ask::discover(read),
            },
        };
        self.requests += 1;
        self.world.send(ask);
    }

    fn the_network_changes(&mut self) {
        let dice = &mut self.dice;
        let network = &mut self.world.network;
        match dice.below(8) {
            0 => network.outage = Some(Outage::BlackHole),
            1 => network.outage = Some(Outage::NoRoute),
            2 | 3 => network.heal(),
            4 => network.rebind(),
            5 => network.nat_idle = Some(dice.span(secs(20), secs(300))),
            6 => network.open_failure = Some("no such host".into()),
            _ => {
                network.up = lane(dice);
                network.down = lane(dice);
            }
        }
    }

    fn the_server_changes(&mut self) {
        match self.dice.below(5) {
            0 => self.world.restart_server(),
            1 => self.world.server_forgets(),
            2 => self.world.server.manner.is_silent ^= true,
            3 => self.world.server.manner.refuses_update = Some(Code::BAD_REQUEST),
            _ => {
                self.world.server.manner.refuses_update = None;
                self.world.server.manner.is_silent = false;
            }
        }
    }

    fn the_objects_change(&mut self) {
        match self.dice.below(6) {
            0 => self.set_pace(Pace::Never),
            1 | 2 => {
                let pace = Pace::After(self.dice.span(ms(100), secs(90)));
                self.set_pace(pace);
            }
            3 => self.world.device.objects.refuse(3303, Some(Code::INTERNAL_SERVER_ERROR)),
            4 => self.all_objects_answer(),
            _ if self.has_second_sensor() => {
                self.world.device.objects.remove("/3303/1");
                self.world.announce(3303);
            }
            _ => {
                self.world.device.objects.add_instance(3303, 1);
                self.world.device.objects.set("/3303/1/5700", Value::Float(1.0));
                self.world.announce(3303);
            }
        }
    }

    fn the_device_moves(&mut self) {
        match self.dice.below(4) {
            0 => self.world.change_address(),
            1 => self.the_device_dies(),
            2 => {
                self.world.device.store.fails = self.dice.chance(0.3);
                self.world.device.store.pace = self.dice.span(ms(0), secs(4));
            }
            _ => self.world.lose_link("the link ended"),
        }
    }

    /// At this moment, or a little later.
    fn the_device_dies(&mut self) {
        let dice = &mut self.dice;
        let memory = *dice.pick(&[Memory::Kept, Memory::Lost]);
        let cut = *dice.pick(&[Cut::Before, Cut::After]);
        if dice.chance(0.5) {
            (self.world.memory, self.world.cut) = (memory, cut);
            let outputs = self.world.device.outputs;
            self.world.device.dies_before = Some(outputs + dice.below(20));
            return;
        }
        let off = dice.span(ms(10), secs(400));
        self.world.restart_after(off, cut, memory);
    }

    fn the_operator_acts(&mut self) {
        let server = None;
        let command = match self.dice.below(10) {
            9 => Command::FactoryReset { id: 0 },
            number => match number % 3 {
                0 => Command::Update { server },
                1 => Command::Wake { server },
                _ => Command::Sleep { server },
            },
        };
        self.world.command(command);
    }

    fn set_pace(&mut self, pace: Pace) {
        let objects = &mut self.world.device.objects;
        objects.set_pace(33100, pace);
        objects.set_pace(PACKAGE.id, pace);
    }

    fn all_objects_answer(&mut self) {
        self.set_pace(Pace::AtOnce);
        self.world.device.objects.refuse(3303, None);
    }

    fn has_second_sensor(&self) -> bool {
        self.world.device.objects.value("/3303/1/5700").is_some()
    }

    /// Everything works again, and whatever was under way comes to its end.
    fn faults_end(&mut self) {
        self.world.network.heal();
        self.world.device.dies_before = None;
        self.world.device.store.fails = false;
        self.world.device.store.pace = ms(10);
        if self.world.device.is_dead() {
            self.world.start();
        }
        self.world.server.manner.is_silent = false;
        self.world.server.manner.refuses_update = None;
        self.all_objects_answer();
        self.world.run_for(LONGEST_LIFETIME + LONGEST_WAIT);
    }

    /// 3 and 4.
    fn check_always(&self) {
        let device = &self.world.device;
        for (what, runs) in &device.objects.runs {
            if *runs > 1 {
                self.fail(&format!("{what} ran {runs} times"));
            }
        }
        if device.open_calls > MOST_OPEN_CALLS {
            self.fail(&format!("{} calls are open", device.open_calls));
        }
        let held = device.status().observations;
        if held > self.next_token as usize {
            self.fail(&format!("{held} observations are held"));
        }
    }

    /// 1.
    fn check_registered(&mut self) {
        let state = self.world.state();
        if !matches!(state, ServerState::Registered | ServerState::Asleep) {
            self.fail(&format!("not registered but {state:?}"));
        }
        if self.world.server.believed().is_none() {
            self.fail("the server does not know the device");
        }
        let ticket = self.world.send(Ask::read("/3/0/0"));
        self.world.run_for(LONGEST_LIFETIME + secs(300));
        match self.world.server.outcome(ticket) {
            Some(Outcome::Response(response)) if response.text() == "Acme" => {}
            outcome => self.fail(&format!("a Read is not answered: {outcome:?}")),
        }
    }

    /// 2: each of them tells the next change of its value.
    fn check_observations(&mut self) {
        let Some(believed) = self.world.server.believed() else {
            self.fail("the server does not know the device");
        };
        let believed = believed.observations.clone();
        self.world.take_notices();
        for (path, value) in [
            ("/3303/0/5700", Value::Float(777.0)),
            ("/3303/1/5700", Value::Float(777.0)),
            ("/33100/0/1", Value::Integer(777)),
        ] {
            if self.world.device.objects.value(path).is_some() {
                self.world.change(path, value);
            }
        }
        self.world.run_for(LONGEST_PMIN);
        let told = self.world.take_notices();
        for (token, path) in believed {
            if !told.iter().any(|notice| notice.token == token) {
                self.fail(&format!("{path} ({token:02x?}) is observed and not told"));
            }
        }
    }

    /// 7.
    fn check_streams(&self) {
        let packages = &self.world.device.objects.packages;
        for value in &packages.taken {
            let number = value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            if number.is_none_or(|number| *value != package(number, value.len() - NUMBER)) {
                self.fail(&format!("{value:?} was never sent"));
            }
        }
        if !packages.parts.is_empty() {
            self.fail("a stream has broken off and its object was not told");
        }
    }

    fn fail(&self, why: &str) -> ! {
        self.world.fail(&format!("history {}: {why}", self.seed))
    }
}

/// A value that shows where it comes from: its number, then so many bytes.
fn package(number: u32, len: usize) -> Vec<u8> {
    let rest = (0..len).map(|at| (at as u32 + number + len as u32) as u8);
    number.to_be_bytes().into_iter().chain(rest).collect()
}

/// Bytes of the number at the start of a package.
const NUMBER: usize = 4;

fn lane(dice: &mut Dice) -> Lane {
    Lane {
        most_delay: dice.span(ms(20), ms(2000)),
        loss: dice.fraction() * 0.3,
        duplication: dice.fraction() * 0.3,
        reordering: dice.fraction() * 0.3,
        ..Lane::good()
    }
}

/// The longest lifetime that a history writes.
const LONGEST_LIFETIME: Duration = Duration::from_secs(500);
/// Once the faults have ended: the delay between two sequences with its jitter, two
/// requests that time out, the longest back-off of a sample.
const LONGEST_WAIT: Duration = Duration::from_secs(660 + 2 * 93 + 400);
/// A pmin of 5 s and whatever travels.
const LONGEST_PMIN: Duration = Duration::from_secs(60);
/// Eight requests and a sample for each of three objects, the objects' own queues
/// holding what the engine gave up.
const MOST_OPEN_CALLS: usize = 400;
