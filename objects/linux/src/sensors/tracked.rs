//! One instance: a sensor and what was measured with it.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_model::{Path, Value};
use tokio::time::Instant;

use super::resource::{
    APPLICATION_TYPE, HIGHEST_MEASURED, LOWEST_MEASURED, RESET, TIMESTAMP, UNITS, VALUE, unit,
};
use crate::content::Content;
use crate::sources::sensor::Sensor;

/// A sensor that has an instance.
pub(super) struct Tracked {
    pub(super) sensor: Arc<Sensor>,
    /// What the last look gave, and when that was: Unix time in milliseconds, if the
    /// clock was set.
    value: Option<f64>,
    wall: Option<i64>,
    /// The lowest and the highest value since the start or the last reset.
    extremes: Option<(f64, f64)>,
    /// What the last sample gave, to tell what differs. Reads in between do not count:
    /// nobody who observes has seen their answers.
    sampled: Option<Option<f64>>,
    /// When it is to be sampled, while it is observed.
    pub(super) due: Option<Instant>,
}

impl Tracked {
    /// Nothing is measured yet.
    pub(super) fn new(sensor: Sensor) -> Self {
        let sensor = Arc::new(sensor);
        Self { sensor, value: None, wall: None, extremes: None, sampled: None, due: None }
    }

    /// Takes what a look gave.
    pub(super) fn take(&mut self, value: Option<f64>, wall: Option<i64>) {
        (self.value, self.wall) = (value, wall);
        if let Some(value) = value {
            let (lowest, highest) = self.extremes.unwrap_or((value, value));
            self.extremes = Some((lowest.min(value), highest.max(value)));
        }
    }

    /// Counts the last look as a sample; true if it differs from the one before. The
    /// first differs: what was before it nobody knows.
    pub(super) fn sample(&mut self) -> bool {
        self.sampled.replace(self.value) != Some(self.value)
    }

    /// Plans the next sample, or none while nobody observes.
    pub(super) fn plan(&mut self, interval: Option<Duration>) {
        match interval {
            Some(interval) => {
                let next = Instant::now() + interval;
                self.due = Some(self.due.map_or(next, |planned| planned.min(next)));
            }
            None => (self.due, self.sampled) = (None, None),
        }
    }

    /// Begins anew with the last value as the lowest and the highest.
    pub(super) fn reset(&mut self) {
        self.extremes = self.value.map(|value| (value, value));
    }

    /// What stands in the resources of the instance `at`.
    ///
    /// Min and Max Range Value (5603, 5604) are absent: the kernel tells limits for
    /// alarms and ratings, not what a sensor can measure.
    pub(super) fn contents(&self, at: &Path) -> Vec<(Path, Content)> {
        let single = |value| Some(Content::Single(value));
        let text = |text: &str| single(Value::String(text.to_owned()));
        let seconds = self.value.and(self.wall).map(|wall| wall.div_euclid(1000));
        [
            (TIMESTAMP, seconds.map(|seconds| Content::Single(Value::Time(seconds)))),
            (LOWEST_MEASURED, self.extremes.and_then(|(lowest, _)| single(Value::Float(lowest)))),
            (
                HIGHEST_MEASURED,
                self.extremes.and_then(|(_, highest)| single(Value::Float(highest))),
            ),
            (RESET, Some(Content::Unreadable)),
            (VALUE, self.value.and_then(|value| single(Value::Float(value)))),
            (UNITS, text(unit(self.sensor.quantity))),
            (APPLICATION_TYPE, text(&self.sensor.name)),
        ]
        .into_iter()
        .filter_map(|(id, content)| Some((at.child(id).ok()?, content?)))
        .collect()
    }
}
