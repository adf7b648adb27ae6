//! One measurement of the position, and the resources that it fills.
//!
//! Latitude, Longitude and Timestamp come and change together (OBJ-73).

use lwm2m_model::{Path, Value, objects};

use super::config::Place;
use super::velocity;
use crate::content::Content;

/// A measurement whose values are possible.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fix {
    place: Place,
    accuracy: Accuracy,
    motion: Motion,
    /// Unix time in seconds.
    time: i64,
}

/// How good a position is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Accuracy {
    /// Radius in metres of the circle in which the place is with 95 %.
    pub(crate) radius: Option<f64>,
}

/// How the machine moves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Motion {
    /// m/s over ground.
    pub(crate) speed: Option<f64>,
    /// Degrees from true north, clockwise.
    pub(crate) bearing: Option<f64>,
    /// m/s upward.
    pub(crate) climb: Option<f64>,
}

impl Fix {
    /// A measurement made at `time`; `None` if a value in it cannot be.
    pub(crate) fn new(place: Place, accuracy: Accuracy, motion: Motion, time: i64) -> Option<Self> {
        let lies = |value: Option<f64>, least: f64, most: f64| {
            value.is_some_and(|value| !(least..=most).contains(&value))
        };
        let is_wrong = lies(accuracy.radius, 0.0, MAX_RADIUS)
            || lies(motion.speed, 0.0, MAX_SPEED)
            || lies(motion.bearing, 0.0, 360.0)
            || lies(motion.climb, -MAX_SPEED, MAX_SPEED);
        (!is_wrong).then_some(Self { place, accuracy, motion, time })
    }

    /// What is configured, which is so whenever it is asked for.
    pub(crate) fn fixed(place: Place, time: i64) -> Self {
        Self { place, accuracy: Accuracy::default(), motion: Motion::default(), time }
    }

    /// The resources that are there, ascending.
    pub(crate) fn contents(&self) -> Vec<(Path, Content)> {
        let Self { place, accuracy, motion, time } = self;
        let velocity = match (motion.speed, motion.bearing) {
            (Some(speed), Some(bearing)) => Some(velocity::octets(speed, bearing, motion.climb)),
            // A machine that stands has no bearing.
            _ => None,
        };
        let all = [
            (LATITUDE, Some(Value::Float(place.latitude()))),
            (LONGITUDE, Some(Value::Float(place.longitude()))),
            (ALTITUDE, place.altitude().map(Value::Float)),
            (RADIUS, accuracy.radius.map(Value::Float)),
            (VELOCITY, velocity.map(Value::Opaque)),
            (TIMESTAMP, Some(Value::Time(*time))),
            (SPEED, motion.speed.map(Value::Float)),
        ];
        let there = all.into_iter().filter_map(|(id, value)| Some((id, value?)));
        there.map(|(id, value)| (path(id), Content::Single(value))).collect()
    }

    /// The resources that differ from those of `before`.
    pub(crate) fn differences(&self, before: Option<&Self>) -> Vec<Path> {
        let (now, before) = (self.contents(), before.map(Self::contents).unwrap_or_default());
        let new = now.iter().filter(|content| !before.contains(content));
        let gone = before.iter().filter(|(path, _)| !now.iter().any(|(other, _)| other == path));
        new.chain(gone).map(|(path, _)| path.clone()).collect()
    }
}

fn path(resource: u16) -> Path {
    Path::resource(objects::LOCATION.id, 0, resource)
}

const LATITUDE: u16 = 0;
const LONGITUDE: u16 = 1;
const ALTITUDE: u16 = 2;
const RADIUS: u16 = 3;
const VELOCITY: u16 = 4;
const TIMESTAMP: u16 = 5;
const SPEED: u16 = 6;

/// Half the way around the Earth, in metres.
const MAX_RADIUS: f64 = 20_100_000.0;
/// No receiver works in what is faster, in m/s.
const MAX_SPEED: f64 = 20_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(latitude: f64, altitude: Option<f64>, motion: Motion, time: i64) -> Fix {
        let place = Place::new(latitude, 8.0, altitude).unwrap();
        Fix::new(place, Accuracy { radius: Some(4.5) }, motion, time).unwrap()
    }

    fn ids(paths: &[Path]) -> Vec<u16> {
        paths.iter().filter_map(Path::resource_id).collect()
    }

    /// OBJ-73: 0, 1 and 5 are there together; the rest only if it is known.
    #[test]
    fn a_fix_fills_what_it_knows() {
        let here = |fix: &Fix| {
            let paths: Vec<Path> = fix.contents().into_iter().map(|(path, _)| path).collect();
            ids(&paths)
        };
        let place = Place::new(1.0, 2.0, None).unwrap();
        assert_eq!(here(&Fix::fixed(place, 7)), [0, 1, 5]);
        let still = Motion { speed: Some(0.0), ..Motion::default() };
        assert_eq!(here(&fix(1.0, Some(2.0), still, 7)), [0, 1, 2, 3, 5, 6]);
        let moving = Motion { speed: Some(2.0), bearing: Some(3.0), climb: None };
        assert_eq!(here(&fix(1.0, Some(2.0), moving, 7)), [0, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_differs_is_named_and_what_is_gone() {
        let (one, still) = (fix(1.0, Some(2.0), Motion::default(), 7), Motion::default());
        assert_eq!(ids(&one.differences(None)), [0, 1, 2, 3, 5]);
        assert_eq!(ids(&one.differences(Some(&one))), [0; 0]);
        assert_eq!(ids(&fix(1.5, None, still, 8).differences(Some(&one))), [0, 5, 2]);
    }

    #[test]
    fn a_fix_with_an_impossible_value_is_none() {
        let place = Place::new(1.0, 2.0, None).unwrap();
        let motion = |speed, bearing, climb| Motion { speed, bearing, climb };
        let rows = [
            (Some(-1.0), Motion::default()),
            (Some(f64::INFINITY), Motion::default()),
            (None, motion(Some(-0.1), None, None)),
            (None, motion(Some(f64::NAN), None, None)),
            (None, motion(None, Some(361.0), None)),
            (None, motion(None, None, Some(-1e6))),
        ];
        for (radius, motion) in rows {
            let fix = Fix::new(place, Accuracy { radius }, motion, 0);
            assert_eq!(fix, None, "{radius:?} {motion:?}");
        }
    }
}
