//! What an answer to a GET of a package says (RFC 7252 5.9, RFC 7959 2.2).

use lwm2m_coap::{Block, Message, option};
use lwm2m_model::Code;

use super::{FetchFailure, FetchFailureKind};

/// What all blocks of a package have in common.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) etag: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    /// Whether the block has come that says that it is the last.
    pub(crate) has_last: bool,
}

impl Package {
    /// True if nothing says that the block belongs to another version.
    pub(crate) fn is_of(&self, received: &Received<'_>) -> bool {
        let same_etag = self.etag.as_deref().zip(received.etag).is_none_or(|(a, b)| a == b);
        let same_size = self.size.zip(received.size).is_none_or(|(a, b)| a == b);
        same_etag && same_size && received.is_block()
    }
}

/// A 2.05.
pub(crate) struct Received<'a> {
    /// Where the payload begins in the package.
    pub(crate) offset: u64,
    /// `None` of an answer that is not in blocks.
    block: Option<Block>,
    pub(crate) etag: Option<&'a [u8]>,
    /// Bytes of the package.
    pub(crate) size: Option<u64>,
    pub(crate) payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// # Errors
    /// Why it is no block.
    pub(crate) fn read(message: &'a Message<'_>) -> Result<Self, &'static str> {
        let payload: &[u8] = &message.payload;
        let value = message.option_uint(option::BLOCK2);
        let block = value.map(|value| Block::from_uint(value).ok_or(RESERVED_SIZE)).transpose()?;
        if let Some(block) = block {
            let (len, size) = (payload.len(), block.size());
            if len > size || block.more && len < size {
                return Err("the server gives a block that is not as long as it says");
            }
        }
        // An option of a wrong length counts as unknown (RFC 7252 5.4.3).
        let etag = message.option(option::ETAG).filter(|etag| (1..=8).contains(&etag.len()));
        Ok(Self {
            offset: block.map_or(0, |block| u64::from(block.number) << (block.szx + 4)),
            block,
            etag,
            size: message.option_uint(option::SIZE2).map(u64::from),
            payload,
        })
    }

    /// Size exponent.
    pub(crate) fn szx(&self) -> u8 {
        self.block.map_or(Block::MAX_SZX, |block| block.szx)
    }

    pub(crate) fn is_block(&self) -> bool {
        self.block.is_some()
    }

    /// True if other blocks follow.
    pub(crate) fn more(&self) -> bool {
        self.block.is_some_and(|block| block.more)
    }

    /// Bytes of the whole, if this is the last block.
    pub(crate) fn end(&self) -> Option<u64> {
        (!self.more()).then_some(self.offset + self.payload.len() as u64)
    }
}

/// What an answer means that has no part of the package: whether it may be another one
/// next time.
pub(crate) fn refused(code: Code) -> FetchFailure {
    let is_passing =
        code.class() == 5 || matches!(code, TOO_MANY_REQUESTS | Code::REQUEST_ENTITY_INCOMPLETE);
    let kind = if is_passing { FetchFailureKind::Lost } else { FetchFailureKind::InvalidUri };
    FetchFailure::new(kind, format!("the server answers {}", shown(code)))
}

/// Another attempt may succeed.
pub(crate) fn lost(cause: impl Into<String>) -> FetchFailure {
    FetchFailure::new(FetchFailureKind::Lost, cause)
}

/// What comes makes no package.
pub(crate) fn damaged(cause: impl Into<String>) -> FetchFailure {
    FetchFailure::new(FetchFailureKind::Damaged, cause)
}

/// `4.04 Not Found`.
pub(crate) fn shown(code: Code) -> String {
    format!("{code} {}", code.name()).trim_end().to_owned()
}

/// 4.29 (RFC 8516).
const TOO_MANY_REQUESTS: Code = Code::new(4, 29);

const RESERVED_SIZE: &str = "the server gives a block of the reserved size 7";
