//! Paths: `/`, `/3`, `/3/0`, `/3/0/7`, `/3/0/7/1`, with a gateway prefix `/d01/3/0`.
//!
//! Core 2.2: each identifier is 0..=65534; 65535 never identifies anything.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The address of an object, an instance, a resource or a resource instance.
///
/// Paths order as their identifiers do, a parent before its children, so a
/// sorted list of entries is in the order in which every encoder wants it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Path {
    prefix: Option<Prefix>,
    /// Unused places hold 0, so that the derived comparisons are right.
    depth_ids: Ids,
}

/// Identifiers in use; compares as the slice it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Ids {
    ids: [u16; 4],
    depth: u8,
}

impl Ids {
    fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.depth)).unwrap_or(&self.ids)
    }
}

impl PartialOrd for Ids {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ids {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Path {
    /// The path `/`: everything the device holds.
    pub const fn root() -> Self {
        Self { prefix: None, depth_ids: Ids { ids: [0; 4], depth: 0 } }
    }

    /// The path of an object, `/o`.
    ///
    /// # Panics
    /// If an identifier is 65535; for identifiers from a peer use [`Path::child`].
    pub const fn object(object: u16) -> Self {
        Self::known([object, 0, 0, 0], 1)
    }

    /// The path of an object instance, `/o/i`. Panics as [`Path::object`] does.
    pub const fn instance(object: u16, instance: u16) -> Self {
        Self::known([object, instance, 0, 0], 2)
    }

    /// The path of a resource, `/o/i/r`. Panics as [`Path::object`] does.
    pub const fn resource(object: u16, instance: u16, resource: u16) -> Self {
        Self::known([object, instance, resource, 0], 3)
    }

    /// The path of a resource instance, `/o/i/r/ri`. Panics as [`Path::object`] does.
    pub const fn resource_instance(object: u16, instance: u16, resource: u16, ri: u16) -> Self {
        Self::known([object, instance, resource, ri], 4)
    }

    const fn known(ids: [u16; 4], depth: u8) -> Self {
        assert!(
            ids[0] != RESERVED && ids[1] != RESERVED && ids[2] != RESERVED && ids[3] != RESERVED,
            "65535 is no identifier"
        );
        Self { prefix: None, depth_ids: Ids { ids, depth } }
    }

    /// The path one level below, with `id` appended.
    ///
    /// # Errors
    /// [`PathError::TooDeep`] below a resource instance, [`PathError::Reserved`] for 65535.
    pub fn child(&self, id: u16) -> Result<Self, PathError> {
        if id == RESERVED {
            return Err(PathError::Reserved);
        }
        let mut path = self.clone();
        let place = usize::from(path.depth_ids.depth);
        *path.depth_ids.ids.get_mut(place).ok_or(PathError::TooDeep)? = id;
        path.depth_ids.depth += 1;
        Ok(path)
    }

    /// The same path behind a gateway prefix.
    pub fn with_prefix(mut self, prefix: Option<Prefix>) -> Self {
        self.prefix = prefix;
        self
    }

    /// The gateway prefix, if any.
    pub fn prefix(&self) -> Option<&Prefix> {
        self.prefix.as_ref()
    }

    /// The identifiers, outermost first; zero to four of them.
    pub fn ids(&self) -> &[u16] {
        self.depth_ids.as_slice()
    }

    /// Number of identifiers: 0 for `/`, 4 for a resource instance.
    pub fn depth(&self) -> usize {
        usize::from(self.depth_ids.depth)
    }

    /// Object ID, if the path has one.
    pub fn object_id(&self) -> Option<u16> {
        self.ids().first().copied()
    }

    /// Object Instance ID, if the path has one.
    pub fn instance_id(&self) -> Option<u16> {
        self.ids().get(1).copied()
    }

    /// Resource ID, if the path has one.
    pub fn resource_id(&self) -> Option<u16> {
        self.ids().get(2).copied()
    }

    /// Resource Instance ID, if the path has one.
    pub fn resource_instance_id(&self) -> Option<u16> {
        self.ids().get(3).copied()
    }

    /// True if `self` is `other` or one of its ancestors (same prefix).
    pub fn contains(&self, other: &Self) -> bool {
        self.prefix == other.prefix && other.ids().starts_with(self.ids())
    }

    /// The path cut to `depth` identifiers; unchanged if it has fewer.
    pub fn truncated(&self, depth: usize) -> Self {
        let mut path = self.clone();
        while path.depth() > depth {
            path.depth_ids.depth -= 1;
            if let Some(id) = path.depth_ids.ids.get_mut(usize::from(path.depth_ids.depth)) {
                *id = 0;
            }
        }
        path
    }

    /// The path one level up; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        self.depth().checked_sub(1).map(|depth| self.truncated(depth))
    }

