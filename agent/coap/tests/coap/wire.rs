//! Two endpoints over a wire that loses, doubles, delays and reorders.
//!
//! Each side asks the other things and takes its time to answer. Whatever the
//! wire does: no request is worked on twice, an answer is the one to its
//! question, and in the end both sides rest.

use std::collections::HashMap;

use lwm2m_coap::{
    Config, Draft, Endpoint, Event, ExchangeId, Incoming, Message, Random, RequestId, method,
    option,
};
use lwm2m_model::{Code, ContentFormat, Instant};

use crate::support::at;

/// Chances in percent.
#[derive(Clone, Copy)]
struct Weather {
    lost: u64,
    doubled: u64,
}

struct Side {
    endpoint: Endpoint,
    /// Answers that are being worked out: when, to what, what.
    work: Vec<(Instant, ExchangeId, u32)>,
    /// Questions asked and not yet answered.
    asked: HashMap<RequestId, u32>,
    /// How often each question was worked on here.
    worked_on: HashMap<u32, u32>,
    answered: usize,
    timed_out: usize,
}

impl Side {
    fn new(random: &mut Random) -> Self {
        let config = Config { answer_cache_entries: 256, ..Config::default() };
        Self {
            endpoint: Endpoint::new(config, Random::from_seed(random.seed())),
            work: Vec::new(),
            asked: HashMap::new(),
            worked_on: HashMap::new(),
            answered: 0,
            timed_out: 0,
        }
    }

    fn next(&self) -> Option<Instant> {
        let work = self.work.iter().map(|(due, ..)| *due);
        work.chain(self.endpoint.next_timeout()).min()
    }

    fn ask(&mut self, now: Instant, question: u32) {
        let draft = Draft::new(method::POST)
            .content(ContentFormat::OPAQUE, question.to_be_bytes().to_vec());
        let request = self.endpoint.request(now, draft);
        self.asked.insert(request, question);
    }

    fn receive(&mut self, now: Instant, datagram: &[u8], random: &mut Random) {
        match self.endpoint.handle_datagram(now, datagram) {
            Some(Incoming::Request { exchange, message, .. }) => {
                let question = number(&message);
                *self.worked_on.entry(question).or_default() += 1;
                let due = now + std::time::Duration::from_millis(random.u64() % 4000);
                self.work.push((due, exchange, question));
            }
            Some(Incoming::Response { request, message }) => {
                let question = self.asked.remove(&request).expect("an open question");
                assert_eq!(number(&message), question + 1);
                self.answered += 1;
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }

    fn act(&mut self, now: Instant) {
        let (due, rest) = self.work.drain(..).partition(|(due, ..)| *due <= now);
        self.work = rest;
        let due: Vec<(Instant, ExchangeId, u32)> = due;
        for (_, exchange, question) in due {
            let answer = (question + 1).to_be_bytes().to_vec();
            let draft = Draft::new(Code::CHANGED).content(ContentFormat::OPAQUE, answer);
            self.endpoint.respond(now, exchange, draft);
        }
        self.endpoint.handle_timeout(now);
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::RequestTimedOut { request } => {
                    self.asked.remove(&request).expect("an open question");
                    self.timed_out += 1;
                }
                Event::NotificationTimedOut { .. } => panic!("no notifications here"),
            }
        }
    }
}

fn number(message: &Message<'_>) -> u32 {
    u32::from_be_bytes(message.payload[..].try_into().expect("four bytes"))
}

/// Datagrams under way: when they arrive, at which side, what they are.
#[derive(Default)]
struct Wire {
    under_way: Vec<(Instant, usize, Vec<u8>)>,
}

