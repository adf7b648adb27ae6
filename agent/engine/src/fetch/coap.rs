//! A package fetched by block-wise GET (Transport 13; RFC 7959 2.4): sans-IO.
//!
//! 1. A link is opened. The first request asks for block 0, or to resume for the block
//!    that holds the offset.
//! 2. Its answer settles ETag, size and size of the blocks: `Begin`. If it is of another
//!    version than what is stored, block 0 is asked for.
//! 3. Blocks follow, several at once if nothing is lost; they are handed out in order, in
//!    parts, each when the one before was taken. No more is asked for than two parts hold.
//! 4. A block of another version: from the start, once.
//! 5. The last block, or a failure: what has come in order is handed out, then the end.

mod receive;

use std::collections::VecDeque;
use std::time::Duration;

use lwm2m_coap::{Block, Config, Draft, Endpoint, Event, Random, RequestId, method, option};
use lwm2m_model::Instant;

use super::answer::{Package, damaged, lost};
use super::assembly::{Assembly, Rest};
use super::round_trip::RoundTrip;
use super::window::{MAX_WINDOW, Window};
use super::{FetchFailure, FetchFailureKind, Fetched, Resume};

/// One attempt to fetch a package from one server.
///
/// As with the engine: after each [`handle`](Self::handle) drain
/// [`poll_output`](Self::poll_output) and ask for [`next_timeout`](Self::next_timeout).
/// It may be dropped at any time; then close its link.
#[derive(Debug)]
pub struct CoapFetch {
    target: CoapTarget,
    resume: Option<Resume>,
    /// For the endpoint, which is made when the link is up. Unlike a seed it is not shown.
    random: Option<Random>,
    endpoint: Option<Endpoint>,
    /// Size exponent of the blocks to ask for.
    szx: u8,
    first: First,
    window: Window,
    round_trip: RoundTrip,
    /// Requests under way.
    asked: Vec<Asked>,
    /// What the first answer has settled.
    package: Option<Package>,
    assembly: Assembly,
    attempts: Attempts,
    /// A `Begin` that was not handed out.
    begin: Option<Fetched>,
    /// True while something that was handed out is not taken.
    in_hand: bool,
    /// How it ends, once that is certain.
    end: Option<Result<(), FetchFailure>>,
    is_over: bool,
    outputs: VecDeque<CoapFetchOutput>,
}

/// What a request names besides the server (RFC 7252 6.4): all of it decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CoapTarget {
    /// Uri-Host, unless the host is an address.
    pub host: Option<String>,
    /// Segments of the path.
    pub path: Vec<String>,
    /// Parameters of the query.
    pub query: Vec<String>,
}

/// What happens to a fetch.
#[derive(Debug)]
pub enum CoapFetchInput<'a> {
    /// Nothing but time has passed.
    Time,
    /// The link is ready to carry datagrams.
    LinkUp {
        /// Largest datagram that it carries, in bytes.
        max_datagram: usize,
    },
    /// The link could not be opened or has ended; this ends the fetch.
    LinkDown(FetchFailure),
    /// A datagram came in, decrypted.
    Datagram(&'a [u8]),
    /// What was handed out last has found its place; the next may come.
    Taken,
}

/// What a fetch wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoapFetchOutput {
    /// Open the link; answered by `LinkUp` or `LinkDown`.
    OpenLink,
    /// Send a datagram, to be encrypted if the link is secure.
    Transmit(Vec<u8>),
    /// What was found; answered by `Taken`.
    Fetched(Fetched),
    /// The attempt is over, and all that it has fetched is taken: close the link.
    End(Result<(), FetchFailure>),
}

/// How the first request is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// With a block size to choose from, and the wish to know the size.
    Block,
    /// Without: the server refused the options.
    Plain,
}

/// How often it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempts {
    First,
    /// The package changed while it was fetched.
    Second,
}

/// A block that was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    request: RequestId,
    offset: u64,
    sent: Instant,
    /// How long the last of its messages waits, without jitter.
    timeout: Duration,
    /// How often it was sent again.
    repetitions: u32,
}

