//! A request of ours from its first message to its answer, however many messages
//! that takes (RFC 7959 2.4, 2.5; RFC 9175).
//!
//! 1. What fits a datagram goes out whole, the rest in blocks under a Request-Tag.
//! 2. 2.31, or success for a block alone: the next one, in the size the peer wants.
//! 3. 4.13 that names a smaller size: from the start, in that size.
//! 4. 4.01 with Echo: once more, with the option.
//! 5. An answer in blocks: the next block, until the answer is whole; but who asks for a
//!    single block gets what comes, and asks for the others.

use std::borrow::Cow;

use lwm2m_model::Code;

use crate::block::{Block, MAX_SZX, largest_szx};
use crate::{Config, Draft, Kind, Message, Random, RequestId, Token, option};

/// Requests of ours that are not answered yet; the queue bounds their number.
#[derive(Debug, Default)]
pub(crate) struct Courses {
    list: Vec<Course>,
}

/// One request and how far it has come.
#[derive(Debug)]
pub(crate) struct Course {
    request: RequestId,
    /// The whole request; its block options are those of the last message.
    draft: Draft,
    wanted: Wanted,
    stage: Stage,
    /// Size exponent of the largest block that the peer takes, once it has said so.
    limit: Option<u8>,
}

/// What the caller wants to see of an answer in blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it, as one answer.
    Whole,
    /// The block that the draft names.
    Block,
}

#[derive(Debug)]
enum Stage {
    /// In one message.
    Whole,
    /// In blocks: the one that starts at `offset` is under way.
    Sending { offset: usize, szx: u8 },
    /// The first block of the answer is here, the next is asked for.
    Fetching(Fetched),
}

/// The answer so far.
#[derive(Debug)]
struct Fetched {
    code: Code,
    /// Options of the first block.
    options: Vec<u8>,
    etag: Option<Vec<u8>>,
    body: Vec<u8>,
    /// Size exponent of the next block.
    szx: u8,
}