    /// Parses path segments as they stand in Uri-Path options or between slashes.
    ///
    /// A first segment that is not a number is taken as gateway prefix.
    ///
    /// # Errors
    /// See [`PathError`].
    pub fn from_segments<'a>(
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, PathError> {
        let mut path = Self::root();
        for (place, segment) in segments.into_iter().enumerate() {
            match parse_id(segment) {
                Ok(id) => path = path.child(id)?,
                Err(PathError::NotANumber(text)) if place == 0 => {
                    path.prefix =
                        Some(Prefix::new(segment).map_err(|_| PathError::NotANumber(text))?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(path)
    }
}

impl FromStr for Path {
    type Err = PathError;

    /// Parses `/3/0/9`. One trailing slash is accepted, as peers send it; the
    /// leading slash is not optional.
    fn from_str(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('/').ok_or(PathError::NoSlash)?;
        if rest.is_empty() {
            return Ok(Self::root());
        }
        Self::from_segments(rest.strip_suffix('/').unwrap_or(rest).split('/'))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(prefix) = &self.prefix {
            write!(f, "/{prefix}")?;
        } else if self.depth() == 0 {
            return f.write_str("/");
        }
        self.ids().iter().try_for_each(|id| write!(f, "/{id}"))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of an end device behind this gateway (Gateway TS 9): one path
/// segment of 1..=64 bytes that is no number and holds no slash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Checks and takes over a prefix.
    ///
    /// # Errors
    /// [`PathError::BadPrefix`] if it is empty, too long, a number, or has characters
    /// other than letters, digits, `-`, `_`, `.`, `~`.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let number = text.chars().all(|c| c.is_ascii_digit());
        if text.is_empty() || text.len() > MAX_PREFIX || number || !text.chars().all(legal) {
            return Err(PathError::BadPrefix);
        }
        Ok(Self(text.into()))
    }

    /// The prefix without slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The leading slash is missing.
    #[error("a path starts with a slash, as in /3/0/13")]
    NoSlash,
    /// A segment is no decimal number.
    #[error("\"{0}\" is no identifier: expected a number from 0 to 65534")]
    NotANumber(String),
    /// A number above 65535.
    #[error("{0} is no identifier: expected a number from 0 to 65534")]
    TooLarge(String),
    /// The reserved identifier 65535.
    #[error("65535 is reserved and identifies nothing")]
    Reserved,
    /// More than four identifiers.
    #[error("a path has at most four identifiers: object, instance, resource, resource instance")]
    TooDeep,
    /// A gateway prefix with illegal characters or length.
    #[error("a gateway prefix has 1 to 64 letters, digits or -_.~ and is no number")]
    BadPrefix,
}

/// An identifier in decimal digits (Core 2.2).
pub(crate) fn parse_id(segment: &str) -> Result<u16, PathError> {
    let shown = || segment.chars().take(MAX_SHOWN).collect();
    if segment.is_empty() || !segment.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PathError::NotANumber(shown()));
    }
    match segment.parse() {
        Ok(RESERVED) => Err(PathError::Reserved),
        Ok(id) => Ok(id),
        Err(_) => Err(PathError::TooLarge(shown())),
    }
}

const RESERVED: u16 = u16::MAX;
const MAX_PREFIX: usize = 64;
/// Characters of a peer's text that an error repeats.
pub(crate) const MAX_SHOWN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_path_agree_both_ways() {
        for text in
            ["/", "/3", "/3/0", "/3/0/7", "/3/0/7/1", "/65534/65534/65534/65534", "/d01/3/0"]
        {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        assert_eq!("/3/0/".parse::<Path>().unwrap(), Path::instance(3, 0));
        assert_eq!("/d01".parse::<Path>().unwrap().depth(), 0);
    }

    #[test]
    fn wrong_paths_name_their_fault() {
        let cases = [
            ("3/0", PathError::NoSlash),
            ("", PathError::NoSlash),
            ("/3//9", PathError::NotANumber(String::new())),
            ("/3/x", PathError::NotANumber("x".into())),
            ("/3/-1", PathError::NotANumber("-1".into())),
            ("/3/65535", PathError::Reserved),
            ("/3/65536", PathError::TooLarge("65536".into())),
            ("/1/2/3/4/5", PathError::TooDeep),
            ("/d 1/3", PathError::NotANumber("d 1".into())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Path>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn parents_sort_before_children_and_contain_them() {
        let mut paths: Vec<Path> = ["/3/1", "/3/0/7/0", "/3", "/3/0", "/", "/1/0", "/3/0/7"]
            .map(|t| t.parse().unwrap())
            .into();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(sorted, ["/", "/1/0", "/3", "/3/0", "/3/0/7", "/3/0/7/0", "/3/1"]);
        assert!(Path::object(3).contains(&Path::resource(3, 0, 7)));
        assert!(!Path::instance(3, 1).contains(&Path::resource(3, 0, 7)));
        let gateway = Path::object(3).with_prefix(Some(Prefix::new("d01").unwrap()));
        assert!(!gateway.contains(&Path::object(3)));
    }

    #[test]
    fn truncated_and_parent_forget_the_rest() {
        let path = Path::resource_instance(3, 0, 7, 1);
        assert_eq!(path.truncated(2), Path::instance(3, 0));
        assert_eq!(path.parent(), Some(Path::resource(3, 0, 7)));
        assert_eq!(Path::root().parent(), None);
    }
}
