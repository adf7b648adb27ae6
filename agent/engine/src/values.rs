//! The one way of values from and to payloads (Core 6.3, 10.2).

use std::collections::BTreeSet;

use lwm2m_codec::{DecodeError, Item, Record};
use lwm2m_model::{
    Code, Content, ContentFormat, DataType, Entry, ObjectDef, Path, RequestError, ResourceDef,
    Version, WriteMode,
};

/// The format of an answer to a server of this version. `single` is the type of a target
/// that holds one value.
///
/// # Errors
/// 4.06 if what is accepted cannot be written, or not for this target (CORE-128) or this
/// server (CORE-184).
pub(crate) fn answer_format(
    accept: Option<ContentFormat>,
    single: Option<DataType>,
    version: Version,
) -> Result<ContentFormat, RequestError> {
    let refused = |format: ContentFormat| {
        RequestError::new(Code::NOT_ACCEPTABLE, format!("no answer in format {format} is possible"))
    };
    match (accept, single) {
        (Some(ContentFormat::OPAQUE), Some(DataType::Opaque)) => Ok(ContentFormat::OPAQUE),
        (Some(ContentFormat::OPAQUE), _) => Err(refused(ContentFormat::OPAQUE)),
        (Some(format @ (ContentFormat::TEXT | ContentFormat::CBOR)), None) => Err(refused(format)),
        (Some(format), _) if lwm2m_codec::can_encode(format) && is_known(format, version) => {
            Ok(format)
        }
        (Some(format), _) => Err(refused(format)),
        (None, Some(DataType::Opaque)) => Ok(ContentFormat::OPAQUE),
        (None, Some(_)) => Ok(ContentFormat::TEXT),
        (None, None) if version < Version::V1_1 => Ok(ContentFormat::TLV),
        (None, None) => Ok(ContentFormat::SENML_CBOR),
    }
}

/// JSON of 1.0 has no place in later versions (CORE-184).
fn is_known(format: ContentFormat, version: Version) -> bool {
    format != ContentFormat::OMA_JSON || version < Version::V1_1
}

/// The values of a Write by a server of this version, typed by the definitions.
///
/// Resources that the object does not define are skipped when the target is an
/// instance (CORE-05); a known one that cannot be written refuses everything
/// (CORE-133).
///
/// # Errors
/// 4.00, 4.05 or 4.15, as Core 11 has them.
pub(crate) fn read(
    object: &ObjectDef,
    resource: Option<&ResourceDef>,
    target: &Path,
    mode: WriteMode,
    content: &Content,
    version: Version,
) -> Result<Vec<Entry>, RequestError> {
    let format = content
        .format
        .ok_or_else(|| RequestError::new(Code::BAD_REQUEST, "a Write needs a Content-Format"))?;
    let single = resource.filter(|resource| target.depth() == 4 || !resource.multiple);
    check_format(format, single, mode, version)?;
    let records = lwm2m_codec::decode(format, &content.payload, target).map_err(unreadable)?;
    // Before any value is looked at: what cannot be written needs no right type.
    for record in &records {
        if let Some(resource) = record.path.resource_id().and_then(|id| object.resource(id)) {
            check_writable(&record.path, resource)?;
        }
    }
    let entries = check(object, entries_of(object, target, &records)?)?;
    if single.is_some() && entries.is_empty() {
        return Err(RequestError::new(Code::BAD_REQUEST, format!("write {target}: no value")));
    }
    Ok(entries)
}

/// The instances and values of a Create by a server of this version.
///
/// `unassigned` stands for an instance without an identifier. Values of what a
/// server cannot write are ignored (CORE-145), and so are unknown resources
/// (CORE-05).
///
/// # Errors
/// 4.00 or 4.15, as Core 11 has them.
pub(crate) fn read_create(
    object: &ObjectDef,
    target: &Path,
    content: &Content,
    version: Version,
    unassigned: u16,
) -> Result<(BTreeSet<u16>, Vec<Entry>), RequestError> {
    let format = content
        .format
        .ok_or_else(|| RequestError::new(Code::BAD_REQUEST, "a Create needs a Content-Format"))?;
    check_format(format, None, WriteMode::Replace, version)?;
    let mut records = lwm2m_codec::decode_create(format, &content.payload, target, unassigned)
        .map_err(unreadable)?;
    let instances = records.iter().filter_map(|record| record.path.instance_id()).collect();
    records.retain(|record| {
        let resource = record.path.resource_id().and_then(|id| object.resource(id));
        resource.is_some_and(|resource| resource.operations.writable())
    });
    Ok((instances, check(object, entries_of(object, target, &records)?)?))
}

fn unreadable(error: DecodeError) -> RequestError {
    let code = match error {
        DecodeError::UnsupportedFormat(_) => Code::UNSUPPORTED_CONTENT_FORMAT,
        _ => Code::BAD_REQUEST,
    };
    RequestError::new(code, error.to_string())
}

