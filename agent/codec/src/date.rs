//! Dates as CBOR tag 0 writes them: RFC 3339, `2013-05-02T10:40:15.5+02:00`.

/// Seconds since 1970, or `None` if `text` is no date and time.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (hour, rest) = digits(rest.strip_prefix(['T', 't'])?, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = digits(rest.strip_prefix(':')?, 2)?;
    // A leap second, :60, counts as the first of the next minute.
    let legal = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !legal {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    // Four digits of year stay far below 2^53.
    Some((seconds - offset(zone)?) as f64 + fraction)
}

/// The number in the first `count` characters, all digits, and what follows.
fn digits(text: &str, count: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(count)?;
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())?;
    Some((number?, rest))
}

fn fraction(text: &str) -> Option<(f64, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0.0, text));
    };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (_, zone) = rest.split_at_checked(length)?;
    if !(1..=MAX_FRACTION).contains(&length) {
        return None;
    }
    Some((text.get(..=length)?.parse().ok()?, zone))
}

/// Seconds that the time zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, rest) = digits(zone.strip_prefix(['+', '-'])?, 2)?;
    let (minutes, rest) = digits(rest.strip_prefix(':')?, 2)?;
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that start in March put the leap day last, so months need no table.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;
/// Digits of a second that are read; more would not change an `f64`.
const MAX_FRACTION: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        let cases = [
            ("2013-05-02T10:40:15Z", 1_367_491_215.0),
            ("2013-05-02T12:40:15+02:00", 1_367_491_215.0),
            ("2013-05-02t05:10:15.25-05:30", 1_367_491_215.25),
            ("1970-01-01T00:00:00Z", 0.0),
            ("1969-12-31T23:59:59z", -1.0),
            ("2000-02-29T00:00:00Z", 951_782_400.0),
            ("2016-12-31T23:59:60Z", 1_483_228_800.0),
            ("0000-01-01T00:00:00Z", -62_167_219_200.0),
            ("9999-12-31T23:59:59Z", 253_402_300_799.0),
        ];
        for (text, seconds) in cases {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn other_texts_do_not() {
        for text in [
            "",
            "2013-05-02",
            "2013-05-02T10:40:15",
            "2013-05-02 10:40:15Z",
            "2013-13-02T10:40:15Z",
            "2013-02-29T10:40:15Z",
            "1900-02-29T10:40:15Z",
            "2013-05-00T10:40:15Z",
            "2013-05-02T24:00:00Z",
            "2013-05-02T10:60:00Z",
            "2013-05-02T10:40:61Z",
            "2013-05-02T10:40:15.Z",
            "2013-05-02T10:40:15Zx",
            "2013-05-02T10:40:15+2:00",
            "2013-05-02T10:40:15+24:00",
            "+013-05-02T10:40:15Z",
            "2013-05-02T10:40:1\u{e9}Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
