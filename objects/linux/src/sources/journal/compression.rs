//! The beginning of what journald has compressed ("Data Objects"): of a message as long as
//! memory no more is decoded than a line shows.
//!
//! zstd is what systemd takes since 246, lz4 what it took before; what is compressed by xz,
//! the oldest, stays unread.

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read;

/// How a field is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Lz4,
    Zstd,
    /// In a way that is not known here, or in several.
    Unknown,
}

/// What a field begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) bytes: Vec<u8>,
    /// Whether that is all.
    pub(super) is_whole: bool,
}

impl Compression {
    /// Bytes of a compressed field that may be of use: a block of zstd as large as may be,
    /// with what stands before it.
    pub(super) const MAX_STORED: usize = MAX_BLOCK + 32;

    /// What the flags of an object say.
    pub(super) const fn of(flags: u8) -> Option<Self> {
        Some(match flags & COMPRESSED {
            0 => return None,
            LZ4 => Self::Lz4,
            ZSTD => Self::Zstd,
            _ => Self::Unknown,
        })
    }

    /// The first `limit` bytes of what is stored, of which [`Self::MAX_STORED`] are enough;
    /// `None` for what cannot be decoded.
    pub(super) fn beginning(self, stored: &[u8], limit: usize) -> Option<Beginning> {
        match self {
            Self::Lz4 => lz4(stored, limit),
            Self::Zstd => zstd(stored, limit),
            Self::Unknown => None,
        }
    }
}

/// A block of LZ4 behind its decoded length in 8 bytes. Nothing behind `limit` is decoded.
fn lz4(stored: &[u8], limit: usize) -> Option<Beginning> {
    let (length, mut rest) = stored.split_first_chunk()?;
    let length = u64::from_le_bytes(*length);
    let mut bytes = Vec::with_capacity(limit);
    while bytes.len() < limit {
        let (token, after) = rest.split_first()?;
        rest = after;
        let literals = lz4_length(token >> 4, &mut rest)?;
        bytes.extend_from_slice(rest.get(..literals.min(limit - bytes.len()))?);
        if bytes.len() == limit {
            break;
        }
        rest = rest.get(literals..)?;
        // The last sequence is of literals alone.
        if rest.is_empty() {
            break;
        }
        let (offset, after) = rest.split_first_chunk()?;
        rest = after;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let count = lz4_length(token & 15, &mut rest)? + LZ4_SHORTEST_MATCH;
        let from = bytes.len().checked_sub(offset)?;
        // The copy may go on with what it has made itself; one of offset 0 finds nothing.
        for at in from..from + count.min(limit - bytes.len()) {
            bytes.push(*bytes.get(at)?);
        }
    }
    let is_whole = length <= bytes.len() as u64;
    (bytes.len() as u64 == length.min(limit as u64)).then_some(Beginning { bytes, is_whole })
}

/// A length of which the token has the first 4 bits.
fn lz4_length(nibble: u8, rest: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(nibble);
    let mut goes_on = nibble == 15;
    while goes_on {
        let (more, after) = rest.split_first()?;
        *rest = after;
        length += usize::from(*more);
        goes_on = *more == u8::MAX;
    }
    Some(length)
}

/// The first block of a frame of zstd (RFC 8878 3.1.1), as a frame of its own: so the
/// decoder needs room for a block, whatever the frame says of its window and its length.
fn zstd(stored: &[u8], limit: usize) -> Option<Beginning> {
    let rest = stored.strip_prefix(&ZSTD_MAGIC)?;
    let descriptor = *rest.first()?;
    let is_single = descriptor & 0x20 != 0;
    // A frame with a dictionary is none of journald.
    if descriptor & 0x03 != 0 {
        return None;
    }
    let length = match descriptor >> 6 {
        0 => usize::from(is_single),
        flag => 1 << flag,
    };
    let blocks = rest.get(1 + usize::from(!is_single) + length..)?;
    let (header, content) = blocks.split_first_chunk::<3>()?;
    let mut frame = ZSTD_FRAME.to_vec();
    frame.extend_from_slice(&[header[0] | ZSTD_LAST_BLOCK, header[1], header[2]]);
    frame.extend_from_slice(content);

    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_BLOCK as u64);
    let mut frame = &frame[..];
    decoder.reset(&mut frame).ok()?;
    decoder.decode_blocks(&mut frame, BlockDecodingStrategy::UptoBlocks(1)).ok()?;
    let is_last = header[0] & ZSTD_LAST_BLOCK != 0;
    let is_whole = is_last && decoder.can_collect() <= limit;
    let mut bytes = vec![0; decoder.can_collect().min(limit)];
    decoder.read_exact(&mut bytes).ok()?;
    Some(Beginning { bytes, is_whole })
}