impl CoapFetch {
    /// An attempt that begins by [`CoapFetchOutput::OpenLink`]. `seed` is as secret and as
    /// fresh as that of an engine.
    pub fn new(target: CoapTarget, resume: Option<Resume>, seed: [u8; 32]) -> Self {
        Self {
            target,
            resume,
            random: Some(Random::from_seed(seed)),
            endpoint: None,
            szx: Block::MAX_SZX,
            first: First::Block,
            window: Window::new(),
            round_trip: RoundTrip::new(Config::default().ack_timeout),
            asked: Vec::new(),
            package: None,
            assembly: Assembly::new(0, 0),
            attempts: Attempts::First,
            begin: None,
            in_hand: false,
            end: None,
            is_over: false,
            outputs: VecDeque::from([CoapFetchOutput::OpenLink]),
        }
    }

    /// Takes one input. After [`CoapFetchOutput::End`] it does nothing.
    pub fn handle(&mut self, now: Instant, input: CoapFetchInput<'_>) {
        if self.is_over {
            return;
        }
        match input {
            CoapFetchInput::Time => {
                if let Some(endpoint) = &mut self.endpoint {
                    endpoint.handle_timeout(now);
                    self.count_repetitions();
                }
            }
            CoapFetchInput::LinkUp { max_datagram } => self.link_up(max_datagram),
            CoapFetchInput::LinkDown(failure) => self.fail(failure),
            CoapFetchInput::Datagram(bytes) => self.receive(now, bytes),
            CoapFetchInput::Taken => self.in_hand = false,
        }
        while let Some(event) = self.endpoint.as_mut().and_then(Endpoint::poll_event) {
            match event {
                Event::RequestTimedOut { request } => {
                    if self.asked.iter().any(|asked| asked.request == request) {
                        self.fail(lost("the server does not answer"));
                    }
                }
                Event::NotificationTimedOut { .. } => {}
            }
        }
        self.ask(now);
        while let Some(bytes) = self.endpoint.as_mut().and_then(Endpoint::poll_transmit) {
            self.outputs.push_back(CoapFetchOutput::Transmit(bytes));
        }
        self.hand_out();
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<CoapFetchOutput> {
        self.outputs.pop_front()
    }

    /// When `handle` wants [`CoapFetchInput::Time`].
    pub fn next_timeout(&self) -> Option<Instant> {
        let endpoint = self.endpoint.as_ref().filter(|_| self.end.is_none() && !self.is_over);
        endpoint.and_then(Endpoint::next_timeout)
    }

    /// Looks which requests were sent again.
    fn count_repetitions(&mut self) {
        let Some(endpoint) = &self.endpoint else { return };
        for asked in &mut self.asked {
            while asked.repetitions < endpoint.repetitions(asked.request) {
                asked.repetitions += 1;
                self.window.retransmitted();
                self.round_trip.repeated(asked.timeout);
                asked.timeout = asked.timeout.saturating_mul(2);
            }
        }
    }

    fn link_up(&mut self, max_datagram: usize) {
        let Some(random) = self.random.take() else { return }; // it is up already
        let room = max_datagram.saturating_sub(ANSWER_HEAD);
        self.szx = (0..=Block::MAX_SZX).rev().find(|szx| 16 << szx <= room).unwrap_or(0);
        let config = Config { max_datagram, nstart: MAX_WINDOW, ..Config::default() };
        self.endpoint = Some(Endpoint::new(config, random));
        self.start();
    }

    /// Makes the first request the next one.
    fn start(&mut self) {
        self.cancel_asked();
        // A block that cannot be numbered cannot be resumed at either.
        let limit = (u64::from(Block::MAX_NUMBER) + 1) * self.block_size();
        self.resume.take_if(|resume| resume.offset >= limit);
        let from = self.resume.as_ref().map_or(0, |resume| resume.offset);
        self.assembly = Assembly::new(from, self.block_of(from));
    }

    /// Answers to what was asked for so far are of no interest any more.
    fn cancel_asked(&mut self) {
        for asked in self.asked.drain(..) {
            if let Some(endpoint) = &mut self.endpoint {
                endpoint.cancel(asked.request);
            }
        }
    }

    fn fail(&mut self, failure: FetchFailure) {
        if self.end.is_some() {
            return;
        }
        if failure.kind == FetchFailureKind::Damaged {
            // Nobody has a use for the rest.
            self.begin = None;
            self.assembly = Assembly::new(0, 0);
        }
        self.end_with(Err(failure));
    }

    /// Nothing that happens from now on changes how it ends.
    fn end_with(&mut self, result: Result<(), FetchFailure>) {
        self.cancel_asked();
        self.end = Some(result);
    }

    /// Asks for the next blocks, as far as there is room for them.
    fn ask(&mut self, now: Instant) {
        while self.end.is_none() && self.endpoint.is_some() {
            // Only the first answer says what there is.
            let most = if self.package.is_some() { self.window.size() } else { 1 };
            let Some(offset) = self.next_offset().filter(|_| self.asked.len() < most) else {
                return;
            };
            let number = u32::try_from(offset / self.block_size()).unwrap_or(u32::MAX);
            if number > Block::MAX_NUMBER {
                if offset == self.assembly.end() {
                    let size = self.block_size();
                    let cause =
                        format!("the package has more blocks of {size} bytes than have a number");
                    self.fail(damaged(cause));
                }
                return;
            }
            self.ask_for(now, number, offset);
        }
    }

    fn ask_for(&mut self, now: Instant, number: u32, offset: u64) {
        let mut draft = self.target.get();
        if self.first == First::Block || number > 0 {
            let block = Block { number, more: false, szx: self.szx };
            draft = draft.option_uint(option::BLOCK2, block.to_uint());
        }
        if self.first == First::Block && self.package.is_none() {
            // 0 asks for the size (RFC 7959 4).
            draft = draft.option_uint(option::SIZE2, 0);
        }
        if let Some(endpoint) = &mut self.endpoint {
            let timeout = self.round_trip.timeout();
            endpoint.set_request_timeout(timeout);
            let request = endpoint.request_block(now, draft);
            self.asked.push(Asked { request, offset, sent: now, timeout, repetitions: 0 });
        }
    }

    /// Where the first block begins that is neither here nor asked for, if there may be
    /// one and there is room for it.
    fn next_offset(&self) -> Option<u64> {
        let size = self.block_size();
        let mut offset = self.assembly.end();
        while self.assembly.holds(offset) || self.asked.iter().any(|it| it.offset == offset) {
            offset += size;
        }
        // What was handed out counts until it is taken.
        let room = self.assembly.limit(if self.in_hand { 1 } else { 2 });
        let end = self.package.as_ref().and_then(|package| package.size);
        let is_wanted = offset == self.assembly.end() || end.is_none_or(|end| offset < end);
        (is_wanted && offset + size <= room).then_some(offset)
    }

    fn hand_out(&mut self) {
        if self.in_hand || self.is_over {
            return;
        }
        let rest = if self.end.is_some() { Rest::Goes } else { Rest::Stays };
        let next = match self.begin.take() {
            Some(begin) => Some(begin),
            None => self.assembly.take_part(rest).map(Fetched::Part),
        };
        if let Some(fetched) = next {
            self.in_hand = true;
            self.outputs.push_back(CoapFetchOutput::Fetched(fetched));
        } else if let Some(end) = self.end.take() {
            self.is_over = true;
            self.outputs.push_back(CoapFetchOutput::End(end));
        }
    }

    fn block_size(&self) -> u64 {
        16 << self.szx
    }

    /// Where the block begins that holds this byte.
    fn block_of(&self, offset: u64) -> u64 {
        offset - offset % self.block_size()
    }
}

impl CoapTarget {
    fn get(&self) -> Draft {
        let host = self.host.iter().map(|host| (option::URI_HOST, host));
        let path = self.path.iter().map(|segment| (option::URI_PATH, segment));
        let query = self.query.iter().map(|parameter| (option::URI_QUERY, parameter));
        let options = host.chain(path).chain(query);
        options.fold(Draft::new(method::GET), |draft, (number, value)| {
            draft.option(number, value.as_bytes())
        })
    }
}

/// Room for what an answer has before its payload: header and token, ETag, Content-Format,
/// Max-Age, Block2, Size2 and the marker are 41 bytes.
const ANSWER_HEAD: usize = 48;