/// What follows from an answer.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// Another message of the request.
    Message,
    /// The request is answered.
    Answer(Message<'a>),
    /// The request is over without an answer: why.
    Failure(&'static str),
}

impl Courses {
    /// Begins a request; its payload has [`MAX_REQUEST`] bytes at most.
    pub(crate) fn begin(
        &mut self,
        request: RequestId,
        draft: Draft,
        wanted: Wanted,
        config: &Config,
        random: &mut Random,
    ) {
        let mut course = Course { request, draft, wanted, stage: Stage::Whole, limit: None };
        course.restart(config, random);
        self.list.push(course);
    }

    /// The next message of a request.
    pub(crate) fn datagram(&mut self, request: RequestId, token: Token) -> Option<Vec<u8>> {
        let course = self.list.iter_mut().find(|course| course.request == request)?;
        Some(course.datagram(token))
    }

    /// Takes an answer to the last message of a request. Unless another message
    /// follows the request is forgotten.
    pub(crate) fn answered<'a>(
        &mut self,
        request: RequestId,
        message: Message<'a>,
        config: &Config,
        random: &mut Random,
    ) -> Next<'a> {
        let others = self.list.iter().filter(|course| course.request != request);
        let fetching = others.filter(|it| matches!(it.stage, Stage::Fetching(_))).count();
        let room = if fetching < MAX_FETCHES { config.max_body } else { 0 };
        let course = self.list.iter_mut().find(|course| course.request == request);
        let Some(course) = course else { return Next::Answer(message) };
        let next = match course.repeat_or_continue(&message, config, random) {
            Some(()) => Next::Message,
            None if course.wanted == Wanted::Block => Next::Answer(message),
            None => course.collect(message, room),
        };
        if !matches!(next, Next::Message) {
            self.remove(request);
        }
        next
    }

    pub(crate) fn remove(&mut self, request: RequestId) {
        self.list.retain(|course| course.request != request);
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

impl Course {
    /// Begins at the start: whole if possible.
    fn restart(&mut self, config: &Config, random: &mut Random) {
        let draft = &mut self.draft;
        for of_blocks in [option::BLOCK1, option::SIZE1, option::REQUEST_TAG] {
            draft.remove_option(of_blocks);
        }
        let token = Token::full([0; Token::MAX_LEN]);
        let len = draft.payload.len();
        let fits = draft.head_len(token) + len <= config.max_datagram
            && self.limit.is_none_or(|szx| len <= Block::first(szx).size());
        if fits || len == 0 {
            self.stage = Stage::Whole;
            return;
        }
        // A tag of its own for each start: blocks of one that was given up may still
        // be under way (RFC 9175 3.4).
        let [a, b, c, d, ..] = random.u64().to_be_bytes();
        draft.add_option(option::REQUEST_TAG, &[a, b, c, d]);
        let szx = largest_szx(config.max_datagram, draft.head_len(token) + BLOCK_OPTIONS);
        self.stage = Stage::Sending { offset: 0, szx: szx.min(self.limit.unwrap_or(MAX_SZX)) };
    }

    fn datagram(&mut self, token: Token) -> Vec<u8> {
        let draft = &mut self.draft;
        let part = match &self.stage {
            Stage::Whole => 0..draft.payload.len(),
            Stage::Sending { offset, szx } => {
                let mut block = Block::at(*offset, *szx);
                let end = offset.saturating_add(block.size()).min(draft.payload.len());
                block.more = end < draft.payload.len();
                draft.remove_option(option::BLOCK1);
                draft.remove_option(option::SIZE1);
                draft.add_option_uint(option::BLOCK1, block.to_uint());
                if *offset == 0 {
                    let whole = u32::try_from(draft.payload.len()).unwrap_or(u32::MAX);
                    draft.add_option_uint(option::SIZE1, whole);
                }
                *offset..end
            }
            // The peer has the request; the Request-Tag still names it.
            Stage::Fetching(fetched) => {
                for of_another_block in [option::BLOCK1, option::SIZE1, option::BLOCK2] {
                    draft.remove_option(of_another_block);
                }
                let block = Block::at(fetched.body.len(), fetched.szx);
                draft.add_option_uint(option::BLOCK2, block.to_uint());
                0..0
            }
        };
        draft.encode_part(Kind::Confirmable, 0, token, part)
    }

    /// Steps 2 to 4: goes to the message that has to be sent, again or next; `None` if
    /// there is none because the peer has all of the request, or refuses it.
    fn repeat_or_continue(
        &mut self,
        message: &Message<'_>,
        config: &Config,
        random: &mut Random,
    ) -> Option<()> {
        if message.code == Code::UNAUTHORIZED && !self.draft.has_option(option::ECHO) {
            let echo =
                message.option(option::ECHO).filter(|echo| (1..=40).contains(&echo.len()))?;
            self.draft.add_option(option::ECHO, echo);
            // Nothing has been done yet, unless the answer is half here.
            if !matches!(self.stage, Stage::Fetching(_)) {
                self.restart(config, random);
            }
            return Some(());
        }
        let wanted = message.option_uint(option::BLOCK1).and_then(Block::from_uint);
        let len = self.draft.payload.len();
        let sent = match self.stage {
            Stage::Whole => len,
            Stage::Sending { szx, .. } => Block::first(szx).size(),
            Stage::Fetching(_) => return None,
        };
        if message.code == Code::REQUEST_ENTITY_TOO_LARGE {
            let smaller = wanted.filter(|block| block.size() < sent)?;
            self.limit = Some(smaller.szx);
            self.restart(config, random);
            return Some(());
        }
        let Stage::Sending { offset, szx } = &mut self.stage else { return None };
        let next = offset.saturating_add(sent);
        // Success without Block1 before the end: the peer is content with what it has.
        let goes_on = message.code == Code::CONTINUE || wanted.is_some();
        if next >= len || !message.code.is_success() || !goes_on {
            return None;
        }
        *offset = next;
        *szx = wanted.map_or(*szx, |block| block.szx.min(*szx));
        Some(())
    }

    /// Step 5: the answer, or the next block of it, with room for so many bytes.
    fn collect<'a>(&mut self, message: Message<'a>, room: usize) -> Next<'a> {
        if !message.code.is_success() {
            return Next::Answer(message);
        }
        let Some(value) = message.option_uint(option::BLOCK2) else {
            return match self.stage {
                Stage::Fetching(_) => Next::Failure("a block of the answer is missing"),
                Stage::Whole | Stage::Sending { .. } => Next::Answer(message),
            };
        };
        let Some(block) = Block::from_uint(value) else {
            return Next::Failure("a block of the answer has the reserved size 7");
        };
        let (len, more) = (message.payload.len(), block.more);
        if len > block.size() || more && len < block.size() {
            return Next::Failure("a block of the answer is not as long as it says");
        }
        if !matches!(self.stage, Stage::Fetching(_)) {
            if block.number == 0 && !more {
                return Next::Answer(message);
            }
            self.stage = Stage::Fetching(Fetched::from_first(&message));
        }
        let Stage::Fetching(fetched) = &mut self.stage else { return Next::Answer(message) };
        if block.offset() != fetched.body.len() {
            return Next::Failure("a block of the answer is missing");
        }
        if message.option(option::ETAG) != fetched.etag.as_deref() {
            return Next::Failure("the answer changed while it was fetched");
        }
        let size = message.option_uint(option::SIZE2).and_then(|size| usize::try_from(size).ok());
        if (fetched.body.len() + len).max(size.unwrap_or(0)) > room {
            return Next::Failure("there is no room for the whole answer");
        }
        fetched.body.extend_from_slice(&message.payload);
        fetched.szx = block.szx;
        if more {
            return Next::Message;
        }
        Next::Answer(Message {
            code: fetched.code,
            options: Cow::Owned(std::mem::take(&mut fetched.options)),
            payload: Cow::Owned(std::mem::take(&mut fetched.body)),
            ..message
        })
    }
}

impl Fetched {
    fn from_first(message: &Message<'_>) -> Self {
        Self {
            code: message.code,
            options: message.options.to_vec(),
            etag: message.option(option::ETAG).map(<[u8]>::to_vec),
            body: Vec::new(),
            szx: 0,
        }
    }
}

/// Answers in blocks that are fetched at once.
const MAX_FETCHES: usize = 2;

/// Largest request, in bytes: 2^20 blocks of 16, the least that a peer may ask for.
pub(crate) const MAX_REQUEST: usize = 16 << 20;

/// Room for Block1 and Size1, each with a header of two bytes: 3 and 4.
const BLOCK_OPTIONS: usize = 11;
