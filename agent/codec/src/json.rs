//! JSON tokens (RFC 8259) as the JSON formats read and write them.
//!
//! Hand-written, because what the formats need is little and unusual: integers of 64
//! bits that never pass through a float, offsets for the errors, text borrowed from the
//! payload, skipped fields bounded in depth, and no tree in memory. Strict: no byte
//! order mark, no comments, no control characters in text, no half surrogates.

use std::borrow::Cow;
use std::io::Write as _;

use crate::{DecodeError, MAX_DEPTH, Raw, decimal};

/// Reads values one after another.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    Text,
    Array,
    Object,
}

impl<'a> Reader<'a> {
    /// Takes a payload, which is UTF-8 as a whole or refused.
    pub(crate) fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        std::str::from_utf8(payload)
            .map(|text| Self { text, at: 0 })
            .map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The kind of the next value, to which this moves.
    pub(crate) fn kind(&mut self) -> Result<Kind, DecodeError> {
        match self.next_byte()? {
            b'n' => Ok(Kind::Null),
            b't' | b'f' => Ok(Kind::Boolean),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b'"' => Ok(Kind::Text),
            b'[' => Ok(Kind::Array),
            b'{' => Ok(Kind::Object),
            _ => Err(self.malformed()),
        }
    }

    /// Ends the payload.
    pub(crate) fn finish(mut self) -> Result<(), DecodeError> {
        self.pass_blanks();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(DecodeError::TrailingBytes { offset: self.at }),
        }
    }

    /// Steps into an array.
    pub(crate) fn array(&mut self) -> Result<Elements, DecodeError> {
        self.expect(Kind::Array, "an array")?;
        self.at += 1;
        Ok(Elements { is_first: true })
    }

    /// Steps into an object.
    pub(crate) fn object(&mut self) -> Result<Members, DecodeError> {
        self.expect(Kind::Object, "an object")?;
        self.at += 1;
        Ok(Members { is_first: true })
    }

    pub(crate) fn null(&mut self) -> Result<(), DecodeError> {
        self.expect(Kind::Null, "null")?;
        if self.take("null") { Ok(()) } else { Err(self.malformed()) }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        self.expect(Kind::Boolean, "true or false")?;
        if self.take("true") {
            Ok(true)
        } else if self.take("false") {
            Ok(false)
        } else {
            Err(self.malformed())
        }
    }

    /// A number: an integer where it is one, exactly, and a finite float otherwise.
    pub(crate) fn number(&mut self) -> Result<Raw<'a>, DecodeError> {
        self.expect(Kind::Number, "a number")?;
        let start = self.at;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _ = self.take("+") || self.take("-");
            self.digits()?;
        }
        let number = self.text.get(start..self.at).and_then(decimal::parse);
        number.ok_or(DecodeError::NotFinite { offset: start })
    }

    /// Seconds, for times.
    pub(crate) fn seconds(&mut self) -> Result<f64, DecodeError> {
        match self.number()? {
            Raw::Integer(number) => Ok(number as f64),
            Raw::Float(number) => Ok(number),
            _ => Err(self.malformed()),
        }
    }

    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.expect(Kind::Text, "text")?;
        self.at += 1;
        let run = self.run()?;
        if self.take("\"") {
            return Ok(Cow::Borrowed(run));
        }
        let mut whole = run.to_owned();
        while !self.take("\"") {
            whole.push(self.escape()?);
            whole.push_str(self.run()?);
        }
        Ok(Cow::Owned(whole))
    }

    /// Passes over one value of any kind, at most [`MAX_DEPTH`] containers deep.
    pub(crate) fn skip(&mut self) -> Result<(), DecodeError> {
        self.skip_below(MAX_DEPTH)
    }

    fn skip_below(&mut self, depth: usize) -> Result<(), DecodeError> {
        let kind = self.kind()?;
        let offset = self.at;
        let below = || depth.checked_sub(1).ok_or(DecodeError::NestedTooDeep { offset });
        match kind {
            Kind::Null => self.null(),
            Kind::Boolean => self.flag().map(drop),
            // A number that no float holds is no fault where nobody wants it.
            Kind::Number => match self.number() {
                Err(DecodeError::NotFinite { .. }) => Ok(()),
                other => other.map(drop),
            },
            Kind::Text => self.text().map(drop),
            Kind::Array => {
                let (mut elements, below) = (self.array()?, below()?);
                while elements.next(self)? {
                    self.skip_below(below)?;
                }
                Ok(())
            }
            Kind::Object => {
                let (mut members, below) = (self.object()?, below()?);
                while members.next(self)?.is_some() {
                    self.skip_below(below)?;
                }
                Ok(())
            }
        }
    }

    /// The characters up to a quote or an escape.
    fn run(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = rest
            .bytes()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
            .ok_or(DecodeError::Truncated)?;
        self.at += length;
        match self.peek() {
            Some(0..=0x1f) => Err(self.malformed()),
            _ => Ok(rest.get(..length).unwrap_or_default()),
        }
    }

    fn escape(&mut self) -> Result<char, DecodeError> {
        let malformed = self.malformed();
        self.at += 1;
        let byte = self.peek().ok_or(DecodeError::Truncated)?;
        // A character of several bytes is left to the error, so one step is enough.
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let code = match first {
                    0xd800..=0xdbff if self.take("\\u") => match self.hex()? {
                        second @ 0xdc00..=0xdfff => {
                            0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                        }
                        _ => return Err(malformed),
                    },
                    other => other,
                };
                // A surrogate that stands alone is no character.
                char::from_u32(code).ok_or(malformed)?
            }
            _ => return Err(malformed),
        })
    }

    fn hex(&mut self) -> Result<u32, DecodeError> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or(DecodeError::Truncated)?;
            let digit = char::from(byte).to_digit(16).ok_or_else(|| self.malformed())?;
            number = (number << 4) | digit;
            self.at += 1;
        }
        Ok(number)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => return Err(DecodeError::Truncated),
            Some(b'0'..=b'9') => {}
            Some(_) => return Err(self.malformed()),
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    /// True if another value follows in a container, with what stands before it taken.
    fn another(&mut self, is_first: &mut bool, end: u8) -> Result<bool, DecodeError> {
        let byte = self.next_byte()?;
        if byte == end {
            self.at += 1;
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            if byte != b',' {
                return Err(self.malformed());
            }
            self.at += 1;
        }
        Ok(true)
    }

    fn expect(&mut self, kind: Kind, expected: &'static str) -> Result<(), DecodeError> {
        if self.kind()? == kind {
            Ok(())
        } else {
            Err(DecodeError::UnexpectedType { offset: self.at, expected })
        }
    }

    fn take(&mut self, token: &str) -> bool {
        let is_there = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(token));
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn next_byte(&mut self) -> Result<u8, DecodeError> {
        self.pass_blanks();
        self.peek().ok_or(DecodeError::Truncated)
    }

    fn pass_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn malformed(&self) -> DecodeError {
        DecodeError::Malformed { offset: self.at }
    }
}

