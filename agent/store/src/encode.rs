//! How records look on disk: a row of kind, key, value and checksum.
//!
//! Key and value are CBOR arrays; a value begins with the version of its format. What
//! is in the key is not in the value. A change of a format raises its version in
//! [`Kind::version`], and [`decode`] goes on reading the older ones.

use std::collections::BTreeMap;

use lwm2m_model::record::{
    Account, Attached, BootId, Disabled, Fingerprint, Key, Moment, Observation, Record,
    Registration, Session,
};
use lwm2m_model::{Attributes, ContentFormat, Instant, ObjectLink, Value, Version};
use minicbor::bytes::{ByteArray, ByteSlice, ByteVec};
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::StoreError;

/// A record as a row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// [`checksum`] of the rest: SQLite would not notice a flipped bit in a value.
    pub(crate) checksum: i64,
}

/// Why a row is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowFault {
    /// Nobody wrote it so.
    Damaged,
    /// A newer version of this program wrote it.
    Newer,
}

/// The kinds of records; the numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Account = 1,
    Attached = 2,
    Observation = 3,
    Registration = 4,
    Session = 5,
    Disabled = 6,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Account,
        Self::Attached,
        Self::Observation,
        Self::Registration,
        Self::Session,
        Self::Disabled,
    ];

    /// The version of the format that is written.
    const fn version(self) -> u8 {
        match self {
            Self::Account
            | Self::Attached
            | Self::Observation
            | Self::Registration
            | Self::Session
            | Self::Disabled => 1,
        }
    }
}

/// The row of a record.
///
/// # Errors
/// [`StoreError::TooLarge`] beyond [`MAX_RECORD`].
pub(crate) fn encode(record: &Record) -> Result<Row, StoreError> {
    let (kind, key) = encode_key(&record.key());
    let value = encode_value(record);
    let size = key.len() + value.len();
    if size > MAX_RECORD {
        return Err(StoreError::TooLarge { key: record.key(), size });
    }
    let checksum = checksum(kind, &key, &value);
    Ok(Row { kind, key, value, checksum })
}

/// Kind and key as a row holds them.
pub(crate) fn encode_key(key: &Key) -> (i64, Vec<u8>) {
    let (kind, bytes) = match key {
        Key::Account(server) => (Kind::Account, cbor((server,))),
        Key::Attached(server, path) => (Kind::Attached, cbor((server, path.to_string()))),
        Key::Observation(server, token) => {
            (Kind::Observation, cbor((server, <&ByteSlice>::from(token.as_slice()))))
        }
        Key::Registration(server) => (Kind::Registration, cbor((server,))),
        Key::Session(server) => (Kind::Session, cbor((server,))),
        Key::Disabled(server) => (Kind::Disabled, cbor((server,))),
    };
    (kind as i64, bytes)
}

fn encode_value(record: &Record) -> Vec<u8> {
    match record {
        Record::Account(account) => {
            let values: BTreeMap<u16, Stored> =
                account.values.iter().map(|(id, value)| (*id, Stored(value.clone()))).collect();
            cbor((Kind::Account.version(), account.configured.0, values))
        }
        Record::Attached(attached) => {
            cbor((Kind::Attached.version(), Conditions(attached.attributes)))
        }
        Record::Observation(held) => cbor((
            Kind::Observation.version(),
            held.path.to_string(),
            held.format.0,
            held.own.map(Conditions),
            held.block_szx,
            held.unused_sequence,
        )),
        Record::Registration(registration) => {
            let Moment { boot, at } = registration.answered;
            cbor((
                Kind::Registration.version(),
                &registration.location,
                registration.version.major,
                registration.version.minor,
                &registration.endpoint,
                registration.account.0,
                registration.lifetime,
                &registration.binding,
                registration.objects.0,
                ByteArray::from(boot.0),
                nanos(at),
            ))
        }
        Record::Session(session) => {
            cbor((Kind::Session.version(), <&ByteSlice>::from(session.secret.as_slice())))
        }
        Record::Disabled(disabled) => {
            let Moment { boot, at } = disabled.until;
            let account = disabled.account.0;
            cbor((Kind::Disabled.version(), account, ByteArray::from(boot.0), nanos(at)))
        }
    }
}

