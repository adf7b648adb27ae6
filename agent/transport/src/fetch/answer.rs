//! What the head of an answer means for a package (RFC 9110 13, 14 and 15).

use hyper::StatusCode;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION,
    TRANSFER_ENCODING,
};
use lwm2m_engine::{FetchFailure, FetchFailureKind, MAX_ETAG, Resume};

use FetchFailureKind::{Damaged, InvalidUri, Lost};

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its body is the package or the rest of it.
    Package(Package),
    /// Nothing is missing: so many bytes are all.
    Complete(u64),
    /// The package is elsewhere.
    Redirect(String),
    /// It cannot be resumed here: the whole must be asked for.
    Anew,
}

/// What the body of an answer is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// Where it begins.
    pub(super) offset: u64,
    /// Bytes of the whole package.
    pub(super) size: Option<u64>,
    pub(super) etag: Option<Vec<u8>>,
    /// Bytes of the body.
    pub(super) length: Option<u64>,
}

/// Judges an answer to a GET, which asked for the rest if `resume` says so. `length` is
/// that of the body, if it is known.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    length: Option<u64>,
    resume: Option<&Resume>,
) -> Result<Answer, FetchFailure> {
    let fail = |kind, cause: &str| {
        Err(FetchFailure::new(kind, format!("the server answered {status}{cause}")))
    };
    match status.as_u16() {
        200 => {
            let etag = strong_etag(headers);
            plain(headers)?;
            Ok(Answer::Package(Package { offset: 0, size: length, etag, length }))
        }
        206 => match resume {
            Some(resume) => rest(headers, length, resume),
            None => fail(Damaged, ", a part where the whole was asked for"),
        },
        416 => match resume {
            // Another package may end just there.
            Some(resume)
                if unsatisfied_size(headers) == Some(resume.offset)
                    && strong_etag(headers).is_none_or(|etag| etag == resume.etag) =>
            {
                Ok(Answer::Complete(resume.offset))
            }
            Some(_) => Ok(Answer::Anew),
            None => fail(InvalidUri, ""),
        },
        301 | 302 | 303 | 307 | 308 => {
            match only(headers, &LOCATION).and_then(|location| location.to_str().ok()) {
                Some(location) => Ok(Answer::Redirect(location.to_owned())),
                None => fail(InvalidUri, " without a Location that is a URI"),
            }
        }
        401 | 403 => fail(InvalidUri, ": it does not let this device have the package"),
        404 | 410 => fail(InvalidUri, ": it knows no such package"),
        // Too slow, too early, too often, and all that is the server's own trouble.
        408 | 425 | 429 | 500..=599 => fail(Lost, ""),
        300..=499 => fail(InvalidUri, ""),
        _ => fail(Damaged, ", which brings no package"),
    }
}

/// Whether an ETag tells one version from others byte for byte (RFC 9110 8.8.3).
pub(super) fn is_strong(etag: &[u8]) -> bool {
    let inner = etag.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let allowed = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
    etag.len() <= MAX_ETAG && inner.is_some_and(|inner| inner.iter().all(allowed))
}

/// A 206: it must be the rest of the version that was begun. A server that does not heed
/// If-Range would mix two packages, so the ETag is compared here too.
fn rest(headers: &HeaderMap, length: Option<u64>, resume: &Resume) -> Result<Answer, FetchFailure> {
    let range = only(headers, &CONTENT_RANGE).and_then(content_range);
    let same = strong_etag(headers).is_some_and(|etag| etag == resume.etag);
    let Some(range) = range.filter(|range| same && range.first == resume.offset) else {
        return Ok(Answer::Anew);
    };
    plain(headers)?;
    let bytes = range.last - range.first + 1;
    if let Some(length) = length.filter(|length| *length != bytes) {
        let cause = format!("the server sends {length} bytes and calls them {bytes}");
        return Err(FetchFailure::new(Damaged, cause));
    }
    Ok(Answer::Package(Package {
        offset: range.first,
        size: Some(range.size),
        etag: Some(resume.etag.clone()),
        length: Some(bytes),
    }))
}

/// Refuses a body that is not the bytes of the package: no coding was asked for.
fn plain(headers: &HeaderMap) -> Result<(), FetchFailure> {
    for (name, harmless) in [(CONTENT_ENCODING, "identity"), (TRANSFER_ENCODING, "chunked")] {
        for value in headers.get_all(&name) {
            if !value.as_bytes().eq_ignore_ascii_case(harmless.as_bytes()) {
                let coding: String = value.to_str().unwrap_or("?").chars().take(SHOWN).collect();
                let cause = format!("the server sends the package coded ({name}: {coding})");
                return Err(FetchFailure::new(Damaged, cause));
            }
        }
    }
    Ok(())
}

fn strong_etag(headers: &HeaderMap) -> Option<Vec<u8>> {
    let etag = only(headers, &ETAG)?.as_bytes();
    is_strong(etag).then(|| etag.to_vec())
}

/// The value of a field that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Part of a package, by the places of its first and last byte.
struct Range {
    first: u64,
    last: u64,
    size: u64,
}

/// `bytes 100-199/200`. One without the size says too little to be sure of the end.
fn content_range(value: &HeaderValue) -> Option<Range> {
    let (range, size) = bytes_unit(value)?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = Range { first: number(first)?, last: number(last)?, size: number(size)? };
    (range.first <= range.last && range.last < range.size).then_some(range)
}

/// The size that a 416 tells: `bytes */200`.
fn unsatisfied_size(headers: &HeaderMap) -> Option<u64> {
    number(bytes_unit(only(headers, &CONTENT_RANGE)?)?.strip_prefix("*/")?)
}

