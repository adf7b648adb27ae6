//! Packs in JSON: an array of objects with short names (Core 10.7).

use std::borrow::Cow;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lwm2m_model::Value;

use super::{Field, Sink, Source};
use crate::json::{self, Elements, Kind, Members, Reader};
use crate::{DecodeError, Raw, raw};

#[derive(Debug)]
pub(crate) struct JsonSource<'a> {
    reader: Reader<'a>,
    pack: Elements,
    record: Members,
}

impl<'a> JsonSource<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload)?;
        let pack = reader.array()?;
        Ok(Self { reader, pack, record: Members::NONE })
    }
}

impl<'a> Source<'a> for JsonSource<'a> {
    fn offset(&self) -> usize {
        self.reader.offset()
    }

    fn next_record(&mut self) -> Result<Option<usize>, DecodeError> {
        if !self.pack.next(&mut self.reader)? {
            return Ok(None);
        }
        self.reader.kind()?;
        let offset = self.reader.offset();
        self.record = self.reader.object()?;
        Ok(Some(offset))
    }

    fn next_field(&mut self) -> Result<Option<Field>, DecodeError> {
        self.record.next(&mut self.reader)?.map(|key| Field::from_key(&key)).transpose()
    }

    fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.reader.text()
    }

    fn number(&mut self) -> Result<Raw<'a>, DecodeError> {
        self.reader.number()
    }

    fn seconds(&mut self) -> Result<f64, DecodeError> {
        self.reader.seconds()
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        self.reader.flag()
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let offset = self.reader.offset();
        let bytes = raw::from_base64(&self.reader.text()?);
        bytes.map(Cow::Owned).ok_or(DecodeError::BadBase64 { offset })
    }

    fn version(&mut self) -> Result<u64, DecodeError> {
        let offset = self.reader.offset();
        match self.reader.number()? {
            Raw::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        }
        .ok_or(DecodeError::UnexpectedType { offset, expected: "a version" })
    }

    fn take_null(&mut self) -> Result<bool, DecodeError> {
        let is_null = self.reader.kind()? == Kind::Null;
        if is_null {
            self.reader.null()?;
        }
        Ok(is_null)
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        self.reader.skip()
    }

    fn finish(self) -> Result<(), DecodeError> {
        self.reader.finish()
    }
}

#[derive(Debug)]
pub(crate) struct JsonSink<'o> {
    out: &'o mut Vec<u8>,
    /// What comes before the next record: nothing or a comma.
    before_record: &'static [u8],
    /// What comes before the next field: an opening brace or a comma.
    before_field: &'static [u8],
}

impl<'o> JsonSink<'o> {
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, before_record: b"", before_field: b"{" }
    }
}

impl Sink for JsonSink<'_> {
    fn begin_pack(&mut self, _records: usize) {
        self.out.push(b'[');
    }

    fn begin_record(&mut self, _fields: usize) {
        self.out.extend_from_slice(self.before_record);
        self.before_record = b",";
        self.before_field = b"{";
    }

    fn field(&mut self, field: Field) {
        self.out.extend_from_slice(self.before_field);
        self.before_field = b",";
        json::write_text(self.out, field.key());
        self.out.push(b':');
    }

    fn text(&mut self, text: &str) {
        json::write_text(self.out, text);
    }

    fn whole_seconds(&mut self, seconds: i64) {
        // Writing to a vector does not fail.
        let _ = write!(self.out, "{seconds}");
    }

    fn seconds(&mut self, seconds: f64) {
        json::write_float(self.out, seconds);
    }

    fn value(&mut self, value: &Value) {
        let _ = match value {
            Value::String(text) | Value::Corelnk(text) => return json::write_text(self.out, text),
            Value::Float(number) => return json::write_float(self.out, *number),
            Value::Integer(number) | Value::Time(number) => write!(self.out, "{number}"),
            Value::Unsigned(number) => write!(self.out, "{number}"),
            Value::Boolean(flag) => write!(self.out, "{flag}"),
            Value::Opaque(bytes) => write!(self.out, "\"{}\"", URL_SAFE_NO_PAD.encode(bytes)),
            Value::Objlnk(link) => write!(self.out, "\"{link}\""),
        };
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
    }

    fn end_record(&mut self) {
        self.out.push(b'}');
    }

    fn end_pack(&mut self) {
        self.out.push(b']');
    }
}
