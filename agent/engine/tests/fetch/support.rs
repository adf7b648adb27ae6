//! A server of a few lines, a network with virtual time, and somebody who wants a package.

use std::collections::BTreeMap;
use std::time::Duration;

use lwm2m_coap::{Draft, Kind, Message, option};
use lwm2m_engine::{
    CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, FetchFailure, FetchFailureKind,
    Fetched, MAX_PART, Resume,
};
use lwm2m_model::{Code, Instant};

/// Bytes that differ from place to place, and from `version` to version.
pub(crate) fn package(len: usize, version: u8) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251 + at / 65_521) as u8 ^ version).collect()
}

/// A block that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) number: usize,
    pub(crate) szx: u8,
}

/// A server with one package.
pub(crate) struct Server {
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<Vec<u8>>,
    /// Whether it says the size of the package.
    pub(crate) says_size: bool,
    /// Size exponent of its largest block.
    pub(crate) szx: u8,
    /// Looks at the nth message, and may change the server.
    pub(crate) before: Before,
    /// Answers the nth message by itself, or leaves it to the server.
    pub(crate) instead: Instead,
    /// What was asked for, in order, retransmissions included.
    pub(crate) asked: Vec<Option<Asked>>,
    pub(crate) seen: usize,
}

pub(crate) type Before = Box<dyn FnMut(&mut Server, usize)>;