/// The record in a row.
///
/// # Errors
/// [`RowFault`]
pub(crate) fn decode(row: &Row) -> Result<Record, RowFault> {
    if checksum(row.kind, &row.key, &row.value) != row.checksum {
        return Err(RowFault::Damaged);
    }
    // The checksum is right, so somebody wrote this: a kind that we do not know is new.
    let kind =
        Kind::ALL.into_iter().find(|kind| *kind as i64 == row.kind).ok_or(RowFault::Newer)?;
    if version(&row.value).ok_or(RowFault::Damaged)? > kind.version() {
        return Err(RowFault::Newer);
    }
    decode_known(kind, &row.key, &row.value).ok_or(RowFault::Damaged)
}

fn version(value: &[u8]) -> Option<u8> {
    let mut decoder = Decoder::new(value);
    decoder.array().ok()?;
    decoder.u8().ok()
}

fn decode_known(kind: Kind, key: &[u8], value: &[u8]) -> Option<Record> {
    Some(match kind {
        Kind::Account => {
            let (server,): (u16,) = read(key)?;
            let (_, configured, values): (u8, u64, BTreeMap<u16, Stored>) = read(value)?;
            let values = values.into_iter().map(|(id, Stored(value))| (id, value)).collect();
            Record::Account(Account { server, configured: Fingerprint(configured), values })
        }
        Kind::Attached => {
            let (server, path): (u16, String) = read(key)?;
            let (_, Conditions(attributes)): (u8, Conditions) = read(value)?;
            Record::Attached(Attached { server, path: path.parse().ok()?, attributes })
        }
        Kind::Observation => {
            let (server, token): (u16, ByteVec) = read(key)?;
            let (_, path, format, own, block_szx, unused_sequence): (
                u8,
                String,
                u16,
                Option<Conditions>,
                Option<u8>,
                u32,
            ) = read(value)?;
            Record::Observation(Observation {
                server,
                token: token.into(),
                path: path.parse().ok()?,
                format: ContentFormat(format),
                own: own.map(|Conditions(attributes)| attributes),
                block_szx,
                unused_sequence,
            })
        }
        Kind::Registration => Record::Registration(decode_registration(key, value)?),
        Kind::Session => {
            let (server,): (u16,) = read(key)?;
            let (_, secret): (u8, ByteVec) = read(value)?;
            Record::Session(Session { server, secret: secret.into() })
        }
        Kind::Disabled => {
            let (server,): (u16,) = read(key)?;
            let (_, account, boot, at): (u8, u64, ByteArray<16>, u64) = read(value)?;
            let account = Fingerprint(account);
            Record::Disabled(Disabled { server, account, until: moment(boot, at) })
        }
    })
}

/// Version of the format, then the fields in their order.
type RegistrationValue =
    (u8, Vec<String>, u8, u8, String, u64, u32, String, u64, ByteArray<16>, u64);

fn decode_registration(key: &[u8], value: &[u8]) -> Option<Registration> {
    let (server,): (u16,) = read(key)?;
    let (_, location, major, minor, endpoint, account, lifetime, binding, objects, boot, at) =
        read::<RegistrationValue>(value)?;
    Some(Registration {
        server,
        location,
        version: Version::new(major, minor),
        endpoint,
        account: Fingerprint(account),
        lifetime,
        binding,
        objects: Fingerprint(objects),
        answered: moment(boot, at),
    })
}

fn checksum(kind: i64, key: &[u8], value: &[u8]) -> i64 {
    Fingerprint::of([&kind.to_be_bytes()[..], key, value]).0.cast_signed()
}