/// A place in an array.
#[derive(Debug)]
pub(crate) struct Elements {
    is_first: bool,
}

impl Elements {
    /// True if another element follows; takes the bracket at the end.
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
        reader.another(&mut self.is_first, b']')
    }
}

/// A place in an object.
#[derive(Debug)]
pub(crate) struct Members {
    is_first: bool,
}

impl Members {
    /// An object into which nobody has stepped.
    pub(crate) const NONE: Self = Self { is_first: true };

    /// The name of the next member, whose value follows; takes the brace at the end.
    pub(crate) fn next<'a>(
        &mut self,
        reader: &mut Reader<'a>,
    ) -> Result<Option<Cow<'a, str>>, DecodeError> {
        if !reader.another(&mut self.is_first, b'}')? {
            return Ok(None);
        }
        let name = reader.text()?;
        match reader.next_byte()? {
            b':' => reader.at += 1,
            _ => return Err(reader.malformed()),
        }
        Ok(Some(name))
    }
}

/// Writes text in quotes, with no more escapes than JSON demands.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some((plain, escaped, after)) = split_at_escape(rest) {
        out.extend_from_slice(plain.as_bytes());
        match escaped {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', escaped]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // Writing to a vector does not fail.
            _ => drop(write!(out, "\\u{escaped:04x}")),
        }
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// Writes a finite float, always with a point or an exponent: some peers refuse an
/// integer where a Float is due.
pub(crate) fn write_float(out: &mut Vec<u8>, number: f64) {
    // Debug is the shortest text that reads back as the same number.
    let _ = write!(out, "{number:?}");
}

