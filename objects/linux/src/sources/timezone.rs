//! The time zone: its name from the link `/etc/localtime` (localtime(5)), its
//! offset from the zone's file (RFC 8536), and the news that the link changed.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tz::TimeZone;

use super::readable::Readable;
use super::text;
use crate::Roots;

/// An offset from UTC, in whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcOffset {
    /// East of Greenwich is positive; -1439..=1439.
    pub minutes: i32,
}

impl UtcOffset {
    /// The offset of so many hours, if it is one of -23..=23.
    fn from_hours(hours: i32) -> Option<Self> {
        (-23..=23).contains(&hours).then_some(Self { minutes: hours * 60 })
    }
}

impl fmt::Display for UtcOffset {
    /// `+02:00`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for UtcOffset {
    type Err = OffsetError;

    /// Reads `+02:00`, `+0200`, `+02` and `Z` (ISO 8601), with or without `UTC`
    /// before it.
    fn from_str(text: &str) -> Result<Self, OffsetError> {
        let text = text.strip_prefix("UTC").unwrap_or(text);
        if text == "Z" {
            return Ok(Self { minutes: 0 });
        }
        let (sign, digits) = match text.as_bytes() {
            [b'+', digits @ ..] => (1, digits),
            [b'-', digits @ ..] => (-1, digits),
            _ => return Err(OffsetError),
        };
        let two = |tens: u8, ones: u8| {
            let digit = |byte: u8| byte.is_ascii_digit().then(|| i32::from(byte - b'0'));
            digit(tens).zip(digit(ones)).map(|(tens, ones)| tens * 10 + ones).ok_or(OffsetError)
        };
        let (hours, minutes) = match digits {
            [h, i] => (two(*h, *i)?, 0),
            [h, i, b':', m, n] | [h, i, m, n] => (two(*h, *i)?, two(*m, *n)?),
            _ => return Err(OffsetError),
        };
        if hours > 23 || minutes > 59 {
            return Err(OffsetError);
        }
        Ok(Self { minutes: sign * (hours * 60 + minutes) })
    }
}

/// The text is no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetError;

/// The name of the configured zone, such as `Europe/Berlin`.
pub fn name(etc: &Path) -> Option<String> {
    let target = etc.join("localtime").read_link().ok()?;
    let (_, name) = target.to_str()?.split_once("zoneinfo/")?;
    is_name(name).then(|| name.to_owned())
}

/// True if the text can name a zone: it leads nowhere but below the folder of
/// zones.
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    text.len() <= text::MAX_LINE && text.split('/').all(is_part)
}

/// True if the system has a file for the zone.
pub fn exists(roots: &Roots, name: &str) -> bool {
    is_name(name) && fixed(name).is_some() || load(roots, name).is_some()
}

/// The offset of the zone `name` at `unix` seconds.
pub fn offset_of(roots: &Roots, name: &str, unix: i64) -> Option<UtcOffset> {
    fixed(name).or_else(|| offset_at(&load(roots, name)?, unix))
}

/// The offset of `/etc/localtime` at `unix` seconds, where it is a file of its
/// own or names a zone without a file.
pub fn local_offset(roots: &Roots, unix: i64) -> Option<UtcOffset> {
    match name(&roots.etc) {
        Some(name) => offset_of(roots, &name, unix),
        None => {
            let content = text::bytes(&roots.etc.join("localtime"))?;
            offset_at(&TimeZone::from_tz_data(&content).ok()?, unix)
        }
    }
}

/// True for a zone that is nothing but an offset: it carries no choice of a place
/// that a written offset would overrule.
pub fn is_fixed(name: &str) -> bool {
    fixed(name).is_some()
}

/// The zone of a whole number of hours, `Etc/GMT-2` for `+02:00`: POSIX counts
/// westwards. Such zones exist from -12 to +14 hours.
pub fn fixed_name(offset: UtcOffset) -> Option<String> {
    if offset.minutes % 60 != 0 {
        return None;
    }
    match offset.minutes / 60 {
        0 => Some("Etc/UTC".to_owned()),
        hours @ -12..=-1 => Some(format!("Etc/GMT+{}", -hours)),
        hours @ 1..=14 => Some(format!("Etc/GMT-{hours}")),
        _ => None,
    }
}