/// Flags of an object.
const COMPRESSED: u8 = 0x07;
const LZ4: u8 = 0x02;
const ZSTD: u8 = 0x04;
const LZ4_SHORTEST_MATCH: usize = 4;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Begins a frame of unknown length, without a checksum, and with a window of [`MAX_BLOCK`].
const ZSTD_FRAME: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
const ZSTD_LAST_BLOCK: u8 = 1;
/// Bytes of the largest block of zstd, as it is stored and as it is decoded: what bounds the
/// memory for a field. It is decoded whole, however little of it is shown.
const MAX_BLOCK: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of LZ4 with the length that journald puts before it.
    fn block(length: u64, sequences: &[u8]) -> Vec<u8> {
        [&length.to_le_bytes(), sequences].concat()
    }

    #[test]
    fn a_block_of_lz4_is_decoded_as_far_as_it_is_shown() {
        // "ab", then 1000 bytes from 2 before, then "end".
        let repeated = [0x2f, b'a', b'b', 2, 0, 255, 255, 255, 216, 0x30, b'e', b'n', b'd'];
        let mut expected = b"ab".repeat(501);
        expected.extend_from_slice(b"end");
        let stored = block(1005, &repeated);
        for limit in [1, 2, 3, 1001, 1002, 1003, 1004, 1005, 2000] {
            let bytes = expected[..limit.min(1005)].to_vec();
            let beginning = Beginning { bytes, is_whole: limit >= 1005 };
            assert_eq!(Compression::Lz4.beginning(&stored, limit), Some(beginning), "{limit}");
        }
        let long = [&[0xf0, 5][..], &[b'x'; 20]].concat();
        let literals = Compression::Lz4.beginning(&block(20, &long), 100).unwrap();
        assert_eq!(literals.bytes, [b'x'; 20]);
        // As much as there is of a bomb: nobody has room for what it says.
        let bomb = [&[0x1f, b'x', 1, 0][..], &[255; 100_000]].concat();
        assert_eq!(Compression::Lz4.beginning(&block(u64::MAX, &bomb), 100), None, "no end");
        let bomb = block(u64::MAX, &[bomb, vec![0]].concat());
        let beginning = Compression::Lz4.beginning(&bomb, 100).unwrap();
        assert_eq!(beginning, Beginning { bytes: vec![b'x'; 100], is_whole: false });
    }

    #[test]
    fn no_block_of_lz4_is_believed() {
        let cases: [(&str, Vec<u8>); 9] = [
            ("no length", vec![1, 0, 0]),
            ("nothing", block(1, &[])),
            ("fewer literals than it says", block(9, &[0x90, b'a'])),
            ("a length without end", block(999, &[0xf0, 255, 255])),
            ("half an offset", block(9, &[0x14, b'a', 1])),
            ("an offset of nothing", block(9, &[0x14, b'a', 0, 0, 0x00])),
            ("an offset before all", block(9, &[0x14, b'a', 2, 0, 0x00])),
            ("less than it says", block(3, &[0x20, b'a', b'b'])),
            ("more than it says", block(1, &[0x20, b'a', b'b'])),
        ];
        for (what, stored) in cases {
            assert_eq!(Compression::Lz4.beginning(&stored, 100), None, "{what}");
        }
    }

    /// A frame of one block (RFC 8878 3.1.1.2) of the same byte, behind a header.
    fn frame(header: &[u8], length: u32, is_last: bool) -> Vec<u8> {
        let block = length << 3 | 0x02 | u32::from(is_last);
        [&ZSTD_MAGIC, header, &block.to_le_bytes()[..3], b"x"].concat()
    }

    #[test]
    fn a_frame_of_zstd_is_read_whatever_it_says_of_itself() {
        let headers: [&[u8]; 6] = [
            &[0x20, 9],
            &[0x60, 0, 9],
            &[0xa0, 0xff, 0xff, 0xff, 0xff],
            &[0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            // With windows, of 1 KiB and of terabytes, and with a checksum.
            &[0x00, 0x00],
            &[0x44, 0xff, 0, 0],
        ];
        for header in headers {
            let stored = frame(header, 1000, true);
            let whole = Beginning { bytes: vec![b'x'; 1000], is_whole: true };
            assert_eq!(Compression::Zstd.beginning(&stored, 1000), Some(whole), "{header:x?}");
            let cut = Beginning { bytes: vec![b'x'; 999], is_whole: false };
            assert_eq!(Compression::Zstd.beginning(&stored, 999), Some(cut), "{header:x?}");
            let more = frame(header, 1000, false);
            assert!(!Compression::Zstd.beginning(&more, 1000).unwrap().is_whole);
        }
    }

    #[test]
    fn no_frame_of_zstd_is_believed() {
        let frame = frame(&[0x20, 9], 1000, true);
        for length in 0..frame.len() {
            assert_eq!(Compression::Zstd.beginning(&frame[..length], 9), None, "{length}");
        }
        let mut cases = vec![("with a dictionary", [&ZSTD_MAGIC[..], &[0x21, 1, 9]].concat())];
        for (what, block) in [
            ("a block of a reserved kind", 0x07),
            ("a block without content", 0x3ec5),
            ("", 0xff_fffb),
        ] {
            let block: u32 = block;
            let bytes = [&ZSTD_MAGIC[..], &[0x20, 9], &block.to_le_bytes()[..3], b"x"].concat();
            cases.push((what, bytes));
        }
        for (what, stored) in cases {
            assert_eq!(Compression::Zstd.beginning(&stored, 100), None, "{what}");
        }
    }

    #[test]
    fn what_is_compressed_by_xz_or_twice_is_not_decoded() {
        assert_eq!(Compression::of(0xf8), None);
        for flags in [0x01, 0x03, 0x05, 0x06, 0x07] {
            assert_eq!(Compression::of(flags), Some(Compression::Unknown));
        }
        assert_eq!(Compression::Unknown.beginning(b"\xfd7zXZ\0", 100), None);
    }
}
