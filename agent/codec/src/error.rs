//! Why a payload is refused, and why entries cannot be written.
//!
//! A variant per cause; values stand in none of them, since they may be secret.

use lwm2m_model::{ContentFormat, DataType, Path};

use crate::{MAX_NAME, MAX_PAYLOAD, MAX_RECORDS};

/// Why a payload is refused: 4.15 for [`DecodeError::UnsupportedFormat`], 4.00 for
/// the rest. Offsets count bytes from the start of the payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No decoder for this format.
    #[error("no decoder for content format {0}")]
    UnsupportedFormat(ContentFormat),
    /// Longer than [`MAX_PAYLOAD`].
    #[error("payload of {0} bytes, more than {MAX_PAYLOAD}")]
    PayloadTooLarge(usize),
    /// More records than [`MAX_RECORDS`].
    #[error("more than {MAX_RECORDS} values in one payload")]
    TooManyRecords,
    /// The format holds one value, and the target is more than that.
    #[error("{format} holds one single value and {target} is no resource")]
    NotSingle {
        /// The format of the payload.
        format: ContentFormat,
        /// The target of the message.
        target: Path,
    },
    /// The payload ends in the middle of something.
    #[error("payload is cut off")]
    Truncated,
    /// Bytes follow what the format allows.
    #[error("bytes left over at offset {offset}")]
    TrailingBytes {
        /// The first of them.
        offset: usize,
    },
    /// Text that is not UTF-8.
    #[error("text at offset {offset} is not valid utf-8")]
    NotUtf8 {
        /// Where the text, or its fault, begins.
        offset: usize,
    },

    /// Bytes that are no CBOR, characters that are no JSON.
    #[error("malformed payload at offset {offset}")]
    Malformed {
        /// Where.
        offset: usize,
    },
    /// A CBOR item or JSON value of another type than the place allows.
    #[error("expected {expected} at offset {offset}")]
    UnexpectedType {
        /// Where.
        offset: usize,
        /// What the place allows.
        expected: &'static str,
    },
    /// A CBOR tag other than 0, 1 and 4.
    #[error("cbor tag {tag} at offset {offset} is not supported")]
    UnsupportedTag {
        /// Where.
        offset: usize,
        /// The tag.
        tag: u64,
    },
    /// A tag 0 text that is no date and time of RFC 3339.
    #[error("no valid date and time at offset {offset}")]
    BadDate {
        /// Where.
        offset: usize,
    },
    /// A time, decimal fraction or JSON number that is infinite, too large for a float, or
    /// no number.
    #[error("expected a finite number at offset {offset}")]
    NotFinite {
        /// Where.
        offset: usize,
    },
    /// A skipped field nests deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    #[error("what stands at offset {offset} nests too deep")]
    NestedTooDeep {
        /// Where.
        offset: usize,
    },

    /// An identifier above 65535.
    #[error("{id} is no identifier: expected a number from 0 to 65534")]
    IdTooLarge {
        /// The number.
        id: u64,
    },
    /// The identifier 65535 where it stands for nothing.
    #[error("65535 below {parent} identifies nothing")]
    ReservedId {
        /// The path above it.
        parent: Path,
    },
    /// More than four identifiers.
    #[error("nothing can stand below {parent}")]
    PathTooDeep {
        /// The path that cannot grow.
        parent: Path,
    },
    /// A value at an object or instance, or a container below a resource.
    #[error("what stands at {path} cannot stand there")]
    Misplaced {
        /// Where.
        path: Path,
    },
    /// A path that the target does not cover.
    #[error("{path} lies outside {target}")]
    OutsideTarget {
        /// The path in the payload.
        path: Path,
        /// The target of the message.
        target: Path,
    },
    /// The same path, at the same time, twice.
    #[error("{path} comes twice")]
    DuplicatePath {
        /// The path.
        path: Path,
    },
    /// A path that is a value, or empty, and yet has something below it.
    #[error("{path} is given both as a whole and in parts")]
    Overlap {
        /// The path.
        path: Path,
    },
    /// A gateway prefix that is none, or not the first part of a key.
    #[error("the text key at offset {offset} is no leading gateway prefix")]
    BadPrefix {
        /// Where.
        offset: usize,
    },
    /// An array key without identifiers.
    #[error("empty key at offset {offset}")]
    EmptyKey {
        /// Where.
        offset: usize,
    },

    /// TLV cannot say which object it means.
    #[error("tlv needs a target of one object, got {target}")]
    NoObject {
        /// The target of the message.
        target: Path,
    },
    /// A TLV entry of a kind that cannot stand there.
    #[error("tlv entry at offset {offset} is of the wrong kind for its place")]
    WrongKind {
        /// Where.
        offset: usize,
    },

    /// A name that gives no path; its first characters.
    #[error("\"{name}\" is no path")]
    BadName {
        /// At most 24 characters of it.
        name: String,
    },
    /// A name longer than [`MAX_NAME`].
    #[error("name of {0} bytes, more than {MAX_NAME}")]
    NameTooLong(usize),
    /// A record without value.
    #[error("{path} has no value")]
    NoValue {
        /// The path of the record.
        path: Path,
    },
    /// A record with two values or the same field twice.
    #[error("a record repeats field {field} or has a second value there")]
    RepeatedField {
        /// The second of the two, by its name in JSON.
        field: &'static str,
    },
    /// A SenML field that we must understand and do not: `s`, `bs`, a name ending in `_`.
    #[error("field {0} must be understood and is not")]
    MandatoryField(String),
    /// A SenML version above 10.
    #[error("senml version {0} is not supported")]
    UnsupportedVersion(u64),
    /// A SenML-ETCH Fetch pack without records.
    #[error("the pack names nothing to fetch")]
    NothingFetched,
    /// A field other than names, times and units in a SenML-ETCH Fetch pack.
    #[error("the field at offset {offset} has no place in what is fetched")]
    NotInFetch {
        /// Where its value begins.
        offset: usize,
    },
    /// A SenML JSON `vd` that is no base64.
    #[error("no valid base64 at offset {offset}")]
    BadBase64 {
        /// Where.
        offset: usize,
    },
    /// JSON 1.0 without the array `e`.
    #[error("there is no array \"e\"")]
    NoEntries,
    /// A SenML `vlo` or JSON 1.0 `ov` that is no object link.
    #[error("no valid object link at offset {offset}")]
    BadLink {
        /// Where.
        offset: usize,
    },
}