impl Wire {
    fn carry(
        &mut self,
        now: Instant,
        to: usize,
        datagram: &[u8],
        weather: Weather,
        random: &mut Random,
    ) {
        let copies = 1 + u64::from(random.u64() % 100 < weather.doubled);
        for _ in 0..copies {
            if random.u64() % 100 >= weather.lost {
                let delay = std::time::Duration::from_millis(1 + random.u64() % 1500);
                self.under_way.push((now + delay, to, datagram.to_vec()));
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.iter().map(|(arrival, ..)| *arrival).min()
    }

    fn arrived(&mut self, now: Instant) -> Vec<(usize, Vec<u8>)> {
        let (arrived, rest) = self.under_way.drain(..).partition(|(arrival, ..)| *arrival <= now);
        self.under_way = rest;
        let arrived: Vec<(Instant, usize, Vec<u8>)> = arrived;
        arrived.into_iter().map(|(_, to, datagram)| (to, datagram)).collect()
    }
}

const QUESTIONS: u32 = 20;

/// A conversation to its end: how many questions were answered and how many given up.
fn converse(seed: u8, weather: Weather) -> (usize, usize) {
    let mut random = Random::from_seed([seed; 32]);
    let mut sides = [Side::new(&mut random), Side::new(&mut random)];
    let mut wire = Wire::default();
    let mut now = at(0);
    for question in 0..QUESTIONS {
        for side in &mut sides {
            side.ask(now, question * 2);
        }
    }
    let mut steps = 0;
    loop {
        for (from, side) in sides.iter_mut().enumerate() {
            side.act(now);
            while let Some(datagram) = side.endpoint.poll_transmit() {
                wire.carry(now, 1 - from, &datagram, weather, &mut random);
            }
        }
        let next = [sides[0].next(), sides[1].next(), wire.next()].into_iter().flatten().min();
        let Some(next) = next else { break };
        now = now.max(next);
        for (to, datagram) in wire.arrived(now) {
            sides[to].receive(now, &datagram, &mut random);
        }
        steps += 1;
        assert!(steps < 100_000, "the conversation does not end");
    }
    for side in &sides {
        assert!(side.endpoint.is_idle());
        assert!(side.asked.is_empty());
        assert!(side.worked_on.values().all(|times| *times == 1), "{:?}", side.worked_on);
    }
    (sides[0].answered + sides[1].answered, sides[0].timed_out + sides[1].timed_out)
}

#[test]
fn on_a_good_wire_every_question_is_answered() {
    for seed in 0..20 {
        let (answered, timed_out) = converse(seed, Weather { lost: 0, doubled: 0 });
        assert_eq!((answered, timed_out), (2 * QUESTIONS as usize, 0));
    }
}

/// TRN-40.
#[test]
fn on_a_bad_wire_nothing_is_done_twice_and_nearly_all_is_answered() {
    let (mut answered, mut timed_out) = (0, 0);
    for seed in 0..100 {
        let one = converse(seed, Weather { lost: 20, doubled: 20 });
        answered += one.0;
        timed_out += one.1;
    }
    assert_eq!(answered + timed_out, 100 * 2 * QUESTIONS as usize);
    assert!(timed_out * 50 < answered, "{timed_out} of {answered}");
}

#[test]
fn on_a_dead_wire_everything_ends() {
    let (answered, timed_out) = converse(0, Weather { lost: 100, doubled: 0 });
    assert_eq!((answered, timed_out), (0, 2 * QUESTIONS as usize));
}

/// A request and its answer, each of many blocks, over a bad wire: the peer gets one
/// request, whole, and we one answer, whole.
#[test]
fn bodies_arrive_whole_and_once_in_both_directions_over_a_bad_wire() {
    let body = |len: u32| (0..len).map(|at| (at / 16) as u8).collect::<Vec<u8>>();
    let mut answered = 0;
    for seed in 0..60_u8 {
        let mut random = Random::from_seed([seed; 32]);
        // Sides that prefer other sizes than each other, in both directions.
        let mut sides = [[1152, 300], [300, 1152], [1152, 64]][usize::from(seed) % 3].map(|max| {
            let config = Config { max_datagram: max, ..Config::default() };
            Endpoint::new(config, Random::from_seed(random.seed()))
        });
        let mut wire = Wire::default();
        let weather = Weather { lost: 10, doubled: 10 };
        let mut now = at(0);
        let draft = Draft::new(method::POST).option(option::URI_PATH, b"3");
        let request = sides[0].request(now, draft.content(ContentFormat::OPAQUE, body(5000)));
        let (mut worked_on, mut outcome) = (0, None);
        while outcome.is_none() {
            for (side, endpoint) in sides.iter_mut().enumerate() {
                endpoint.handle_timeout(now);
                while let Some(datagram) = endpoint.poll_transmit() {
                    assert!(datagram.len() <= endpoint.config().max_datagram);
                    wire.carry(now, 1 - side, &datagram, weather, &mut random);
                }
            }
            if let Some(event) = sides[0].poll_event() {
                assert_eq!(event, Event::RequestTimedOut { request });
                outcome = Some(false);
            }
            let next = [sides[0].next_timeout(), sides[1].next_timeout(), wire.next()];
            let Some(next) = next.into_iter().flatten().min() else { break };
            now = now.max(next);
            for (to, datagram) in wire.arrived(now) {
                match sides[to].handle_datagram(now, &datagram) {
                    Some(Incoming::Request { exchange, message, .. }) => {
                        assert_eq!((to, &message.payload[..]), (1, &body(5000)[..]));
                        worked_on += 1;
                        let draft = Draft::new(Code::CHANGED);
                        let draft = draft.content(ContentFormat::OPAQUE, body(10_000));
                        sides[1].respond(now, exchange, draft);
                    }
                    Some(Incoming::Response { request: of, message }) => {
                        assert_eq!((to, of), (0, request));
                        assert_eq!(
                            (message.code, &message.payload[..]),
                            (Code::CHANGED, &body(10_000)[..])
                        );
                        outcome = Some(true);
                    }
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
            }
        }
        assert!(worked_on <= 1);
        answered += u32::from(outcome == Some(true));
        while let Some(next) = sides.iter().filter_map(Endpoint::next_timeout).min() {
            now = now.max(next);
            sides.iter_mut().for_each(|endpoint| endpoint.handle_timeout(now));
        }
        assert!(sides.iter().all(Endpoint::is_idle));
    }
    assert!(answered > 50, "{answered} of 60");
}
