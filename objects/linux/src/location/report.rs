//! The reports of gpsd (gpsd_json(5)): one JSON object a line, of which TPV has the fix.

use serde::Deserialize;
use tz::UtcDateTime;

use super::config::Place;
use super::fix::{Accuracy, Fix, Motion};

/// What a line of gpsd says.
#[derive(Debug, PartialEq)]
pub(super) enum Report {
    Fix(Fix),
    /// It does not know where it is, or not when.
    NoFix,
    /// Satellites, devices, greetings.
    Other,
    /// Nothing that gpsd says, or what cannot be.
    Nonsense(&'static str),
}

#[derive(Deserialize)]
struct Class {
    class: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tpv {
    mode: i64,
    time: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    /// Above sea level.
    #[serde(rename = "altMSL")]
    alt_msl: Option<f64>,
    /// Above the ellipsoid.
    #[serde(rename = "altHAE")]
    alt_hae: Option<f64>,
    /// Before gpsd 3.20, which had no other, above sea level.
    alt: Option<f64>,
    eph: Option<f64>,
    epx: Option<f64>,
    epy: Option<f64>,
    speed: Option<f64>,
    track: Option<f64>,
    climb: Option<f64>,
}

impl Report {
    pub(super) fn parse(line: &[u8]) -> Self {
        match serde_json::from_slice::<Class>(line) {
            Ok(Class { class }) if class == "TPV" => match serde_json::from_slice::<Tpv>(line) {
                Ok(tpv) => tpv.report(),
                Err(_) => Self::Nonsense("a TPV with a wrong type"),
            },
            Ok(_) => Self::Other,
            Err(_) => Self::Nonsense("no JSON object with a class"),
        }
    }
}

impl Tpv {
    fn report(self) -> Report {
        // 0 and 1 are no fix, 2 is one without altitude.
        let has_altitude = match self.mode {
            0 | 1 => return Report::NoFix,
            2 => false,
            3 => true,
            _ => return Report::Nonsense("an unknown mode"),
        };
        let (Some(latitude), Some(longitude), Some(time)) = (self.lat, self.lon, &self.time) else {
            return Report::NoFix;
        };
        let old = if self.alt_hae.is_none() { self.alt } else { None };
        let altitude = self.alt_msl.or(old).filter(|_| has_altitude);
        let radius = self.eph.or_else(|| Some(self.epx?.hypot(self.epy?)));
        let motion = Motion {
            speed: self.speed,
            bearing: self.track,
            climb: self.climb.filter(|_| has_altitude),
        };
        let Some(time) = unix_time(time) else {
            return Report::Nonsense("a time that is none");
        };
        Place::new(latitude, longitude, altitude)
            .and_then(|place| Fix::new(place, Accuracy { radius }, motion, time))
            .map_or(Report::Nonsense("a position that cannot be"), Report::Fix)
    }
}

/// The seconds of `2026-01-15T12:00:00.000Z`, a time of UTC (ISO 8601).
fn unix_time(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let byte = |number: u16| u8::try_from(number).ok();
    let year = i32::from(year);
    let time = UtcDateTime::new(
        year,
        byte(month)?,
        byte(day)?,
        byte(hour)?,
        byte(minute)?,
        byte(second)?,
        0,
    );
    time.ok().map(|time| time.unix_time())
}

fn numbers(text: &str, separator: char) -> Option<[u16; 3]> {
    let mut parts = text.split(separator).map(|part| {
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok())?
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<String> {
        match Report::parse(line.as_bytes()) {
            Report::Fix(fix) => {
                let shown = |content| match content {
                    crate::content::Content::Single(value) => value.to_string(),
                    other => format!("{other:?}"),
                };
                let contents = fix.contents().into_iter();
                contents.map(|(path, content)| format!("{path} {}", shown(content))).collect()
            }
            other => vec![format!("{other:?}")],
        }
    }

    const TIME: &str = r#""time":"2026-01-15T12:00:00.250Z""#;

    #[test]
    fn a_report_becomes_a_fix() {
        let rows = [
            (
                format!(
                    r#"{{"class":"TPV","mode":2,{TIME},"lat":-33.5,"lon":151.25,"altMSL":9,"climb":1,"epx":3.0,"epy":4.0}}"#
                ),
                vec!["/6/0/0 -33.5", "/6/0/1 151.25", "/6/0/3 5", "/6/0/5 1768478400"],
            ),
            (
                format!(
                    r#"{{"class":"TPV","mode":3,{TIME},"lat":1,"lon":2,"alt":3,"altHAE":40.5,"eph":7.5,"speed":0}}"#
                ),
                vec!["/6/0/0 1", "/6/0/1 2", "/6/0/3 7.5", "/6/0/5 1768478400", "/6/0/6 0"],
            ),
            (
                format!(r#"{{"class":"TPV","mode":3,{TIME},"lat":1,"lon":2,"alt":3}}"#),
                vec!["/6/0/0 1", "/6/0/1 2", "/6/0/2 3", "/6/0/5 1768478400"],
            ),
        ];
        for (line, expected) in rows {
            assert_eq!(values(&line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_no_fix_is_none() {
        for line in [
            r#"{"class":"TPV","mode":0}"#.to_owned(),
            format!(r#"{{"class":"TPV","mode":1,{TIME},"lat":1,"lon":2}}"#),
            // Where, but not when; Timestamp is not guessed (OBJ-73).
            r#"{"class":"TPV","mode":3,"lat":1,"lon":2}"#.to_owned(),
            format!(r#"{{"class":"TPV","mode":3,{TIME},"lat":1}}"#),
        ] {
            assert_eq!(Report::parse(line.as_bytes()), Report::NoFix, "{line}");
        }
        for line in [r#"{"class":"VERSION","rev":"3.22"}"#, r#"{"class":"SKY","mode":"x"}"#] {
            assert_eq!(Report::parse(line.as_bytes()), Report::Other, "{line}");
        }
    }

    #[test]
    fn lies_and_garbage_are_nonsense() {
        let tpv = |rest: &str| format!(r#"{{"class":"TPV","mode":3,{TIME},{rest}}}"#);
        let mut lines = vec![
            String::new(),
            "$GPRMC,1,2*33".into(),
            "[1]".into(),
            r#"{"mode":3}"#.into(),
            r#"{"class":7}"#.into(),
            r#"{"class":"TPV"}"#.into(),
            r#"{"class":"TPV","mode":4}"#.into(),
            "[".repeat(60_000),
        ];
        for rest in [
            r#""lat":1000,"lon":2"#,
            r#""lat":1,"lon":-180.5"#,
            r#""lat":NaN,"lon":2"#,
            r#""lat":1e999,"lon":2"#,
            r#""lat":"1","lon":2"#,
            r#""lat":1,"lon":2,"altMSL":1e7"#,
            r#""lat":1,"lon":2,"eph":-1"#,
            r#""lat":1,"lon":2,"speed":-3"#,
            r#""lat":1,"lon":2,"track":400"#,
        ] {
            lines.push(tpv(rest));
        }
        for time in ["", "now", "2026-02-30T00:00:00Z", "2026-01-15T12:00Z", "2026-01-15T12:00:00"]
        {
            lines.push(format!(r#"{{"class":"TPV","mode":2,"time":"{time}","lat":1,"lon":2}}"#));
        }
        for line in lines {
            let report = Report::parse(line.as_bytes());
            assert!(matches!(report, Report::Nonsense(_)), "{line}: {report:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_survived(line: Vec<u8>) {
            Report::parse(&line);
        }

        #[test]
        fn any_numbers_make_a_fix_on_earth_or_none(
            mode in 1i64..5, lat in -120.0..120.0_f64, lon in -200.0..200.0_f64, alt in -2e5..2e5_f64,
            eph in -1.0..9.0_f64, speed in -1.0..9.0_f64, track in -40.0..400.0_f64,
            time in "2026-0[1-9]-[12][0-9]T1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9é]{0,3})?Z",
        ) {
            let line = format!(
                r#"{{"class":"TPV","mode":{mode},"time":"{time}","lat":{lat:e},"lon":{lon:e},"altMSL":{alt:e},"eph":{eph:e},"speed":{speed:e},"track":{track:e}}}"#
            );
            if let Report::Fix(fix) = Report::parse(line.as_bytes()) {
                assert!(lat.abs() <= 90.0 && lon.abs() <= 180.0 && speed >= 0.0, "{fix:?}");
            }
        }
    }
}