/// What stands before the first byte that needs an escape, the byte, and the rest.
fn split_at_escape(text: &str) -> Option<(&str, u8, &str)> {
    let place = text.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
    // All of them are characters of one byte.
    let (plain, rest) = text.split_at_checked(place)?;
    let escaped = *rest.as_bytes().first()?;
    Some((plain, escaped, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(text: &str) -> Reader<'_> {
        Reader::new(text.as_bytes()).unwrap()
    }

    /// OBJ-09.
    #[test]
    fn numbers_are_exact_or_refused() {
        let cases = [
            ("0", Raw::Integer(0)),
            ("-9223372036854775808", Raw::Integer(i64::MIN.into())),
            ("18446744073709551615", Raw::Integer(u64::MAX.into())),
            ("9007199254740993.0", Raw::Integer(9_007_199_254_740_993)),
            ("1.8446744073709551615e19", Raw::Integer(u64::MAX.into())),
            ("20.0", Raw::Float(20.0)),
            ("-0.0", Raw::Float(-0.0)),
            ("1E-2", Raw::Float(0.01)),
            ("1e+2", Raw::Float(100.0)),
            ("43.61092", Raw::Float(43.61092)),
            ("1e-999999999999999999999", Raw::Float(0.0)),
        ];
        for (text, number) in cases {
            assert_eq!(reader(text).number(), Ok(number), "{text}");
        }
        let bad = [
            ("1e999", DecodeError::NotFinite { offset: 0 }),
            ("-", DecodeError::Truncated),
            ("1.", DecodeError::Truncated),
            ("1.e1", DecodeError::Malformed { offset: 2 }),
            ("1e+", DecodeError::Truncated),
            ("-x", DecodeError::Malformed { offset: 1 }),
            ("+1", DecodeError::Malformed { offset: 0 }),
            (".5", DecodeError::Malformed { offset: 0 }),
            ("NaN", DecodeError::Malformed { offset: 0 }),
            ("\"1\"", DecodeError::UnexpectedType { offset: 0, expected: "a number" }),
        ];
        for (text, error) in bad {
            assert_eq!(reader(text).number(), Err(error), "{text}");
        }
    }

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        assert!(matches!(reader("\"\u{e9}t\u{e9}\"").text(), Ok(Cow::Borrowed("\u{e9}t\u{e9}"))));
        let escapes = r#""\"\\\/\b\f\n\r\t\u0041\uD83d\ude00.""#;
        assert_eq!(reader(escapes).text().unwrap(), "\"\\/\u{8}\u{c}\n\r\tA\u{1f600}.");
        let bad = [
            ("\"ab", DecodeError::Truncated),
            ("\"ab\\", DecodeError::Truncated),
            ("\"\\u00", DecodeError::Truncated),
            ("\"a\nb\"", DecodeError::Malformed { offset: 2 }),
            ("\"\\x41\"", DecodeError::Malformed { offset: 1 }),
            ("\"\\\u{e9}\"", DecodeError::Malformed { offset: 1 }),
            ("\"\\u00g0\"", DecodeError::Malformed { offset: 5 }),
            ("\"\\ud83d\"", DecodeError::Malformed { offset: 1 }),
            ("\"\\ud83d\\u0041\"", DecodeError::Malformed { offset: 1 }),
            ("\"\\ude00\"", DecodeError::Malformed { offset: 1 }),
        ];
        for (text, error) in bad {
            assert_eq!(reader(text).text(), Err(error), "{text}");
        }
    }

    #[test]
    fn structure_is_strict() {
        let skip = |text: &str| {
            let mut reader = reader(text);
            reader.skip().and_then(|()| reader.finish())
        };
        for text in [" [ ] ", "{\"a\" : [1, {\"b\":null}] ,\"c\":true}\r\n\t", "1e999", "false"] {
            assert_eq!(skip(text), Ok(()), "{text}");
        }
        let bad = [
            ("", DecodeError::Truncated),
            ("[1", DecodeError::Truncated),
            ("{\"a\":1", DecodeError::Truncated),
            ("[1,]", DecodeError::Malformed { offset: 3 }),
            ("[,1]", DecodeError::Malformed { offset: 1 }),
            ("[1 2]", DecodeError::Malformed { offset: 3 }),
            ("[01]", DecodeError::Malformed { offset: 2 }),
            ("{\"a\" 1}", DecodeError::Malformed { offset: 5 }),
            ("{\"a\":1,}", DecodeError::Malformed { offset: 7 }),
            ("{1:1}", DecodeError::UnexpectedType { offset: 1, expected: "text" }),
            ("nul", DecodeError::Malformed { offset: 0 }),
            ("True", DecodeError::Malformed { offset: 0 }),
            ("[]]", DecodeError::TrailingBytes { offset: 2 }),
            ("\u{feff}[]", DecodeError::Malformed { offset: 0 }),
        ];
        for (text, error) in bad {
            assert_eq!(skip(text), Err(error), "{text}");
        }
        assert_eq!(Reader::new(b"[\"\xff\"]").unwrap_err(), DecodeError::NotUtf8 { offset: 2 });
    }

    #[test]
    fn skipping_is_bounded_in_depth() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(reader(&nested(MAX_DEPTH)).skip(), Ok(()));
        assert_eq!(
            reader(&nested(MAX_DEPTH + 1)).skip(),
            Err(DecodeError::NestedTooDeep { offset: MAX_DEPTH })
        );
        assert!(reader(&"{\"a\":".repeat(1 << 17)).skip().is_err());
    }

    #[test]
    fn text_is_escaped_where_it_must_be() {
        let mut out = Vec::new();
        write_text(&mut out, "a\"b\\c/\n\r\t\u{1}\u{7f}\u{e9}");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\c/\\n\\r\\t\\u0001\u{7f}\u{e9}\"");
    }
}
