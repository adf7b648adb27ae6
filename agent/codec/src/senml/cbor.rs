//! Packs in CBOR: an array of maps with integer labels (Core 10.8).

use std::borrow::Cow;

use lwm2m_model::Value;
use minicbor::data::Type;

use super::{Field, Sink, Source};
use crate::cbor_item::{self, ARRAY, Items, MAP, Reader, head};
use crate::{DecodeError, Raw};

#[derive(Debug)]
pub(crate) struct CborSource<'a> {
    reader: Reader<'a>,
    pack: Items,
    record: Items,
}

impl<'a> CborSource<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let pack = reader.array()?;
        Ok(Self { reader, pack, record: Items::NONE })
    }
}

impl<'a> Source<'a> for CborSource<'a> {
    fn offset(&self) -> usize {
        self.reader.offset()
    }

    fn next_record(&mut self) -> Result<Option<usize>, DecodeError> {
        if !self.pack.next(&mut self.reader)? {
            return Ok(None);
        }
        let offset = self.reader.offset();
        self.record = self.reader.map()?;
        Ok(Some(offset))
    }

    fn next_field(&mut self) -> Result<Option<Field>, DecodeError> {
        if !self.record.next(&mut self.reader)? {
            return Ok(None);
        }
        match self.reader.kind()? {
            Type::String | Type::StringIndef => Field::from_text_label(&self.reader.text()?),
            _ => self.reader.integer("a field label").map(Field::from_label),
        }
        .map(Some)
    }

    fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.reader.text()
    }

    fn number(&mut self) -> Result<Raw<'a>, DecodeError> {
        self.reader.number("a number")
    }

    fn seconds(&mut self) -> Result<f64, DecodeError> {
        self.reader.seconds()
    }

    fn flag(&mut self) -> Result<bool, DecodeError> {
        match (self.reader.offset(), self.reader.value()?) {
            (_, Raw::Boolean(flag)) => Ok(flag),
            (offset, _) => Err(DecodeError::UnexpectedType { offset, expected: "true or false" }),
        }
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.reader.bytes()
    }

    fn version(&mut self) -> Result<u64, DecodeError> {
        self.reader.unsigned("a version")
    }

    fn take_null(&mut self) -> Result<bool, DecodeError> {
        let is_null = self.reader.kind()? == Type::Null;
        if is_null {
            self.reader.skip()?;
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
pub(crate) struct CborSink<'o>(pub(crate) &'o mut Vec<u8>);

impl Sink for CborSink<'_> {
    fn begin_pack(&mut self, records: usize) {
        head(self.0, ARRAY, records as u64);
    }

    fn begin_record(&mut self, fields: usize) {
        head(self.0, MAP, fields as u64);
    }

    fn field(&mut self, field: Field) {
        match field {
            Field::Link => cbor_item::text(self.0, field.key()),
            _ => cbor_item::integer(self.0, field.label().into()),
        }
    }

    fn text(&mut self, text: &str) {
        cbor_item::text(self.0, text);
    }

    fn whole_seconds(&mut self, seconds: i64) {
        cbor_item::integer(self.0, seconds);
    }

    fn seconds(&mut self, seconds: f64) {
        cbor_item::float(self.0, seconds);
    }

    fn value(&mut self, value: &Value) {
        cbor_item::value(self.0, value);
    }

    fn null(&mut self) {
        cbor_item::null(self.0);
    }

    fn end_record(&mut self) {}

    fn end_pack(&mut self) {}
}