/// Offsets that follow from the name, so that images without zone files know them.
fn fixed(name: &str) -> Option<UtcOffset> {
    let name = name.strip_prefix("Etc/").unwrap_or(name);
    if ["UTC", "UCT", "GMT", "Zulu", "Universal", "Greenwich"]
        .iter()
        .any(|utc| utc.eq_ignore_ascii_case(name))
    {
        return Some(UtcOffset { minutes: 0 });
    }
    let hours = name.strip_prefix("GMT")?;
    let westwards: i32 = hours.starts_with(['+', '-']).then(|| hours.parse().ok())??;
    UtcOffset::from_hours(-westwards)
}

fn load(roots: &Roots, name: &str) -> Option<TimeZone> {
    if !is_name(name) {
        return None;
    }
    let content = text::bytes(&roots.usr.join("share/zoneinfo").join(name))?;
    TimeZone::from_tz_data(&content).ok()
}

fn offset_at(zone: &TimeZone, unix: i64) -> Option<UtcOffset> {
    let seconds = zone.find_local_time_type(unix).ok()?.ut_offset();
    (seconds.unsigned_abs() < 86_400).then_some(UtcOffset { minutes: seconds / 60 })
}

/// Tells when `localtime` in a folder is replaced (inotify(7)).
pub struct ZoneWatch(Readable<Inotify>);

impl ZoneWatch {
    /// Watches the folder: the link itself is replaced, not written.
    ///
    /// # Errors
    /// Of the system, such as a folder that does not exist.
    pub fn open(etc: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let replaced = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CLOSE_WRITE;
        inotify.add_watch(etc, replaced)?;
        Readable::new(inotify).map(Self)
    }

    /// Waits until `localtime` is another. Cancel safe.
    ///
    /// # Errors
    /// Of the system; the watch is of no more use then.
    pub async fn changed(&self) -> io::Result<()> {
        loop {
            let events = self.0.read(Inotify::read_events).await?;
            let concerns_us = |event: &InotifyEvent| {
                event.name.as_ref().is_some_and(|name| name == "localtime")
                    || event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)
            };
            if events.iter().any(concerns_us) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_read_and_print() {
        let cases = [
            ("+02:00", "+02:00"),
            ("-0330", "-03:30"),
            ("+05", "+05:00"),
            ("Z", "+00:00"),
            ("-00:00", "+00:00"),
            ("UTC+14:00", "+14:00"),
        ];
        for (text, printed) in cases {
            assert_eq!(text.parse::<UtcOffset>().unwrap().to_string(), printed);
        }
        for text in
            ["", "2", "+2", "+2:00", "02:00", "+24:00", "+02:60", "+02:00:00", "+0x:00", "UTC"]
        {
            assert_eq!(text.parse::<UtcOffset>(), Err(OffsetError), "{text}");
        }
    }

    #[test]
    fn fixed_zones_count_westwards() {
        for (offset, name) in
            [("+02:00", "Etc/GMT-2"), ("-12:00", "Etc/GMT+12"), ("+00:00", "Etc/UTC")]
        {
            let offset: UtcOffset = offset.parse().unwrap();
            assert_eq!(fixed_name(offset).as_deref(), Some(name));
            assert_eq!(fixed(name), Some(offset));
        }
        for offset in ["+05:30", "+15:00", "-13:00"] {
            assert_eq!(fixed_name(offset.parse().unwrap()), None, "{offset}");
        }
        for name in ["Europe/Berlin", "Etc/GMT2", "GMT-", "GMT+99", ""] {
            assert_eq!(fixed(name), None, "{name}");
        }
    }

    #[test]
    fn names_stay_below_the_folder_of_zones() {
        for name in ["Europe/Berlin", "Etc/GMT+3", "America/Argentina/Buenos_Aires", "UTC"] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", "/etc/passwd", "../passwd", "Europe/", "Europe//Berlin", "a b", "Zürich", "-x"]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
