#![no_main]

//! A server that answers the fetch of a package with anything, at any time: nothing
//! panics, one end, never more than two parts in memory.

use std::time::Duration;

use lwm2m_coap::{Draft, Kind, Message, method, option};
use lwm2m_engine::{
    CoapFetch, CoapFetchInput, CoapFetchOutput, CoapTarget, FetchFailure, FetchFailureKind,
    Fetched, MAX_PART, Resume,
};
use lwm2m_model::{Code, Instant};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&first, mut script)) = data.split_first() else { return };
    let offset = u64::from(first) * 321;
    let resume = (offset > 0).then(|| Resume { offset, etag: vec![1] });
    let mut world = World {
        fetch: CoapFetch::new(CoapTarget::default(), resume, [7; 32]),
        now: Instant::ZERO,
        requests: Vec::new(),
        is_in_hand: false,
        is_over: false,
    };
    world.take_outputs();
    world.handle(CoapFetchInput::LinkUp { max_datagram: 1152 });
    while let Some((&step, rest)) = script.split_first() {
        script = world.step(step, rest);
    }
    let failure = FetchFailure::new(FetchFailureKind::Lost, "the link is down");
    world.handle(CoapFetchInput::LinkDown(failure));
    while world.is_in_hand {
        world.taken();
    }
    assert!(world.is_over);
});

struct World {
    fetch: CoapFetch,
    now: Instant,
    /// The last ones; any of them may be answered, again too.
    requests: Vec<Vec<u8>>,
    is_in_hand: bool,
    is_over: bool,
}

impl World {
    fn step<'a>(&mut self, step: u8, script: &'a [u8]) -> &'a [u8] {
        match step % 8 {
            0 => {
                if let Some(due) = self.fetch.next_timeout() {
                    self.now = due.max(self.now);
                }
                self.handle(CoapFetchInput::Time);
                script
            }
            1 => {
                self.now = self.now + Duration::from_millis(u64::from(step) * 10);
                script
            }
            2 => {
                self.taken();
                script
            }
            3 => {
                let (bytes, rest) = script.split_at(script.len().min(usize::from(step / 8)));
                self.handle(CoapFetchInput::Datagram(bytes));
                rest
            }
            _ => self.answer(step, script),
        }
    }

    /// Answers a request, mostly with the block that it asks for.
    fn answer<'a>(&mut self, step: u8, script: &'a [u8]) -> &'a [u8] {
        let Some((&[which, code, block, etag], rest)) = script.split_first_chunk() else {
            return &[];
        };
        let at = usize::from(which).checked_rem(self.requests.len());
        let Some(request) = at.map(|at| self.requests[at].clone()) else { return rest };
        let Ok(message) = Message::decode(&request) else { return rest };
        let (id, token) = (message.id, message.token);
        if message.code == method::EMPTY {
            return rest;
        }
        let code = if code < 200 { Code::CONTENT } else { Code::from_byte(code) };
        let mut draft = Draft::new(code);
        // Same number and a smaller size, another number, or none.
        let asked = message.option_uint(option::BLOCK2).unwrap_or(6);
        let (number, szx) = (asked >> 4, asked & 7);
        let smaller = u32::from(block & 7).min(szx);
        let number = match block >> 6 {
            0 | 1 => number << (szx - smaller),
            2 => number,
            _ => u32::from(block),
        };
        let more = u32::from(block & 8 != 0);
        if block & 0x30 != 0x30 {
            draft = draft.option_uint(option::BLOCK2, number << 4 | more << 3 | smaller);
        }
        if etag & 3 != 3 {
            draft = draft.option(option::ETAG, &[etag & 1]);
        }
        if etag & 0x10 != 0 {
            draft = draft.option_uint(option::SIZE2, u32::from(etag) << 10);
        }
        let len = if block & 8 != 0 || etag & 0x20 != 0 { 16 << smaller } else { etag as usize };
        draft.payload = vec![etag; len];
        let kinds = [Kind::Acknowledgement, Kind::Confirmable, Kind::NonConfirmable];
        let answer = draft.encode(kinds[usize::from(step / 8) % 3], id, token);
        self.handle(CoapFetchInput::Datagram(&answer));
        rest
    }

    fn taken(&mut self) {
        if std::mem::take(&mut self.is_in_hand) {
            self.handle(CoapFetchInput::Taken);
        }
    }

    fn handle(&mut self, input: CoapFetchInput<'_>) {
        self.fetch.handle(self.now, input);
        self.take_outputs();
        assert!(self.fetch.next_timeout().is_none() || !self.is_over);
        // As text a byte takes up to five characters; what else there is takes less.
        let state = format!("{:?}", self.fetch).len();
        assert!(state <= (2 * MAX_PART + 2048) * 5 + 100_000, "{state}");
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.fetch.poll_output() {
            assert!(!self.is_over);
            match output {
                CoapFetchOutput::OpenLink => {}
                CoapFetchOutput::Transmit(bytes) => {
                    self.requests.insert(0, bytes);
                    self.requests.truncate(16);
                }
                CoapFetchOutput::Fetched(fetched) => {
                    assert!(!std::mem::replace(&mut self.is_in_hand, true));
                    if let Fetched::Part(part) = fetched {
                        assert!((1..=MAX_PART).contains(&part.len()));
                    }
                }
                CoapFetchOutput::End(_) => self.is_over = true,
            }
        }
    }
}
