//! Columns, colour, dates, and text that cannot harm a terminal.

use std::borrow::Cow;

/// Whether colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Yes,
    No,
}

/// How something fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Waiting,
    Bad,
}

impl Colour {
    /// Paints a text.
    pub(crate) fn paint(self, mood: Mood, text: &str) -> String {
        let code = match mood {
            Mood::Good => "32",
            Mood::Waiting => "33",
            Mood::Bad => "31",
        };
        match self {
            Self::Yes => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::No => text.to_owned(),
        }
    }
}

/// Text from elsewhere with its control characters escaped: a server's words must
/// not move the cursor.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Rows in columns two blanks apart; no blanks at the end of a line.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            if width == 0 {
                continue;
            }
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A Unix time in seconds as `2023-11-14 22:13:20 UTC`; `None` beyond the year 9999.
pub(crate) fn utc(seconds: i64) -> Option<String> {
    let days = seconds.div_euclid(SECONDS_PER_DAY);
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = civil(days)?;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"))
}

/// Year, month and day of a day counted from 1970-01-01 in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year and
/// the lengths of the months follow one formula.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    if !(DAY_OF_YEAR_0..=DAY_OF_YEAR_9999).contains(&days) {
        return None;
    }
    let from_march_0 = days + DAYS_FROM_MARCH_0;
    let era = from_march_0.div_euclid(DAYS_PER_ERA);
    let day_of_era = from_march_0.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    Some((year, month, day))
}

const SECONDS_PER_DAY: i64 = 86_400;
/// Days in 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// 1970-01-01 counted from 0000-03-01.
const DAYS_FROM_MARCH_0: i64 = 719_468;
const DAY_OF_YEAR_0: i64 = -719_528;
const DAY_OF_YEAR_9999: i64 = 2_932_896;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // From `date -u -d @N`.
        for (seconds, date) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (-62_167_219_200, "0000-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds).as_deref(), Some(date), "{seconds}");
        }
        for beyond in [253_402_300_800, -62_167_219_201, i64::MAX, i64::MIN] {
            assert_eq!(utc(beyond), None);
        }
    }

    #[test]
    fn columns_align_and_empty_ones_vanish() {
        let row = |a: &str, b: &str, c: &str| [a.to_owned(), b.to_owned(), c.to_owned()];
        let rows = [row("/3/0/9", "", "87"), row("/3", "", "é"), row("", "", "")];
        assert_eq!(columns(&rows), "/3/0/9  87\n/3      é\n\n");
        assert_eq!(columns::<2>(&[]), "");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("é"), "é");
    }

    #[test]
    fn colour_only_where_wanted() {
        assert_eq!(Colour::No.paint(Mood::Bad, "x"), "x");
        assert_eq!(Colour::Yes.paint(Mood::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
