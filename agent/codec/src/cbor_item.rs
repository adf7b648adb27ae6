//! CBOR items (RFC 8949) as the CBOR formats read and write them.
//!
//! Reads definite and indefinite lengths and every width; of tags only 0 and 1
//! (time) and 4 (decimal fraction). Writes definite lengths and the shortest form.

use std::borrow::Cow;
use std::io::Write as _;

use lwm2m_model::Value;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

use crate::{DecodeError, MAX_DEPTH, Raw, date, decimal};

/// Reads items one after another.
#[derive(Debug)]
pub(crate) struct Reader<'a>(Decoder<'a>);

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self(Decoder::new(payload))
    }

    pub(crate) fn offset(&self) -> usize {
        self.0.position()
    }

    /// The type of the next item.
    pub(crate) fn kind(&self) -> Result<Type, DecodeError> {
        match self.0.datatype() {
            Ok(Type::Unknown(_)) => Err(DecodeError::Malformed { offset: self.offset() }),
            other => other.map_err(|error| fault(self.offset(), &error)),
        }
    }

    /// Ends the payload.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.offset() {
            offset if offset == self.0.input().len() => Ok(()),
            offset => Err(DecodeError::TrailingBytes { offset }),
        }
    }

    /// Steps into a map; its length counts pairs.
    pub(crate) fn map(&mut self) -> Result<Items, DecodeError> {
        match self.kind()? {
            Type::Map | Type::MapIndef => self.read(Decoder::map).map(Items),
            _ => Err(self.unexpected("a map")),
        }
    }

    /// Steps into an array.
    pub(crate) fn array(&mut self) -> Result<Items, DecodeError> {
        match self.kind()? {
            Type::Array | Type::ArrayIndef => self.read(Decoder::array).map(Items),
            _ => Err(self.unexpected("an array")),
        }
    }

    /// A value of a resource: anything but containers, null and unknown tags.
    pub(crate) fn value(&mut self) -> Result<Raw<'a>, DecodeError> {
        match self.kind()? {
            Type::Bool => self.read(Decoder::bool).map(Raw::Boolean),
            Type::String | Type::StringIndef => self.text().map(Raw::String),
            Type::Bytes | Type::BytesIndef => self.bytes().map(Raw::Opaque),
            _ => self.number("a value"),
        }
    }

    /// A number or a tagged time.
    pub(crate) fn number(&mut self, expected: &'static str) -> Result<Raw<'a>, DecodeError> {
        match self.kind()? {
            Type::F16 | Type::F32 | Type::F64 => self.read(Decoder::f64).map(Raw::Float),
            Type::Tag => self.tagged(),
            _ => self.integer(expected).map(Raw::Integer),
        }
    }

    /// A finite number of seconds, for times.
    pub(crate) fn seconds(&mut self) -> Result<f64, DecodeError> {
        let offset = self.offset();
        let seconds = match self.number("a number")? {
            Raw::Integer(number) => number as f64,
            Raw::Float(number) => number,
            _ => return Err(DecodeError::UnexpectedType { offset, expected: "a number" }),
        };
        seconds.is_finite().then_some(seconds).ok_or(DecodeError::NotFinite { offset })
    }

    pub(crate) fn integer(&mut self, expected: &'static str) -> Result<i128, DecodeError> {
        match self.kind()? {
            Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int => self.read(Decoder::int).map(i128::from),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(crate) fn unsigned(&mut self, expected: &'static str) -> Result<u64, DecodeError> {
        match self.kind()? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.read(Decoder::u64),
            _ => Err(self.unexpected(expected)),
        }
    }

    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let offset = self.offset();
        // The type is known, so what is neither of these two is bad UTF-8.
        let explain = |error: &Error| match fault(offset, error) {
            DecodeError::Malformed { .. } if !error.is_type_mismatch() => {
                DecodeError::NotUtf8 { offset }
            }
            other => other,
        };
        match self.kind()? {
            Type::String => self.0.str().map(Cow::Borrowed).map_err(|error| explain(&error)),
            Type::StringIndef => {
                let chunks = self.0.str_iter().map_err(|error| explain(&error))?;
                let whole: Result<String, _> = chunks.collect();
                whole.map(Cow::Owned).map_err(|error| explain(&error))
            }
            _ => Err(self.unexpected("text")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let offset = self.offset();
        match self.kind()? {
            Type::Bytes => self.read(Decoder::bytes).map(Cow::Borrowed),
            Type::BytesIndef => {
                let chunks = self.0.bytes_iter().map_err(|error| fault(offset, &error))?;
                let mut whole = Vec::new();
                for chunk in chunks {
                    whole.extend_from_slice(chunk.map_err(|error| fault(offset, &error))?);
                }
                Ok(Cow::Owned(whole))
            }
            _ => Err(self.unexpected("bytes")),
        }
    }

    /// Passes over one item of any kind, at most [`MAX_DEPTH`] containers deep.
    pub(crate) fn skip(&mut self) -> Result<(), DecodeError> {
        self.skip_below(MAX_DEPTH)
    }

    fn skip_below(&mut self, depth: usize) -> Result<(), DecodeError> {
        let offset = self.offset();
        let below = || depth.checked_sub(1).ok_or(DecodeError::NestedTooDeep { offset });
        match self.kind()? {
            Type::Array | Type::ArrayIndef => {
                let (mut items, below) = (self.array()?, below()?);
                while items.next(self)? {
                    self.skip_below(below)?;
                }
                Ok(())
            }
            Type::Map | Type::MapIndef => {
                let (mut items, below) = (self.map()?, below()?);
                while items.next(self)? {
                    self.skip_below(below)?;
                    self.skip_below(below)?;
                }
                Ok(())
            }
            Type::Tag => {
                self.read(Decoder::tag)?;
                self.skip_below(below()?)
            }
            Type::Null => self.read(Decoder::null),
            Type::Undefined => self.read(Decoder::undefined),
            Type::Simple => self.read(Decoder::simple).map(drop),
            _ => self.value().map(drop),
        }
    }

    fn tagged(&mut self) -> Result<Raw<'a>, DecodeError> {
        let offset = self.offset();
        let tag = self.read(Decoder::tag)?.as_u64();
        let inner = self.offset();
        match tag {
            0 => date::parse(&self.text()?)
                .map(Raw::Time)
                .ok_or(DecodeError::BadDate { offset: inner }),
            1 => match self.kind()? {
                Type::Tag => Err(self.unexpected("a number")),
                Type::F16 | Type::F32 | Type::F64 => self.seconds().map(Raw::Time),
                _ => self.integer("a number").map(time_of_integer),
            },
            4 => self.decimal_fraction(),
            _ => Err(DecodeError::UnsupportedTag { offset, tag }),
        }
    }

    /// `[exponent, mantissa]` to the base ten (RFC 8949 3.4.4).
    fn decimal_fraction(&mut self) -> Result<Raw<'a>, DecodeError> {
        let offset = self.offset();
        let mut items = self.array()?;
        let mut part = |reader: &mut Self| match items.next(reader)? {
            true => reader.integer("an integer"),
            false => Err(DecodeError::Malformed { offset }),
        };
        let (exponent, mantissa) = (part(self)?, part(self)?);
        if items.next(self)? {
            return Err(DecodeError::Malformed { offset });
        }
        if let Some(number) = decimal::whole(mantissa, exponent) {
            return Ok(Raw::Integer(number));
        }
        // The parser of the standard library rounds right and takes any exponent.
        let number: f64 = format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN);
        number.is_finite().then_some(Raw::Float(number)).ok_or(DecodeError::NotFinite { offset })
    }

    fn read<T>(
        &mut self,
        item: impl FnOnce(&mut Decoder<'a>) -> Result<T, Error>,
    ) -> Result<T, DecodeError> {
        let offset = self.offset();
        item(&mut self.0).map_err(|error| fault(offset, &error))
    }

    fn unexpected(&self, expected: &'static str) -> DecodeError {
        DecodeError::UnexpectedType { offset: self.offset(), expected }
    }
}