fn moment(boot: ByteArray<16>, nanos: u64) -> Moment {
    let at = Instant::from_boot(std::time::Duration::from_nanos(nanos));
    Moment { boot: BootId(*boot), at }
}

fn nanos(at: Instant) -> u64 {
    u64::try_from(at.since_boot().as_nanos()).unwrap_or(u64::MAX)
}

fn cbor<T: Encode<()>>(value: T) -> Vec<u8> {
    minicbor::to_vec(value).expect("a vector takes whatever is written to it")
}

/// Reads one item and nothing behind it.
fn read<'a, T: Decode<'a, ()>>(bytes: &'a [u8]) -> Option<T> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode().ok()?;
    (decoder.position() == bytes.len()).then_some(value)
}

/// A value with its type, as `[type, value]`.
struct Stored(Value);

impl<C> Encode<C> for Stored {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.array(2)?;
        match &self.0 {
            Value::String(value) => encoder.u8(0)?.str(value)?,
            Value::Integer(value) => encoder.u8(1)?.i64(*value)?,
            Value::Unsigned(value) => encoder.u8(2)?.u64(*value)?,
            Value::Float(value) => encoder.u8(3)?.f64(*value)?,
            Value::Boolean(value) => encoder.u8(4)?.bool(*value)?,
            Value::Opaque(value) => encoder.u8(5)?.bytes(value)?,
            Value::Time(value) => encoder.u8(6)?.i64(*value)?,
            Value::Objlnk(link) => {
                encoder.u8(7)?.u32(u32::from(link.object) << 16 | u32::from(link.instance))?
            }
            Value::Corelnk(value) => encoder.u8(8)?.str(value)?,
        };
        Ok(())
    }
}

impl<'a, C> Decode<'a, C> for Stored {
    fn decode(decoder: &mut Decoder<'a>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let wrong = minicbor::decode::Error::message;
        if decoder.array()? != Some(2) {
            return Err(wrong("no value"));
        }
        Ok(Self(match decoder.u8()? {
            0 => Value::String(decoder.str()?.to_owned()),
            1 => Value::Integer(decoder.i64()?),
            2 => Value::Unsigned(decoder.u64()?),
            3 => Value::Float(decoder.f64()?),
            4 => Value::Boolean(decoder.bool()?),
            5 => Value::Opaque(decoder.bytes()?.to_vec()),
            6 => Value::Time(decoder.i64()?),
            7 => {
                let [a, b, c, d] = decoder.u32()?.to_be_bytes();
                let (object, instance) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                Value::Objlnk(ObjectLink::new(object, instance))
            }
            8 => Value::Corelnk(decoder.str()?.to_owned()),
            _ => return Err(wrong("no type")),
        }))
    }
}

/// Attributes, one place each.
struct Conditions(Attributes);

/// The places of [`Conditions`] on disk, in the order of `Attribute::ALL`.
type Places = (
    Option<u32>,
    Option<u32>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<u32>,
    Option<u32>,
    Option<bool>,
    Option<bool>,
    Option<u32>,
);

impl<C> Encode<C> for Conditions {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let Attributes { pmin, pmax, gt, lt, st, epmin, epmax, edge, con, hqmax } = self.0;
        let places: Places = (pmin, pmax, gt, lt, st, epmin, epmax, edge, con, hqmax);
        places.encode(encoder, context)
    }
}

impl<'a, C> Decode<'a, C> for Conditions {
    fn decode(decoder: &mut Decoder<'a>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let (pmin, pmax, gt, lt, st, epmin, epmax, edge, con, hqmax) =
            Places::decode(decoder, context)?;
        Ok(Self(Attributes { pmin, pmax, gt, lt, st, epmin, epmax, edge, con, hqmax }))
    }
}

/// Largest record, bytes of key and value together.
pub const MAX_RECORD: usize = 16 * 1024;

#[cfg(test)]
mod tests;