pub(crate) type Instead = Box<dyn FnMut(usize, &Message<'_>) -> Option<Reaction>>;

/// What a server does with a request.
pub(crate) enum Reaction {
    /// Nothing.
    Silence,
    /// A piggybacked answer.
    Answer(Draft),
    /// An answer by itself, after an empty ACK.
    Separate(Draft),
    /// A Reset.
    Reset,
}

impl Server {
    pub(crate) fn new(body: Vec<u8>) -> Self {
        Self {
            body,
            etag: Some(b"v1".to_vec()),
            says_size: true,
            szx: 6,
            before: Box::new(|_, _| {}),
            instead: Box::new(|_, _| None),
            asked: Vec::new(),
            seen: 0,
        }
    }

    /// A server that answers each message with `answer`, if that gives one.
    pub(crate) fn with(
        body: Vec<u8>,
        instead: impl FnMut(usize, &Message<'_>) -> Option<Reaction> + 'static,
    ) -> Self {
        Self { instead: Box::new(instead), ..Self::new(body) }
    }

    /// The datagrams that answer this one.
    fn handle(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let message = Message::decode(datagram).unwrap();
        if message.code.byte() == 0 {
            return Vec::new();
        }
        let nth = self.seen;
        self.seen += 1;
        self.asked.push(asked(&message));
        let mut before = std::mem::replace(&mut self.before, Box::new(|_, _| {}));
        before(self, nth);
        self.before = before;
        let reaction = (self.instead)(nth, &message);
        let (id, token) = (message.id, message.token);
        let empty =
            |kind: Kind| Draft::new(lwm2m_coap::method::EMPTY).encode(kind, id, Default::default());
        match reaction.unwrap_or_else(|| Reaction::Answer(self.answer(&message))) {
            Reaction::Silence => Vec::new(),
            Reaction::Answer(draft) => vec![draft.encode(Kind::Acknowledgement, id, token)],
            Reaction::Separate(draft) => vec![
                empty(Kind::Acknowledgement),
                draft.encode(Kind::Confirmable, id ^ 0x5555, token),
            ],
            Reaction::Reset => vec![empty(Kind::Reset)],
        }
    }

    /// The block that the message asks for.
    pub(crate) fn answer(&self, message: &Message<'_>) -> Draft {
        let Asked { number, szx } = asked(message).unwrap_or(Asked { number: 0, szx: 6 });
        let offset = number * (16 << szx);
        let size = 16 << szx.min(self.szx);
        if offset > 0 && offset >= self.body.len() {
            return Draft::new(Code::BAD_REQUEST);
        }
        let end = (offset + size).min(self.body.len());
        let more = end < self.body.len();
        let mut draft = block(offset / size, more, szx.min(self.szx), &self.body[offset..end]);
        if let Some(etag) = &self.etag {
            draft = draft.option(option::ETAG, etag);
        }
        if self.says_size && message.option(option::SIZE2).is_some() {
            draft = draft.option_uint(option::SIZE2, self.body.len() as u32);
        }
        draft
    }
}

/// A 2.05 with a block.
pub(crate) fn block(number: usize, more: bool, szx: u8, payload: &[u8]) -> Draft {
    let value = (number as u32) << 4 | u32::from(more) << 3 | u32::from(szx);
    let mut draft = Draft::new(Code::CONTENT).option_uint(option::BLOCK2, value);
    draft.payload = payload.to_vec();
    draft
}

pub(crate) fn asked(message: &Message<'_>) -> Option<Asked> {
    let value = message.option_uint(option::BLOCK2)?;
    assert_eq!(value & 8, 0, "M in a request");
    Some(Asked { number: (value >> 4) as usize, szx: (value & 7) as u8 })
}

/// What becomes of a datagram: when its copies arrive, in milliseconds.
pub(crate) type Fate = Box<dyn FnMut(usize) -> Vec<u64>>;

/// A fetch, its network and who wants the package.
pub(crate) struct Run {
    pub(crate) server: Server,
    pub(crate) resume: Option<Resume>,
    pub(crate) fate: Fate,
    pub(crate) max_datagram: usize,
    /// Milliseconds that it takes to find a place for a part.
    pub(crate) taking: u64,
    /// The link breaks at this time.
    pub(crate) broken_at: Option<u64>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<(), FetchFailure>,
    pub(crate) begins: Vec<Fetched>,
    /// What came after the last `Begin`.
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<usize>,
    pub(crate) at: Duration,
    pub(crate) asked: Vec<Option<Asked>>,
}

impl Run {
    /// Over a network that takes 10 ms each way.
    pub(crate) fn new(server: Server) -> Self {
        Self {
            server,
            resume: None,
            fate: Box::new(|_| vec![10]),
            max_datagram: 1152,
            taking: 0,
            broken_at: None,
        }
    }

    pub(crate) fn resume(server: Server, offset: u64, etag: &[u8]) -> Self {
        let resume = Some(Resume { offset, etag: etag.to_vec() });
        Self { resume, ..Self::new(server) }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let target = CoapTarget { path: vec!["firmware".into()], ..CoapTarget::default() };
        let mut fetch = CoapFetch::new(target, self.resume.clone(), [7; 32]);
        assert_eq!(fetch.poll_output(), Some(CoapFetchOutput::OpenLink));
        assert_eq!(fetch.poll_output(), None);
        assert_eq!(fetch.next_timeout(), None);

        // By time and order: what happens then.
        let mut events: BTreeMap<(Instant, usize), Happens> = BTreeMap::new();
        let (mut order, mut sent) = (0, 0);
        let mut happens = |events: &mut BTreeMap<_, _>, at, what| {
            order += 1;
            events.insert((at, order), what);
        };
        happens(&mut events, Instant::ZERO, Happens::Up);
        if let Some(broken) = self.broken_at {
            happens(&mut events, after(Instant::ZERO, broken), Happens::Down);
        }
        let mut outcome = Outcome {
            result: Ok(()),
            begins: Vec::new(),
            bytes: Vec::new(),
            parts: Vec::new(),
            at: Duration::ZERO,
            asked: Vec::new(),
        };
        let mut in_hand = 0;
        loop {
            let first = events.first_key_value().map(|((at, _), _)| *at);
            let timer = fetch.next_timeout();
            let now = first.into_iter().chain(timer).min().expect("it waits for nothing");
            if first.is_none_or(|first| timer.is_some_and(|timer| timer < first)) {
                fetch.handle(now, CoapFetchInput::Time);
            } else {
                match events.pop_first().unwrap().1 {
                    Happens::Up => {
                        let max_datagram = self.max_datagram;
                        fetch.handle(now, CoapFetchInput::LinkUp { max_datagram });
                    }
                    Happens::Down => {
                        let failure = FetchFailure::new(FetchFailureKind::Lost, "no network");
                        fetch.handle(now, CoapFetchInput::LinkDown(failure));
                    }
                    Happens::ToServer(bytes) => {
                        for answer in self.server.handle(&bytes) {
                            sent += 1;
                            for delay in (self.fate)(sent) {
                                let what = Happens::ToClient(answer.clone());
                                happens(&mut events, after(now, delay), what);
                            }
                        }
                    }
                    Happens::ToClient(bytes) => {
                        fetch.handle(now, CoapFetchInput::Datagram(&bytes));
                    }
                    Happens::Taken => {
                        in_hand = 0;
                        fetch.handle(now, CoapFetchInput::Taken);
                    }
                }
            }
            while let Some(output) = fetch.poll_output() {
                match output {
                    CoapFetchOutput::OpenLink => panic!("one link is enough"),
                    CoapFetchOutput::Transmit(bytes) => {
                        let here = outcome.bytes.len() + self.offset(&outcome);
                        self.check_room(&bytes, here, in_hand);
                        sent += 1;
                        for delay in (self.fate)(sent) {
                            let what = Happens::ToServer(bytes.clone());
                            happens(&mut events, after(now, delay), what);
                        }
                    }
                    CoapFetchOutput::Fetched(fetched) => {
                        assert_eq!(in_hand, 0, "handed out before the last was taken");
                        match fetched {
                            begin @ Fetched::Begin { .. } => {
                                outcome.begins.push(begin);
                                outcome.bytes.clear();
                                outcome.parts.clear();
                            }
                            Fetched::Part(part) => {
                                assert!((1..=MAX_PART).contains(&part.len()));
                                in_hand = part.len();
                                outcome.parts.push(part.len());
                                outcome.bytes.extend(part);
                            }
                        }
                        happens(&mut events, after(now, self.taking), Happens::Taken);
                    }
                    CoapFetchOutput::End(result) => {
                        assert_eq!((fetch.poll_output(), fetch.next_timeout()), (None, None));
                        fetch.handle(now, CoapFetchInput::Time);
                        assert_eq!((fetch.poll_output(), fetch.next_timeout()), (None, None));
                        let asked = self.server.asked;
                        let at = now.since_boot();
                        return Outcome { result, at, asked, ..outcome };
                    }
                }
            }
        }
    }

    fn offset(&self, outcome: &Outcome) -> usize {
        match outcome.begins.last() {
            Some(Fetched::Begin { offset, .. }) => *offset as usize,
            Some(Fetched::Part(_)) | None => 0,
        }
    }

    /// Two parts are in memory at most, and what is asked for will be there.
    fn check_room(&self, request: &[u8], handed_out: usize, in_hand: usize) {
        let message = Message::decode(request).unwrap();
        // The first request of a resumed fetch lies further on.
        let first = self.resume.as_ref().map_or(0, |resume| resume.offset as usize);
        if let Some(Asked { number, szx }) = asked(&message) {
            let end = (number + 1) * (16 << szx);
            let most = handed_out.max(first + 1024) + 2 * MAX_PART - in_hand.min(1) * MAX_PART;
            assert!(end <= most, "asks up to {end} with {handed_out} handed out");
        }
    }
}

enum Happens {
    Up,
    Down,
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
    Taken,
}

fn after(now: Instant, milliseconds: u64) -> Instant {
    now + Duration::from_millis(milliseconds)
}

impl Outcome {
    /// Where the only `Begin` is, with size and ETag.
    #[track_caller]
    pub(crate) fn begin(&self) -> (u64, Option<u64>, Option<&[u8]>) {
        match &self.begins[..] {
            [Fetched::Begin { offset, size, etag }] => (*offset, *size, etag.as_deref()),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn failure(&self) -> (FetchFailureKind, &str) {
        let failure = self.result.as_ref().unwrap_err();
        (failure.kind, &failure.cause)
    }

    /// The numbers that were asked for.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        self.asked.iter().flatten().map(|asked| asked.number).collect()
    }
}
