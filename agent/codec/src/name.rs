//! Names of SenML and JSON 1.0: paths as text, in two parts (Core 10.6).

use lwm2m_model::{Path, Prefix};

use crate::record::Target;
use crate::{DecodeError, MAX_NAME};

/// The path of a base and a name.
pub(crate) fn join(base: &str, name: &str, target: Target<'_>) -> Result<Path, DecodeError> {
    let length = base.len() + name.len();
    if length > MAX_NAME {
        return Err(DecodeError::NameTooLong(length));
    }
    match (base, name) {
        (whole, "") | ("", whole) => path(whole, target),
        (base, name) => path(&[base, name].concat(), target),
    }
}

/// The path of a whole name; one slash at its end is accepted, as in a request.
///
/// Reads the identifiers itself, since 65535 stands for an instance in a Create.
fn path(name: &str, target: Target<'_>) -> Result<Path, DecodeError> {
    let bad = || DecodeError::BadName { name: shown(name) };
    let segments = name.strip_prefix('/').ok_or_else(bad)?;
    if segments.is_empty() {
        return Ok(Path::root());
    }
    let mut path = Path::root();
    for (place, segment) in segments.strip_suffix('/').unwrap_or(segments).split('/').enumerate() {
        let is_number = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        path = match segment.parse() {
            Ok(id) if is_number => target.child(&path, id)?,
            _ if place == 0 => path.with_prefix(Some(Prefix::new(segment).map_err(|_| bad())?)),
            _ => return Err(bad()),
        };
    }
    Ok(path)
}

/// Text of a peer, short enough for an error.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// Appends the first `depth` identifiers, with a slash at the end if there are more.
pub(crate) fn write_base(out: &mut String, path: &Path, depth: usize) {
    write_prefix(out, path);
    let ids = path.ids().get(..depth).unwrap_or_else(|| path.ids());
    ids.iter().for_each(|id| write_id(out, *id));
    if depth < path.depth() {
        out.push('/');
    }
}

/// Appends the identifiers from the one numbered `from` on, which is what follows a
/// base that ends there.
pub(crate) fn write_rest(out: &mut String, path: &Path, from: usize) {
    if let Some((first, rest)) = path.ids().get(from..).and_then(<[u16]>::split_first) {
        write_digits(out, *first);
        rest.iter().for_each(|id| write_id(out, *id));
    }
}

/// Appends the full path.
pub(crate) fn write_full(out: &mut String, path: &Path) {
    write_base(out, path, path.depth());
    if out.is_empty() {
        out.push('/');
    }
}

fn write_prefix(out: &mut String, path: &Path) {
    if let Some(prefix) = path.prefix() {
        out.push('/');
        out.push_str(prefix.as_str());
    }
}

fn write_id(out: &mut String, id: u16) {
    out.push('/');
    write_digits(out, id);
}

/// Faster than the formatter of the standard library, and names are half of a pack.
fn write_digits(out: &mut String, id: u16) {
    let digits = id.checked_ilog10().map_or(1, |log| log + 1);
    for place in (0..digits).rev() {
        let digit = id / 10_u16.pow(place) % 10;
        out.push(char::from(b'0' + digit as u8));
    }
}

/// Characters of a peer's text that an error repeats.
const MAX_SHOWN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_they_are_read() {
        for text in ["/", "/3", "/3/0/9", "/65534/10/100/1000", "/d01", "/d01/3/0"] {
            let path: Path = text.parse().unwrap();
            let mut full = String::new();
            write_full(&mut full, &path);
            assert_eq!(full, text);
            let root = Path::root();
            assert_eq!(join(&full, "", Target { path: &root, unassigned: None }), Ok(path.clone()));
            for depth in 0..path.depth() {
                let (mut base, mut rest) = (String::new(), String::new());
                write_base(&mut base, &path, depth);
                write_rest(&mut rest, &path, depth);
                assert_eq!(base + &rest, text, "{depth}");
            }
        }
    }
}