/// Typed values, sorted by path.
fn entries_of(
    object: &ObjectDef,
    target: &Path,
    records: &[Record<'_>],
) -> Result<Vec<Entry>, RequestError> {
    let mut entries = Vec::with_capacity(records.len());
    for record in records {
        entries.extend(typed(object, target, record)?);
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    // SenML can give one path several values at several times; a Write cannot.
    let twice = entries.windows(2).find_map(|pair| match pair {
        [one, other] if one.path == other.path => Some(&one.path),
        _ => None,
    });
    if let Some(path) = twice {
        let reason = format!("write {path}: it is given twice");
        return Err(RequestError::new(Code::BAD_REQUEST, reason));
    }
    Ok(entries)
}

/// Checks typed values against the definitions: operation, place, type, range.
///
/// # Errors
/// 4.04 for a resource that is not defined, 4.05 for one that cannot be written, 4.00
/// for a value that does not fit.
pub(crate) fn check(object: &ObjectDef, entries: Vec<Entry>) -> Result<Vec<Entry>, RequestError> {
    for entry in &entries {
        let path = &entry.path;
        let Some(resource) = path.resource_id().and_then(|id| object.resource(id)) else {
            let reason = format!("{path} is no resource of object {}", object.id);
            return Err(RequestError::new(Code::NOT_FOUND, reason));
        };
        check_writable(path, resource)?;
        let place_fits = match (entry.value(), path.depth()) {
            (Some(_), 3) => !resource.multiple,
            (Some(_), _) | (None, 3) => resource.multiple,
            (None, _) => false,
        };
        if !place_fits {
            let expected = if resource.multiple { "several instances" } else { "one value" };
            let reason = format!("write {path}: {} has {expected}", resource.name);
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        }
        let Some(value) = entry.value() else { continue };
        if value.data_type() != resource.data_type {
            let reason =
                format!("write {path}: expected {}, got {}", resource.data_type, value.data_type());
            return Err(RequestError::new(Code::BAD_REQUEST, reason));
        }
        resource.range.check(value).map_err(|error| {
            RequestError::new(Code::BAD_REQUEST, format!("write {path}: {error}"))
        })?;
    }
    Ok(entries)
}

fn check_writable(path: &Path, resource: &ResourceDef) -> Result<(), RequestError> {
    if resource.operations.writable() {
        return Ok(());
    }
    let reason = format!("{path} ({}) cannot be written", resource.name);
    Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason))
}

/// Text, opaque and plain CBOR carry one value; opaque only bytes.
fn check_format(
    format: ContentFormat,
    single: Option<&ResourceDef>,
    mode: WriteMode,
    version: Version,
) -> Result<(), RequestError> {
    let fits = match format {
        ContentFormat::TEXT | ContentFormat::CBOR => single.is_some() && mode == WriteMode::Replace,
        ContentFormat::OPAQUE => {
            single.is_some_and(|resource| resource.data_type == DataType::Opaque)
                && mode == WriteMode::Replace
        }
        format => lwm2m_codec::can_decode(format) && is_known(format, version),
    };
    if fits {
        return Ok(());
    }
    let reason = format!("format {format} does not go with this target");
    Err(RequestError::new(Code::UNSUPPORTED_CONTENT_FORMAT, reason))
}

fn typed(
    object: &ObjectDef,
    target: &Path,
    record: &Record<'_>,
) -> Result<Option<Entry>, RequestError> {
    let path = &record.path;
    let bad =
        |reason: String| RequestError::new(Code::BAD_REQUEST, format!("write {path}: {reason}"));
    if !target.contains(path) {
        return Err(bad(format!("it does not lie below {target}")));
    }
    let Some(id) = path.resource_id() else {
        // An empty instance: nothing to set.
        return Ok(None);
    };
    let Some(resource) = object.resource(id) else {
        return Ok(None);
    };
    match &record.item {
        Item::Empty => Ok(Some(Entry::empty(path.clone()))),
        // The formats of a Write cannot say this.
        Item::Delete => Err(bad("a Write removes nothing".into())),
        Item::Value(raw) => {
            let value = raw.to_value(resource.data_type).map_err(|error| bad(error.to_string()))?;
            Ok(Some(Entry::new(path.clone(), value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CORE-183, 185.
    #[test]
    fn without_accept_the_format_is_ours() {
        let format = |single, version| answer_format(None, single, version).unwrap();
        assert_eq!(format(Some(DataType::String), Version::V1_2), ContentFormat::TEXT);
        assert_eq!(format(Some(DataType::Opaque), Version::V1_1), ContentFormat::OPAQUE);
        assert_eq!(format(None, Version::V1_1), ContentFormat::SENML_CBOR);
        assert_eq!(format(None, Version::V1_0), ContentFormat::TLV);
    }

    /// CORE-184.
    #[test]
    fn json_of_1_0_is_for_servers_of_1_0() {
        let format = |version| answer_format(Some(ContentFormat::OMA_JSON), None, version);
        assert_eq!(format(Version::V1_0).unwrap(), ContentFormat::OMA_JSON);
        for version in [Version::V1_1, Version::V1_2] {
            assert_eq!(format(version).unwrap_err().code, Code::NOT_ACCEPTABLE);
            let check = |format| check_format(format, None, WriteMode::Replace, version);
            let error = check(ContentFormat::OMA_JSON).unwrap_err();
            assert_eq!(error.code, Code::UNSUPPORTED_CONTENT_FORMAT);
            assert_eq!(check(ContentFormat::SENML_JSON), Ok(()));
        }
    }

    /// CORE-128.
    #[test]
    fn what_cannot_be_written_is_not_acceptable() {
        let refused =
            |accept, single| answer_format(Some(accept), single, Version::V1_2).unwrap_err().code;
        assert_eq!(refused(ContentFormat::TEXT, None), Code::NOT_ACCEPTABLE);
        assert_eq!(refused(ContentFormat::CBOR, None), Code::NOT_ACCEPTABLE);
        assert_eq!(refused(ContentFormat::OPAQUE, Some(DataType::String)), Code::NOT_ACCEPTABLE);
        assert_eq!(refused(ContentFormat::OMA_JSON, None), Code::NOT_ACCEPTABLE);
        assert_eq!(refused(ContentFormat(9999), Some(DataType::String)), Code::NOT_ACCEPTABLE);
    }
}
