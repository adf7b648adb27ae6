#![no_main]

//! A peer that sends anything at any time, and a layer above that does what it
//! likes: nothing panics, the state stays within its limits, time-outs are exact.

use std::time::Duration;

use lwm2m_coap::{CacheKey, Config, Draft, Endpoint, ExchangeId, Incoming, Kind, Message, Random};
use lwm2m_coap::{RequestId, StreamTarget, Token, method, option};
use lwm2m_model::{Code, ContentFormat, Instant};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    let mut script = data;
    while let Some((&step, rest)) = script.split_first() {
        script = world.step(step, rest);
        world.check();
    }
    world.end();
});

const MAX_EXCHANGES: usize = 4;
const MAX_QUEUE: usize = 4;

/// Largest body that is put together from blocks.
const MAX_BODY: usize = 4096;

/// Largest state, as text: four bodies of 64 KiB take up to five characters a byte.
const MAX_STATE: usize = 2_000_000;

struct World {
    endpoint: Endpoint,
    now: Instant,
    open: Vec<(ExchangeId, CacheKey, Token)>,
    requests: Vec<RequestId>,
    last_sent: Vec<u8>,
    /// Bytes of a request that the peer has sent in blocks.
    uploaded: usize,
}

impl World {
    fn new() -> Self {
        let config = Config {
            max_datagram: 128,
            answer_cache_entries: 4,
            answer_cache_bytes: 256,
            max_exchanges: MAX_EXCHANGES,
            max_queue: MAX_QUEUE,
            max_body: MAX_BODY,
            ..Config::default()
        };
        let mut endpoint = Endpoint::new(config, Random::from_seed([1; 32]));
        endpoint.set_streams(vec![StreamTarget { object: 3, resource: 0 }]);
        Self {
            endpoint,
            now: Instant::ZERO,
            open: Vec::new(),
            requests: Vec::new(),
            last_sent: Vec::new(),
            uploaded: 0,
        }
    }

