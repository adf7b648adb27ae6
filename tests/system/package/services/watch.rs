//! What a server is told of a path that it observes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use lwm2m_model::{Entry, Path, Value};
use lwm2m_test_server::Observation;

use crate::device::Device;

/// An observation, and what it told last.
pub(super) struct Watch<'a> {
    device: &'a Device,
    observation: Observation,
    entries: Vec<Entry>,
}

/// What a resource is to hold: its number and its values, ascending by their instance
/// and with a space between; nothing where it is absent or empty.
pub(super) type Held = (u16, &'static str);

impl<'a> Watch<'a> {
    /// Observes `path` with a `pmin` of [`PMIN`].
    pub(super) async fn new(device: &'a Device, path: Path) -> Result<Self> {
        let observation = device.observe(&path, &[&format!("pmin={}", PMIN.as_secs())]).await?;
        let entries = observation.first.entries.clone();
        let mut watch = Self { device, observation, entries };
        // The first notification may come as soon as it may after the answer.
        tokio::time::sleep(PMIN).await;
        while let Some(told) = watch.observation.try_next() {
            watch.entries = told.entries;
        }
        Ok(watch)
    }

    /// What it was told since it was asked last, each as [`Held`] has it.
    pub(super) fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(next) = self.observation.try_next() {
            let id = self.observation.path.resource_id().unwrap_or_default();
            told.push(shown(&next.entries, id));
            self.entries = next.entries;
        }
        told
    }

    /// Waits until it was told all of `expected`; how long that took.
    pub(super) async fn until(&mut self, expected: &[Held]) -> Result<Duration> {
        let begun = Instant::now();
        while !expected.iter().all(|(id, held)| shown(&self.entries, *id) == *held) {
            let left = LIMIT.saturating_sub(begun.elapsed());
            let Ok(told) = self.observation.next_within(left).await else {
                let path = &self.observation.path;
                let log = self.device.run("journalctl --no-pager -u lwm2md -n 20 -o cat").await?;
                bail!("{path}: expected {expected:?}, last told {:?}; log:\n{log}", self.entries);
            };
            ensure!(told.number.is_some(), "{} ends: {:?}", told.path, told.code);
            self.entries = told.entries;
        }
        Ok(begun.elapsed())
    }
}

/// Runs `command` and waits until each was told what it is to be told then, which has to be
/// in time after the command has ended. How long that was, in seconds.
pub(super) async fn after(
    device: &Device,
    command: &str,
    watches: &mut [(&mut Watch<'_>, Held)],
) -> Result<f32> {
    device.run(command).await?;
    let begun = Instant::now();
    for (watch, held) in watches {
        watch.until(&[*held]).await?;
    }
    let took = begun.elapsed();
    ensure!(took <= LATEST, "{command}: told only after {took:?}");
    Ok(took.as_secs_f32())
}

/// How soon the first and the last of several was told, for people.
pub(super) fn span(seconds: &[f32]) -> String {
    let least = seconds.iter().copied().fold(f32::INFINITY, f32::min);
    let most = seconds.iter().copied().fold(0.0, f32::max);
    format!("{least:.1} to {most:.1} s later")
}

/// The values of a resource as [`Held`] has them.
fn shown(entries: &[Entry], id: u16) -> String {
    let mut found: Vec<&Entry> =
        entries.iter().filter(|entry| entry.path.resource_id() == Some(id)).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    let values = found.iter().filter_map(|entry| entry.value()).map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    values.collect::<Vec<_>>().join(" ")
}

/// The least time between two notifications of an observation.
pub(super) const PMIN: Duration = Duration::from_secs(1);
/// When a notification has to be there: `pmin`, what the agent waits for changes to
/// settle, and as much again for a busy machine.
const LATEST: Duration = Duration::from_secs(3);
/// Gives up.
const LIMIT: Duration = Duration::from_secs(30);
