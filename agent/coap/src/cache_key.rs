//! What a request asks for: one walk over its options gives the cache key, the
//! blocks, and the reason to refuse it (RFC 7252 5.4, 5.4.6; RFC 7959 2).

use std::hash::{DefaultHasher, Hasher};

use lwm2m_model::Code;

use crate::block::{Block, MAX_SZX};
use crate::event::Refusal;
use crate::message::uint;
use crate::{Message, Random, method, option};

/// What a request asks for, and in blocks of which size: what a notification has to
/// know of the request that began its observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey {
    pub(crate) representation: Representation,
    /// The same without payload and Content-Format: all that is left of a FETCH when it
    /// asks for a later block (RFC 7959 3.3 does so without the payload).
    pub(crate) outline: Outline,
    /// Size exponent of the Block2 option, if the request had one.
    szx: Option<u8>,
}

impl CacheKey {
    /// The key of an observation whose request is not at hand any more: the later blocks
    /// of its notifications are asked for by a request of their own, and answered anew.
    pub fn without_request(block_szx: Option<u8>) -> Self {
        let nothing = Representation(0);
        let szx = block_szx.filter(|szx| *szx <= MAX_SZX);
        Self { representation: nothing, outline: Outline(0), szx }
    }

    /// The size exponent of the blocks that the request asked for, 0..=6.
    pub fn block_szx(self) -> Option<u8> {
        self.szx
    }

    /// The first block in the size that the request asked for (RFC 7959 2.4, 2.6).
    pub(crate) fn first_block(self) -> Option<Block> {
        self.szx.map(Block::first)
    }
}

/// What makes two requests ask for the same representation (RFC 7252 5.4.6):
/// method, Uri-Path, Uri-Query, Accept, and for FETCH the payload with its format
/// (RFC 8132 2.1). Ties later blocks to the first answer, so Observe, Block2,
/// sizes and the token play no part.
///
/// A hash under a key of the endpoint's own, so a peer cannot make two collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Representation(u64);

/// A representation without what a payload says. Half a hash, since every observation
/// has one and the peer's ETag is the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outline(u32);

/// What makes two blocks belong to the same body of a request (RFC 7959 2.5, RFC 9175
/// 3.3): method, Uri-Path, Uri-Query, Accept, Content-Format and Request-Tag. A hash
/// like [`Representation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyKey(u64);

/// The keyed hash behind cache keys and ETags.
#[derive(Debug)]
pub(crate) struct Keyed(DefaultHasher);

impl Keyed {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(random.u64());
        hasher.write_u64(random.u64());
        Self(hasher)
    }

    /// An ETag for this representation: equal content has an equal tag, so a
    /// transfer whose body was dropped goes on if the content is still the same.
    pub(crate) fn etag(&self, format: Option<&[u8]>, payload: &[u8]) -> [u8; 4] {
        let mut hasher = self.0.clone();
        field(&mut hasher, option::CONTENT_FORMAT, format.unwrap_or(&[u8::MAX; 3]));
        hasher.write(payload);
        let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
        [a, b, c, d]
    }

    /// Reads the options of a request.
    ///
    /// # Errors
    /// The refusal that RFC 7252 5.4.1 and RFC 7959 2.2 ask for.
    pub(crate) fn inspect(&self, message: &Message<'_>) -> Result<Inspected, Refusal> {
        let mut hasher = self.0.clone();
        hasher.write_u8(message.code.byte());
        let (mut block1, mut block2) = (None, None);
        let mut previous = None;
        for (number, value) in message.options() {
            // An option that may stand once and comes again counts as unknown
            // (RFC 7252 5.4.5), as does one of a length it cannot have (5.4.3).
            let first = previous.replace(number) != Some(number);
            match (number, value.len()) {
                (option::URI_PATH | option::URI_QUERY, 0..=255) => {
                    field(&mut hasher, number, value);
                }
                (option::ACCEPT, 0..=2) if first => field(&mut hasher, number, value),
                (option::URI_HOST, 1..=255) | (option::URI_PORT, 0..=2) if first => {}
                (option::BLOCK1, 0..=3) if first => block1 = Some(block(value)?),
                (option::BLOCK2, 0..=3) if first => block2 = Some(block(value)?),
                (option::PROXY_URI | option::PROXY_SCHEME, _) => {
                    return Err(Refusal { code: PROXYING_NOT_SUPPORTED, reason: "not a proxy" });
                }
                _ if option::is_critical(number) => {
                    return Err(Refusal { code: Code::BAD_OPTION, reason: critical(number) });
                }
                _ => {}
            }
        }
        let outline = Outline(hasher.finish() as u32);
        if message.code == method::FETCH {
            let format = message.option(option::CONTENT_FORMAT);
            field(&mut hasher, option::CONTENT_FORMAT, format.unwrap_or_default());
            hasher.write(&message.payload);
        }
        let representation = Representation(hasher.finish());
        let szx = block2.map(|block: Block| block.szx);
        let key = CacheKey { representation, outline, szx };
        Ok(Inspected { key, block1, block2 })
    }

    /// Which body a block of a request belongs to.
    pub(crate) fn body(&self, message: &Message<'_>) -> BodyKey {
        let mut hasher = self.0.clone();
        hasher.write_u8(message.code.byte());
        for (number, value) in message.options() {
            if matches!(
                number,
                option::URI_PATH
                    | option::URI_QUERY
                    | option::ACCEPT
                    | option::CONTENT_FORMAT
                    | option::REQUEST_TAG
            ) {
                field(&mut hasher, number, value);
            }
        }
        BodyKey(hasher.finish())
    }
}

/// What the options of a request say to the endpoint.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) key: CacheKey,
    pub(crate) block1: Option<Block>,
    pub(crate) block2: Option<Block>,
}

/// True if a response has a critical option that means nothing to us there; such
/// a response is rejected (RFC 7252 5.4.1).
pub(crate) fn has_unknown_critical(response: &Message<'_>) -> bool {
    let mut previous = None;
    response.options().any(|(number, value)| {
        let first = previous.replace(number) != Some(number);
        let known = matches!(number, option::BLOCK1 | option::BLOCK2) && value.len() <= 3 && first;
        option::is_critical(number) && !known
    })
}

/// Hashes one option so that no two sequences of options run together.
fn field(hasher: &mut DefaultHasher, number: u16, value: &[u8]) {
    hasher.write_u32((u32::from(number) << 16) | (value.len() as u32 & 0xffff));
    hasher.write(value);
}

fn block(value: &[u8]) -> Result<Block, Refusal> {
    uint(value)
        .and_then(Block::from_uint)
        .ok_or(Refusal { code: Code::BAD_REQUEST, reason: "block size 7 is reserved" })
}

/// What is wrong with a critical option, for the diagnostic payload.
const fn critical(number: u16) -> &'static str {
    match number {
        option::IF_MATCH | option::IF_NONE_MATCH => "conditional requests are not supported",
        option::OSCORE => "OSCORE is not supported",
        option::URI_HOST
        | option::URI_PORT
        | option::URI_PATH
        | option::URI_QUERY
        | option::ACCEPT
        | option::BLOCK1
        | option::BLOCK2 => "an option is repeated or has a wrong length",
        _ => "unknown critical option",
    }
}

/// 5.05 (RFC 7252 5.9.3.6).
const PROXYING_NOT_SUPPORTED: Code = Code::new(5, 5);
