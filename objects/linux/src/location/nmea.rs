//! Sentences of a receiver (NMEA 0183), as a modem hands them on: RMC for place, time
//! and motion, GGA for the altitude.

use tz::UtcDateTime;

use super::config::Place;
use super::fix::{Accuracy, Fix, Motion};

/// What sentences say.
#[derive(Debug, PartialEq)]
pub(super) enum Report {
    Fix(Fix),
    /// The receiver says that it does not know.
    NoFix,
    /// There is no sentence that could say where it is.
    Nothing,
    /// What cannot be.
    Nonsense,
}

/// The fix of the last sentences; `now` is Unix time in seconds, for the day of a
/// sentence that has none.
pub(super) fn report(text: &str, now: i64) -> Report {
    let (mut rmc, mut gga) = (None, None);
    for fields in text.lines().take(MAX_SENTENCES).filter_map(sentence) {
        match fields.first().and_then(|name| name.get(2..)) {
            Some("RMC") => rmc = Some(fields),
            Some("GGA") => gga = Some(fields),
            _ => {}
        }
    }
    let gga = gga.map(|fields| Gga::read(&fields));
    if let Some(fields) = rmc {
        return position(&fields, gga.flatten());
    }
    match gga {
        None => Report::Nothing,
        Some(None) => Report::NoFix,
        Some(Some(Gga { time, latitude, longitude, altitude })) => {
            made(latitude, longitude, altitude, Motion::default(), nearest(time, now))
        }
    }
}

/// The second of a day, of `hhmmss` or `hhmmss.ss`.
pub(super) fn time_of_day(text: &str) -> Option<i64> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let [hour, minute, second] = pairs(whole)?;
    // A leap second is the last of its minute here.
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// The time that is next to `now` at this second of the day.
pub(super) fn nearest(time_of_day: i64, now: i64) -> i64 {
    let today = now.div_euclid(DAY) * DAY + time_of_day;
    match today - now {
        ahead if ahead > DAY / 2 => today - DAY,
        ahead if ahead < -DAY / 2 => today + DAY,
        _ => today,
    }
}

/// The fields of `$name,…*hh` with the right checksum.
fn sentence(line: &str) -> Option<Vec<&str>> {
    let (text, sum) = line.trim().strip_prefix('$')?.rsplit_once('*')?;
    let sum = u8::from_str_radix(sum, 16).ok()?;
    let is_right = text.len() <= MAX_SENTENCE && text.bytes().fold(0, |all, it| all ^ it) == sum;
    is_right.then(|| text.split(',').collect())
}

/// The fix of an RMC; the altitude is that of a GGA of the same second.
fn position(fields: &[&str], gga: Option<Gga>) -> Report {
    let [_, time, status, latitude, north, longitude, east, speed, course, date, ..] = fields
    else {
        return Report::Nonsense;
    };
    let place = (degrees(latitude, north, 'N', 'S'), degrees(longitude, east, 'E', 'W'));
    let (Some(time), Some(day), (Some(latitude), Some(longitude))) =
        (time_of_day(time), unix_day(date), place)
    else {
        return if *status == "A" { Report::Nonsense } else { Report::NoFix };
    };
    if *status != "A" {
        return Report::NoFix;
    }
    let altitude = gga.filter(|gga| gga.time == time).and_then(|gga| gga.altitude);
    let motion = Motion {
        speed: number(speed).map(|knots| knots * METRES_PER_SECOND),
        bearing: number(course),
        climb: None,
    };
    made(latitude, longitude, altitude, motion, day + time)
}

/// What a GGA says that has a fix.
struct Gga {
    time: i64,
    latitude: f64,
    longitude: f64,
    /// Above sea level.
    altitude: Option<f64>,
}