/// Why entries cannot be written in a format: 4.06.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// No encoder for this format.
    #[error("no encoder for content format {0}")]
    UnsupportedFormat(ContentFormat),
    /// The format holds one single value, and there is another number of them or the
    /// target is not that of a value.
    #[error("{0} holds one single value")]
    NotSingle(ContentFormat),
    /// The opaque format holds Opaque values alone.
    #[error("opaque holds no {0}")]
    NotOpaque(DataType),
    /// Text and JSON have no infinity and no NaN; SenML no such time.
    #[error("{path} has a number or time that is not finite")]
    NotFinite {
        /// Where.
        path: Path,
    },
    /// TLV cannot say which object it means.
    #[error("tlv needs a target of one object, got {target}")]
    NoObject {
        /// The target.
        target: Path,
    },
    /// A TLV value or container above 2^24 - 1 bytes.
    #[error("{path} is too large for tlv")]
    TooLarge {
        /// Where.
        path: Path,
    },
    /// A value at an object or instance, or an empty container elsewhere than at an
    /// instance or resource.
    #[error("what stands at {path} cannot stand there")]
    Misplaced {
        /// Where.
        path: Path,
    },
    /// An entry that the target does not cover.
    #[error("{path} lies outside {target}")]
    OutsideTarget {
        /// The path of the entry.
        path: Path,
        /// The target.
        target: Path,
    },
    /// Entries that are not in ascending order of their paths, or repeat one. In SenML
    /// any order is right, and a path may come again at another time.
    #[error("{path} comes twice or out of order")]
    NotSorted {
        /// The path that came too late.
        path: Path,
    },
    /// An entry with something below it.
    #[error("{path} is given both as a whole and in parts")]
    Overlap {
        /// The path.
        path: Path,
    },
}
