//! Time spans in words, the same in logs, in `lwm2md --check` and in `lwm2mctl`.

use std::time::Duration;

/// A time span for people: `45 s`, `2 min 30 s`, `3 h 12 min`, `1 d`.
///
/// Below two minutes in seconds, above in the two largest units; what is left is
/// cut off.
pub fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let (large, large_unit, small, small_unit) = match seconds {
        ..SECONDS_ONLY => return format!("{seconds} s"),
        SECONDS_ONLY..HOUR => (seconds / MINUTE, "min", seconds % MINUTE, "s"),
        HOUR..DAY => (seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => (seconds / DAY, "d", seconds % DAY / HOUR, "h"),
    };
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// A registration lifetime in seconds for people; 0 is `for ever` (`/1/x/1`).
pub fn lifetime_in_words(seconds: u32) -> String {
    match seconds {
        0 => "for ever".to_owned(),
        seconds => in_words(Duration::from_secs(seconds.into())),
    }
}

const MINUTE: u64 = 60;
const SECONDS_ONLY: u64 = 2 * MINUTE;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        let cases = [
            (0, "0 s"),
            (60, "60 s"),
            (119, "119 s"),
            (120, "2 min"),
            (150, "2 min 30 s"),
            (3600, "1 h"),
            (11_520, "3 h 12 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d"),
            (93_600, "1 d 2 h"),
            (u64::MAX, "213503982334601 d 7 h"),
        ];
        for (seconds, words) in cases {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Duration::from_millis(1999)), "1 s");
    }

    #[test]
    fn a_lifetime_of_zero_is_for_ever() {
        assert_eq!(lifetime_in_words(0), "for ever");
        assert_eq!(lifetime_in_words(86_400), "1 d");
    }
}