/// How many items of a container are left; `None` until a break.
#[derive(Debug)]
pub(crate) struct Items(Option<u64>);

impl Items {
    /// A container that is over.
    pub(crate) const NONE: Self = Self(Some(0));

    /// True if another item follows; takes the break of an indefinite length.
    pub(crate) fn next(&mut self, reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
        match &mut self.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None if reader.kind()? == Type::Break => {
                reader.0.set_position(reader.offset() + 1);
                self.0 = Some(0);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}

/// Whole seconds, which stay an integer where a float would lose some.
fn time_of_integer<'a>(seconds: i128) -> Raw<'a> {
    if seconds.unsigned_abs() <= 1 << 53 {
        Raw::Time(seconds as f64)
    } else {
        Raw::Integer(seconds)
    }
}

fn fault(offset: usize, error: &Error) -> DecodeError {
    if error.is_end_of_input() { DecodeError::Truncated } else { DecodeError::Malformed { offset } }
}

/// Writes a value in the shortest form that keeps it; Time as a plain integer, Float
/// always as a float, since some peers refuse an integer there.
pub(crate) fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) | Value::Corelnk(text) => self::text(out, text),
        Value::Integer(number) | Value::Time(number) => integer(out, *number),
        Value::Unsigned(number) => head(out, UNSIGNED, *number),
        Value::Float(number) => float(out, *number),
        Value::Boolean(flag) => out.push(if *flag { TRUE } else { FALSE }),
        Value::Opaque(bytes) => {
            head(out, BYTES, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        Value::Objlnk(link) => {
            let place = out.len();
            out.push(0);
            // Writing to a vector does not fail.
            let _ = write!(out, "{link}");
            // At most "65535:65535", so the length is in the first byte.
            let length = out.len() - place - 1;
            if let Some(first) = out.get_mut(place) {
                *first = TEXT | (length as u8);
            }
        }
    }
}

pub(crate) fn integer(out: &mut Vec<u8>, number: i64) {
    match u64::try_from(number) {
        Ok(number) => head(out, UNSIGNED, number),
        // -1 - n of a negative number is its complement.
        Err(_) => head(out, NEGATIVE, !number as u64),
    }
}

pub(crate) fn null(out: &mut Vec<u8>) {
    out.push(NULL);
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Writes the narrowest of 16, 32 and 64 bits that holds the number exactly.
pub(crate) fn float(out: &mut Vec<u8>, number: f64) {
    // A cast rounds or saturates; the comparison finds out.
    let single = number as f32;
    if let Some(half) = half_bits(number) {
        out.push(FLOAT16);
        out.extend_from_slice(&half.to_be_bytes());
    } else if f64::from(single) == number {
        out.push(FLOAT32);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(FLOAT64);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// The start of an item: its major type and a number or length.
pub(crate) fn head(out: &mut Vec<u8>, major: u8, number: u64) {
    match number {
        0..=23 => out.push(major | number as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, number as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(number as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&(number as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// The 16-bit form of a number, if it has one; every NaN becomes the same.
fn half_bits(number: f64) -> Option<u16> {
    let bits = number.to_bits();
    let sign = ((bits >> 48) as u16) & 0x8000;
    let fraction = bits & ((1 << 52) - 1);
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    if number.is_nan() {
        return Some(0x7e00);
    }
    let magnitude = match exponent {
        1024 => 0x7c00,
        -1023 if fraction == 0 => 0,
        // Normal: ten bits of fraction.
        -14..=15 if fraction.trailing_zeros() >= 42 => {
            (((exponent + 15) as u16) << 10) | (fraction >> 42) as u16
        }
        // Subnormal: the leading one moves into the fraction.
        -24..=-15 => {
            let shift = (28 - exponent) as u32;
            let whole = fraction | (1 << 52);
            if whole.trailing_zeros() < shift {
                return None;
            }
            (whole >> shift) as u16
        }
        _ => return None,
    };
    Some(sign | magnitude)
}

pub(crate) const UNSIGNED: u8 = 0x00;
pub(crate) const NEGATIVE: u8 = 0x20;
pub(crate) const BYTES: u8 = 0x40;
pub(crate) const TEXT: u8 = 0x60;
pub(crate) const ARRAY: u8 = 0x80;
pub(crate) const MAP: u8 = 0xa0;
/// Tag 1: seconds since 1970 follow.
pub(crate) const TAG_EPOCH_TIME: u8 = 0xc1;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT16: u8 = 0xf9;
const FLOAT32: u8 = 0xfa;
const FLOAT64: u8 = 0xfb;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_float_stays_one() {
        for bits in 0..=u16::MAX {
            let bytes = [&[FLOAT16], &bits.to_be_bytes()[..]].concat();
            let number = Decoder::new(&bytes).f64().unwrap();
            let mut out = Vec::new();
            float(&mut out, number);
            assert_eq!(out.len(), 3, "{number}");
            assert!(number.is_nan() || out == bytes, "{number}");
        }
    }

    #[test]
    fn floats_take_the_width_they_need() {
        let cases = [
            (300.0, "f95cb0"),
            (65504.0, "f97bff"),
            (65505.0, "fa477fe100"),
            (100_000.0, "fa47c35000"),
            (0.1, "fb3fb999999999999a"),
            (5.960_464_477_539_063e-8, "f90001"),
            (2.980_232_238_769_531_3e-8, "fa33000000"),
            (f64::MAX, "fb7fefffffffffffff"),
            (f64::MIN_POSITIVE, "fb0010000000000000"),
        ];
        for (number, hex) in cases {
            let mut out = Vec::new();
            float(&mut out, number);
            let written: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written, hex, "{number}");
        }
    }

    #[test]
    fn decimal_fractions_stay_exact_where_they_can() {
        let cases: [(&[u8], Raw<'_>); 6] = [
            (&[0xc4, 0x82, 0x20, 0x18, 45], Raw::Float(4.5)),
            (&[0xc4, 0x82, 0x20, 0x18, 50], Raw::Integer(5)),
            (&[0xc4, 0x82, 0x02, 0x03], Raw::Integer(300)),
            (&[0xc4, 0x9f, 0x21, 0x20, 0xff], Raw::Float(-0.01)),
            (&[0xc4, 0x82, 0x18, 20, 1], Raw::Float(1e20)),
            (&[0xc4, 0x82, 0x39, 0xff, 0xff, 1], Raw::Float(0.0)),
        ];
        for (bytes, raw) in cases {
            assert_eq!(Reader::new(bytes).value(), Ok(raw), "{bytes:02x?}");
        }
        let bad: [&[u8]; 5] = [
            &[0xc4, 0x81, 0x20],
            &[0xc4, 0x83, 0x20, 1, 1],
            &[0xc4, 0x82, 0x20, 0xf9, 0, 0],
            &[0xc4, 0x82, 0x19, 0xff, 0xff, 1],
            &[0xc4, 0x82, 0x20, 0xc2, 0x41, 1],
        ];
        for bytes in bad {
            assert!(Reader::new(bytes).value().is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn skipping_is_bounded_in_depth() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0]].concat();
        assert_eq!(Reader::new(&nested(MAX_DEPTH)).skip(), Ok(()));
        assert!(matches!(
            Reader::new(&nested(MAX_DEPTH + 1)).skip(),
            Err(DecodeError::NestedTooDeep { .. })
        ));
        assert!(Reader::new(&vec![0xc6; 1 << 20]).skip().is_err());
        assert_eq!(
            Reader::new(&[0xbb, 255, 255, 255, 255, 255, 255, 255, 255]).skip(),
            Err(DecodeError::Truncated)
        );
    }
}