    /// Does one step and gives what is left of the script.
    fn step<'a>(&mut self, step: u8, rest: &'a [u8]) -> &'a [u8] {
        let argument = rest.first().copied().unwrap_or(0);
        let after = rest.get(1..).unwrap_or_default();
        let now = self.now;
        match step % 14 {
            0 => {
                let len = usize::from(argument).min(after.len());
                let (datagram, after) = after.split_at(len);
                self.receive(datagram);
                return after;
            }
            1 => self.now = now + Duration::from_millis(u64::from(argument) * 20),
            2 => self.now = now + Duration::from_secs(u64::from(argument)),
            3 => self.now = self.now.max(self.endpoint.next_timeout().unwrap_or(now)),
            4 => {
                let request = self.endpoint.request(now, draft(method::POST, argument));
                assert!(!self.requests.contains(&request));
                self.requests.push(request);
            }
            5 => {
                if let Some((exchange, ..)) = self.open.pop() {
                    let code = if argument & 1 == 0 { Code::CONTENT } else { Code::CONTINUE };
                    self.endpoint.respond(now, exchange, draft(code, argument));
                }
            }
            6 => {
                if let Some((exchange, ..)) = self.open.pop() {
                    self.endpoint.ignore(exchange);
                }
            }
            7 => {
                if let Some(&(_, key, token)) = self.open.last() {
                    let kind =
                        if argument & 1 == 0 { Kind::Confirmable } else { Kind::NonConfirmable };
                    let notification =
                        draft(Code::CONTENT, argument).option_uint(option::OBSERVE, 1);
                    self.endpoint.notify(now, token, key, kind, notification);
                }
            }
            8 => {
                if let Some(&request) = self.requests.get(usize::from(argument)) {
                    self.endpoint.cancel(request);
                }
            }
            9 => {
                if let Some(&(.., token)) = self.open.last() {
                    self.endpoint.cancel_notifications(token);
                }
            }
            // An answer that fits what we sent last, or nearly.
            10 => self.reply(argument, draft(Code::CHANGED, argument)),
            11 => {
                let (&kind, after) = after.split_first().unwrap_or((&0, after));
                self.reply(kind, self.of_many(argument, kind));
                return after;
            }
            12 => self.upload(argument),
            _ => {
                let szx = u32::from(argument & 7);
                let number = u32::from(argument >> 3);
                let get = Draft::new(method::GET)
                    .option(option::URI_PATH, b"3")
                    .option_uint(option::BLOCK2, (number << 4) | szx);
                let id = u16::from(argument) << 4;
                self.receive(&get.encode(Kind::Confirmable, id, Token::default()));
            }
        }
        after
    }

    /// An answer that asks for more messages or is one of many.
    fn of_many(&self, argument: u8, choice: u8) -> Draft {
        let asked = Message::decode(&self.last_sent).ok();
        let asked = |number| asked.as_ref().and_then(|last| last.option_uint(number));
        // The block that was sent or asked for, in another size for some arguments.
        let near = |number: u16| {
            let block = asked(number).unwrap_or(u32::from(argument >> 5)) & !8;
            if argument & 16 == 0 { block } else { (block & !7) | u32::from(argument & 7) }
        };
        let more = u32::from(argument & 8);
        match choice >> 5 {
            0 | 1 => {
                Draft::new(Code::CONTINUE).option_uint(option::BLOCK1, near(option::BLOCK1) | more)
            }
            2 => Draft::new(Code::REQUEST_ENTITY_TOO_LARGE)
                .option_uint(option::BLOCK1, near(option::BLOCK1) | more),
            3 => Draft::new(Code::UNAUTHORIZED)
                .option(option::ECHO, &[1; 41][..usize::from(argument) % 42]),
            4 => Draft::new(Code::CHANGED).option_uint(option::BLOCK1, near(option::BLOCK1)),
            _ => {
                let block = near(option::BLOCK2) | more;
                let mut piece = Draft::new(Code::CONTENT).option_uint(option::BLOCK2, block);
                piece.payload = vec![argument; 16 << (block & 7)];
                piece
            }
        }
    }

    /// A block of a request of the peer: mostly the one that is next.
    fn upload(&mut self, argument: u8) {
        if argument & 0x80 != 0 {
            self.uploaded = 0;
        }
        let szx = u32::from(argument & 3);
        let (size, stray) = (16 << szx, u32::from(argument & 0x1c == 0x1c));
        let block = ((((self.uploaded / size) as u32 + stray) & 0xff) << 4) | szx;
        let more = u32::from(argument & 0x60 != 0) << 3;
        let mut put = Draft::new(method::PUT)
            .option(option::URI_PATH, b"3")
            .option(option::REQUEST_TAG, &[argument >> 2 & 3])
            .option_uint(option::BLOCK1, block | more);
        if argument & 8 != 0 {
            // What streams.
            put = put.option(option::URI_PATH, b"0").option(option::URI_PATH, b"0");
        }
        put.payload = vec![argument; size];
        self.uploaded += size;
        let id = (self.uploaded as u16) << 2 | 1;
        self.receive(&put.encode(Kind::Confirmable, id, Token::default()));
    }

    fn reply(&mut self, argument: u8, answer: Draft) {
        let Ok(last) = Message::decode(&self.last_sent) else { return };
        let (id, token) = (last.id, last.token);
        let empty = Draft::new(method::EMPTY);
        let datagram = match argument % 5 {
            0 => empty.encode(Kind::Acknowledgement, id, Token::default()),
            1 => empty.encode(Kind::Reset, id, Token::default()),
            2 => answer.encode(Kind::Acknowledgement, id, token),
            3 => answer.encode(Kind::Confirmable, id, token),
            _ => answer.encode(Kind::NonConfirmable, id, token),
        };
        self.receive(&datagram);
    }

    fn receive(&mut self, datagram: &[u8]) {
        let incoming = self.endpoint.handle_datagram(self.now, datagram);
        if let Some(Incoming::Request { message, .. } | Incoming::Response { message, .. }) =
            &incoming
        {
            assert!(message.payload.len() <= MAX_BODY.max(datagram.len()));
        }
        if let Some(
            Incoming::Request { exchange, key, message }
            | Incoming::Block { exchange, key, message, .. },
        ) = incoming
        {
            assert!(self.open.iter().all(|(known, ..)| *known != exchange));
            self.open.push((exchange, key, message.token));
            // What was not answered for long may have expired in the endpoint.
            if self.open.len() > 4 * MAX_EXCHANGES {
                self.open.remove(0);
            }
        }
        // The answer, and the message that may follow one that is done.
        assert!(self.drain() <= 2);
    }

    /// What holds after every step.
    fn check(&mut self) {
        self.drain();
        self.endpoint.handle_timeout(self.now);
        // Empty ACKs, one repetition, one message that follows.
        assert!(self.drain() <= MAX_EXCHANGES + 2);
        self.endpoint.handle_timeout(self.now);
        assert_eq!(self.drain(), 0);
        let next = self.endpoint.next_timeout();
        assert!(next.is_none_or(|next| next > self.now));
        assert!(next.is_some() || self.endpoint.is_idle());
    }

    fn drain(&mut self) -> usize {
        let mut sent = 0;
        while let Some(datagram) = self.endpoint.poll_transmit() {
            Message::decode(&datagram).unwrap();
            self.last_sent = datagram;
            sent += 1;
        }
        while self.endpoint.poll_event().is_some() {}
        sent
    }

    /// Silence ends everything, in a bounded number of steps.
    fn end(&mut self) {
        assert!(format!("{:?}", self.endpoint).len() < MAX_STATE);
        let mut steps = 0;
        while let Some(next) = self.endpoint.next_timeout() {
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 1000);
        }
        assert!(self.endpoint.is_idle());
    }
}

/// A message whose payload may need blocks.
fn draft(code: Code, argument: u8) -> Draft {
    let payload = vec![argument; usize::from(argument) * 4];
    Draft::new(code).content(ContentFormat::OPAQUE, payload)
}