fn bytes_unit(value: &HeaderValue) -> Option<&str> {
    let (unit, rest) = value.to_str().ok()?.split_once(' ')?;
    unit.eq_ignore_ascii_case("bytes").then_some(rest)
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Characters of a server's text that an error shows.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = fields.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    fn answer(
        status: u16,
        fields: &[(&'static str, &str)],
        length: Option<u64>,
        resume: Option<u64>,
    ) -> Result<Answer, FetchFailure> {
        let resume = resume.map(|offset| Resume { offset, etag: b"\"a\"".to_vec() });
        let status = StatusCode::from_u16(status).unwrap();
        judge(status, &headers(fields), length, resume.as_ref())
    }

    #[test]
    fn each_status_has_its_meaning() {
        for (statuses, kind) in [
            (&[401, 403, 404, 410, 400, 405, 407, 416, 418, 451, 300, 304, 305][..], InvalidUri),
            (&[408, 425, 429, 500, 502, 503, 504, 599], Lost),
            (&[201, 204, 206, 299, 101, 600, 999], Damaged),
        ] {
            for status in statuses {
                let failure = answer(*status, &[], None, None).unwrap_err();
                assert_eq!(failure.kind, kind, "{status}");
                let start = format!("the server answered {status}");
                assert!(failure.cause.starts_with(&start), "{failure}");
            }
        }
        for status in [301, 302, 303, 307, 308] {
            let there = Ok(Answer::Redirect("/x".to_owned()));
            assert_eq!(answer(status, &[("location", "/x")], None, None), there, "{status}");
            for fields in [&[][..], &[("location", "ß")], &[("location", "/"), ("location", "/")]]
            {
                let failure = answer(status, fields, None, None).unwrap_err();
                assert_eq!(failure.kind, InvalidUri, "{status} {fields:?}");
            }
        }
    }

    #[test]
    fn a_whole_package_begins_at_0_even_if_the_rest_was_asked_for() {
        for resume in [None, Some(100)] {
            let fields = [("etag", "\"b\""), ("content-encoding", "Identity")];
            let package = Package {
                offset: 0,
                size: Some(200),
                etag: Some(b"\"b\"".to_vec()),
                length: Some(200),
            };
            let whole = Ok(Answer::Package(package));
            assert_eq!(answer(200, &fields, Some(200), resume), whole);
        }
    }

    #[test]
    fn an_etag_is_kept_if_it_is_strong() {
        let long = format!("\"{}\"", "a".repeat(255));
        for (etag, strong) in [
            ("\"a\"", true),
            ("\"\"", true),
            ("\"ß!#\"", true),
            ("W/\"a\"", false),
            ("w/\"a\"", false),
            ("a", false),
            ("\"", false),
            ("\"a\"b\"", false),
            ("\"a b\"", false),
            (&long, false),
        ] {
            assert_eq!(is_strong(etag.as_bytes()), strong, "{etag}");
        }
    }

    #[test]
    fn the_rest_is_taken_if_it_is_of_the_same_package() {
        let range = |range, etag| [("content-range", range), ("etag", etag)];
        let rest = Package {
            offset: 100,
            size: Some(200),
            etag: Some(b"\"a\"".to_vec()),
            length: Some(100),
        };
        for length in [None, Some(100)] {
            let taken = answer(206, &range("bytes 100-199/200", "\"a\""), length, Some(100));
            assert_eq!(taken, Ok(Answer::Package(Package { etag: rest.etag.clone(), ..rest })));
        }
        for fields in [
            &range("bytes 100-199/200", "\"b\"")[..],
            &range("bytes 100-199/200", "W/\"a\""),
            &range("bytes 99-199/200", "\"a\""),
            &range("bytes 101-199/200", "\"a\""),
            &range("bytes 100-99/200", "\"a\""),
            &range("bytes 100-200/200", "\"a\""),
            &range("bytes 100-199/*", "\"a\""),
            &range("bytes +100-199/200", "\"a\""),
            &range("bytes 100-18446744073709551616/200", "\"a\""),
            &range("lines 100-199/200", "\"a\""),
            &range("bytes */200", "\"a\""),
            &[("content-range", "bytes 100-199/200")],
            &[("etag", "\"a\"")],
        ] {
            assert_eq!(answer(206, fields, None, Some(100)), Ok(Answer::Anew), "{fields:?}");
        }
        let wrong = answer(206, &range("bytes 100-199/200", "\"a\""), Some(99), Some(100));
        assert_eq!(wrong.unwrap_err().kind, Damaged);
    }

    #[test]
    fn a_range_beyond_the_end_is_the_end_or_another_package() {
        for (fields, expected) in [
            (&[("content-range", "bytes */100")][..], Answer::Complete(100)),
            (&[("content-range", "bytes */100"), ("etag", "\"a\"")], Answer::Complete(100)),
            (&[("content-range", "bytes */100"), ("etag", "\"b\"")], Answer::Anew),
            (&[("content-range", "bytes */99")], Answer::Anew),
            (&[("content-range", "bytes 0-99/100")], Answer::Anew),
            (&[], Answer::Anew),
        ] {
            assert_eq!(answer(416, fields, None, Some(100)), Ok(expected), "{fields:?}");
        }
    }

    #[test]
    fn a_coded_body_is_refused() {
        for field in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity, br"),
            ("content-encoding", ""),
            ("transfer-encoding", "gzip, chunked"),
        ] {
            let failure = answer(200, &[field], None, None).unwrap_err();
            assert_eq!(failure.kind, Damaged, "{field:?}");
        }
        assert!(answer(200, &[("transfer-encoding", "Chunked")], None, None).is_ok());
    }
}