impl Gga {
    fn read(fields: &[&str]) -> Option<Self> {
        let [_, time, latitude, north, longitude, east, quality, _, _, altitude, unit, ..] = fields
        else {
            return None;
        };
        if matches!(*quality, "" | "0") {
            return None;
        }
        Some(Self {
            time: time_of_day(time)?,
            latitude: degrees(latitude, north, 'N', 'S')?,
            longitude: degrees(longitude, east, 'E', 'W')?,
            altitude: number(altitude).filter(|_| *unit == "M"),
        })
    }
}

/// A fix of values that are possible.
pub(super) fn made(
    latitude: f64,
    longitude: f64,
    altitude: Option<f64>,
    motion: Motion,
    time: i64,
) -> Report {
    Place::new(latitude, longitude, altitude)
        .and_then(|place| Fix::new(place, Accuracy::default(), motion, time))
        .map_or(Report::Nonsense, Report::Fix)
}

/// Degrees of `ddmm.mmm` on one of two sides.
fn degrees(text: &str, side: &str, plus: char, minus: char) -> Option<f64> {
    let value = number(text).filter(|value| *value >= 0.0)?;
    let whole = (value / 100.0).floor();
    let minutes = value - whole * 100.0;
    let degrees = (minutes < 60.0).then_some(whole + minutes / 60.0)?;
    let mut side = side.chars();
    match (side.next(), side.next()) {
        (Some(it), None) if it == plus => Some(degrees),
        (Some(it), None) if it == minus => Some(-degrees),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The second at which the day `ddmmyy` of this century begins.
fn unix_day(date: &str) -> Option<i64> {
    let [day, month, year] = pairs(date)?;
    let byte = |number: i64| u8::try_from(number).ok();
    let year = i32::try_from(2000 + year).ok()?;
    let date = UtcDateTime::new(year, byte(month)?, byte(day)?, 0, 0, 0, 0);
    date.ok().map(|date| date.unix_time())
}

/// Three numbers of two digits.
fn pairs(text: &str) -> Option<[i64; 3]> {
    if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let pair = |from: usize| text.get(from..from + 2)?.parse().ok();
    Some([pair(0)?, pair(2)?, pair(4)?])
}

const DAY: i64 = 86_400;
/// In one knot.
const METRES_PER_SECOND: f64 = 1852.0 / 3600.0;
/// The standard allows 82; some receivers write more digits.
const MAX_SENTENCE: usize = 160;
/// A modem keeps the last sentence of each kind and satellite system.
const MAX_SENTENCES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-15T12:00:00Z.
    const NOON: i64 = 1_768_478_400;

    fn text(sentences: &[&str]) -> String {
        let sum = |text: &str| text.bytes().fold(0, |sum: u8, byte| sum ^ byte);
        sentences.iter().map(|text| format!("${text}*{:02X}\r\n", sum(text))).collect()
    }

    fn values(sentences: &[&str]) -> Vec<String> {
        match report(&text(sentences), NOON) {
            Report::Fix(fix) => {
                let contents = fix.contents().into_iter();
                contents.map(|(path, content)| format!("{path} {content:?}")).collect()
            }
            other => vec![format!("{other:?}")],
        }
    }

    const RMC: &str = "GNRMC,115959.50,A,4830.000,N,01130.000,W,010.0,090.0,150126,,,A";
    const GGA: &str = "GNGGA,115959.50,4830.000,N,01130.000,W,1,08,0.9,545.5,M,46.9,M,,";

    #[test]
    fn sentences_become_a_fix() {
        let place = ["/6/0/0 Single(Float(48.5))", "/6/0/1 Single(Float(-11.5))"];
        let time = "/6/0/5 Single(Time(1768478399))";
        let high = "/6/0/2 Single(Float(545.5))";
        let speed = "/6/0/6 Single(Float(5.144444444444445))";
        let velocity = "/6/0/4 Single(Opaque([0, 90, 0, 19]))";
        let whole = [&place[..], &[high, velocity, time, speed]].concat();
        assert_eq!(values(&["GPGSV,1,1,00", RMC, GGA]), whole);
        assert_eq!(values(&[RMC]), [&place[..], &[velocity, time, speed]].concat());
        assert_eq!(values(&[GGA]), [&place[..], &[high, time]].concat());
        // A GGA of another second has another altitude.
        let late = GGA.replace("115959", "120000");
        assert_eq!(values(&[RMC, &late]), [&place[..], &[velocity, time, speed]].concat());
    }

    #[test]
    fn what_is_no_fix_is_none() {
        for sentences in [
            &["GPRMC,,V,,,,,,,,,,N", GGA][..],
            &["GPRMC,120000,V,4830.0,N,01130.0,E,,,150126,,,N"],
            &["GPGGA,120000,,,,,0,00,,,M,,M,,"],
        ] {
            assert_eq!(report(&text(sentences), NOON), Report::NoFix, "{sentences:?}");
        }
        for nothing in ["", "garbage", "$GPRMC,1,A*00", "$*", "$GPGSA,A,1*2D\r\n", "é*é"] {
            assert_eq!(report(nothing, NOON), Report::Nothing, "{nothing}");
        }
    }

    #[test]
    fn lies_are_nonsense() {
        for (from, to) in [
            ("4830.000", "9130.000"),
            ("4830.000", "4861.000"),
            ("4830.000", "NaN"),
            ("4830.000", "-4830"),
            (",N,", ",X,"),
            (",N,", ",,"),
            ("01130.000", "18100.0"),
            ("115959.50", "250000"),
            ("150126", "300226"),
            ("150126", ""),
            ("010.0", "-3"),
            ("010.0", "999999"),
            ("090.0", "400"),
        ] {
            let lie = RMC.replace(from, to);
            assert_eq!(report(&text(&[&lie]), NOON), Report::Nonsense, "{lie}");
        }
        assert_eq!(report(&text(&["GPRMC,1"]), NOON), Report::Nonsense);
    }

    #[test]
    fn a_time_without_a_day_is_the_nearest() {
        let midnight = NOON - NOON % DAY;
        for (now, seconds, expected) in [
            (midnight + 10, 86_390, midnight - 10),
            (midnight - 10, 10, midnight + 10),
            (NOON, 43_200, NOON),
        ] {
            assert_eq!(nearest(seconds, now), expected);
        }
        for wrong in ["", "12", "240000", "126000", "1200é", "12:00:00"] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
        assert_eq!(time_of_day("235960.00"), Some(86_399));
    }

    /// A checksum of one byte finds each change of one byte.
    #[test]
    fn a_byte_that_was_changed_on_the_way_makes_no_other_fix() {
        let (whole, right) = (text(&[RMC]), report(&text(&[RMC]), NOON));
        for at in 0..whole.len() {
            for byte in 0..128 {
                let mut bytes = whole.clone().into_bytes();
                bytes[at] = byte;
                let said = report(std::str::from_utf8(&bytes).unwrap(), NOON);
                assert!(said == right || said == Report::Nothing, "{at} {byte}: {said:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text: String, now: u32) {
            report(&text, now.into());
        }

        /// With the right checksum, so that the fields are read.
        #[test]
        fn any_fields_make_a_fix_on_earth_or_none(
            line in "G[PN]RMC,1[0-9]([0-5][0-9]){2},A,[0-9]{3,5}\\.[0-9],[NS],[0-9]{4,5},[EW],-?[0-9]{1,5},-?[0-9]{1,3},1[0-9]0[0-9]26,,",
            now: u32,
        ) {
            if let Report::Fix(fix) = report(&text(&[&line]), now.into()) {
                let contents = fix.contents();
                let float = |at: usize| match &contents[at].1 {
                    crate::content::Content::Single(lwm2m_model::Value::Float(value)) => *value,
                    other => panic!("{other:?}"),
                };
                assert!(float(0).abs() <= 90.0 && float(1).abs() <= 180.0, "{line}");
            }
        }
    }
}
