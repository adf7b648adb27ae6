//! Says `Changed` for what is observed: from the kernel's news where there are
//! any, else from samples at the interval asked for.
//!
//! While nothing is observed no source is open and no timer runs.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::error_codes::Condition;
use super::facts::Facts;
use super::measure::Measure;
use super::resource::{
    self, AVAILABLE_POWER_SOURCES, BATTERY_LEVEL, BATTERY_STATUS, CURRENT_TIME, ERROR_CODE,
    MEMORY_FREE, POWER_SOURCE_CURRENT, POWER_SOURCE_VOLTAGE, TIMEZONE, UTC_OFFSET,
};
use crate::content::Content;
use crate::observed::at;
use crate::slots::Slots;
use crate::source::{Source, Wanted};
use crate::sources::clock::{self, ClockWatch};
use crate::sources::timezone::ZoneWatch;
use crate::sources::uevent::UeventSocket;
use crate::{ObjectMessage, Roots};

/// The observed resources, each with the shortest interval that was asked for.
pub(super) type Watched = BTreeMap<u16, Duration>;

/// The task that watches.
pub(super) struct Watcher {
    pub(super) roots: Roots,
    pub(super) facts: watch::Receiver<Facts>,
    pub(super) watched: watch::Receiver<Watched>,
    pub(super) out: mpsc::Sender<ObjectMessage>,
}

/// The open sources.
#[derive(Default)]
struct Sources {
    power: Source<UeventSocket>,
    clock: Source<ClockWatch>,
    zone: Source<ZoneWatch>,
}

/// The last sample, to tell what differs.
#[derive(Default)]
struct Samples {
    slots: Slots,
    contents: BTreeMap<u16, Sampled>,
}

/// What a resource held.
#[derive(PartialEq)]
enum Sampled {
    Content(Option<Content>),
    Conditions(Vec<Condition>),
}

impl Watcher {
    /// Watches until the object is gone.
    pub(super) async fn run(mut self) {
        let mut sources = Sources::default();
        let mut samples = Samples::default();
        let mut next_sample: Option<Instant> = None;
        let mut before = Watched::new();
        loop {
            let watched = self.watched.borrow_and_update().clone();
            sources.open_for(&watched, &self.roots);
            // What changed between the answer to the Observe and the opening of the watch
            // nobody has told. What has samples too is named by the first of them.
            for id in ZONE.into_iter().filter(|id| watched.contains_key(id)) {
                if !before.contains_key(&id) && !self.tell(id).await {
                    return;
                }
            }
            before.clone_from(&watched);
            samples.contents.retain(|resource, _| watched.contains_key(resource));
            next_sample = interval(&watched).map(|interval| {
                let next = Instant::now() + interval;
                next_sample.map_or(next, |planned| planned.min(next))
            });
            let changed: Vec<u16> = tokio::select! {
                more = self.watched.changed() => match more {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = sources.power.wait(async |socket| socket.changed(&["power_supply"]).await) => {
                    POWER.to_vec()
                }
                () = sources.clock.wait(async |clock| clock.jumped().await) => {
                    vec![CURRENT_TIME, UTC_OFFSET]
                }
                () = sources.zone.wait(async |zone| zone.changed().await) => ZONE.to_vec(),
                () = at(next_sample) => {
                    next_sample = None;
                    samples.take(&watched, &self.roots, &self.facts.borrow().clone())
                }
            };
            for id in changed.into_iter().filter(|id| watched.contains_key(id)) {
                if !self.tell(id).await {
                    return;
                }
            }
        }
    }

    /// Says that a resource may differ; false if nobody is there to hear it.
    async fn tell(&self, id: u16) -> bool {
        self.out.send(ObjectMessage::Changed(resource::path(id))).await.is_ok()
    }
}

impl Sources {
    fn open_for(&mut self, watched: &Watched, roots: &Roots) {
        let wanted = |resources: &[u16]| {
            let observed = resources.iter().any(|id| watched.contains_key(id));
            if observed { Wanted::Yes } else { Wanted::No }
        };
        self.power.set(wanted(&POWER), UeventSocket::open, "uevent socket");
        self.clock.set(wanted(&[CURRENT_TIME]), ClockWatch::open, "clock watch");
        self.zone.set(wanted(&ZONE), || ZoneWatch::open(&roots.etc), "time zone watch");
    }
}

impl Samples {
    /// Looks at the sampled resources and names those that differ. The first look
    /// names all: what was before it nobody knows.
    fn take(&mut self, watched: &Watched, roots: &Roots, facts: &Facts) -> Vec<u16> {
        let Self { slots, contents } = self;
        let mut measure = Measure::new(roots, facts, slots, clock::now().wall);
        let sampled = SAMPLED.into_iter().filter(|resource| watched.contains_key(resource));
        let differs = |resource: &u16| {
            let sample = match *resource {
                ERROR_CODE => Sampled::Conditions(measure.conditions()),
                _ => Sampled::Content(measure.content(*resource)),
            };
            let is_same = contents.get(resource) == Some(&sample);
            contents.insert(*resource, sample);
            !is_same
        };
        sampled.filter(differs).collect()
    }
}

/// Time between two samples, if anything observed needs them.
fn interval(watched: &Watched) -> Option<Duration> {
    let shortest = SAMPLED.iter().filter_map(|resource| watched.get(resource)).min();
    shortest.copied()
}

/// What may differ after news of a power supply.
const POWER: [u16; 6] = [
    AVAILABLE_POWER_SOURCES,
    POWER_SOURCE_VOLTAGE,
    POWER_SOURCE_CURRENT,
    BATTERY_LEVEL,
    ERROR_CODE,
    BATTERY_STATUS,
];
const ZONE: [u16; 2] = [UTC_OFFSET, TIMEZONE];
/// What changes without news, or without reliable news: voltages, memory, what is
/// wrong, and the offset at the turn of summer time.
const SAMPLED: [u16; 8] = [
    AVAILABLE_POWER_SOURCES,
    POWER_SOURCE_VOLTAGE,
    POWER_SOURCE_CURRENT,
    BATTERY_LEVEL,
    MEMORY_FREE,
    ERROR_CODE,
    UTC_OFFSET,
    BATTERY_STATUS,
];
#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(roots: Roots) -> (Watcher, watch::Sender<Watched>, mpsc::Receiver<ObjectMessage>) {
        let (wanted, watched) = watch::channel(Watched::new());
        let (_, facts) = watch::channel(Facts::default());
        let (out, messages) = mpsc::channel(8);
        (Watcher { roots, facts, watched, out }, wanted, messages)
    }

    fn tree(name: &str) -> Roots {
        let root = std::env::temp_dir().join(format!("lwm2m-watch-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for folder in ["proc", "etc", "sys"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        Roots::below(&root)
    }

    fn changed(resource: u16) -> Option<ObjectMessage> {
        Some(ObjectMessage::Changed(resource::path(resource)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_sampled_value_is_named_once_per_change_and_never_unwatched() {
        let roots = tree("memory");
        let memory = |kb: u32| {
            let text = format!("MemTotal: 9000 kB\nMemAvailable: {kb} kB\n");
            std::fs::write(roots.proc.join("meminfo"), text).unwrap();
        };
        memory(1000);
        let (task, wanted, mut messages) = watcher(roots.clone());
        let start = Instant::now();
        tokio::spawn(task.run());
        wanted.send_replace(Watched::from([(10, Duration::from_secs(60))]));
        assert_eq!(messages.recv().await, changed(10));
        assert_eq!(start.elapsed().as_secs(), 60);
        // Nothing for the samples that find the same value.
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert!(messages.try_recv().is_err());
        memory(900);
        assert_eq!(messages.recv().await, changed(10));
        assert_eq!(start.elapsed().as_secs(), 180);
        wanted.send_replace(Watched::new());
        memory(800);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(messages.try_recv().is_err());
        std::fs::remove_dir_all(roots.etc.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_shortest_interval_counts_for_sampled_resources_only() {
        let seconds = Duration::from_secs;
        let cases = [
            (vec![], None),
            (vec![(0, seconds(1)), (13, seconds(1)), (15, seconds(1))], None),
            (vec![(0, seconds(1)), (10, seconds(60)), (9, seconds(30))], Some(seconds(30))),
        ];
        for (watched, expected) in cases {
            assert_eq!(interval(&watched.into_iter().collect()), expected);
        }
    }

    #[tokio::test]
    async fn a_new_link_for_the_time_zone_is_named() {
        let roots = tree("zone");
        let (task, wanted, mut messages) = watcher(roots.clone());
        tokio::spawn(task.run());
        wanted.send_replace(Watched::from([(15, Duration::from_secs(3600))]));
        assert_eq!(messages.recv().await, changed(15), "as the watch opens");
        std::fs::write(roots.etc.join("other"), "x").unwrap();
        std::os::unix::fs::symlink(
            "/usr/share/zoneinfo/Europe/Berlin",
            roots.etc.join("localtime"),
        )
        .unwrap();
        assert_eq!(messages.recv().await, changed(15));
        std::fs::remove_dir_all(roots.etc.parent().unwrap()).unwrap();
    }

    /// What changes after the answer to an Observe and before the watch is open is told.
    #[tokio::test(start_paused = true)]
    async fn a_time_zone_that_changes_as_an_observe_begins_is_named() {
        let roots = tree("race");
        let (task, wanted, mut messages) = watcher(roots.clone());
        let hour = Duration::from_secs(3600);
        wanted.send_replace(Watched::from([(15, hour)]));
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Asia/Tokyo", roots.etc.join("localtime"))
            .unwrap();
        tokio::spawn(task.run());
        let mut next = async || {
            tokio::time::timeout(Duration::from_secs(60), messages.recv()).await.unwrap_or_default()
        };
        assert_eq!(next().await, changed(15));
        // The watch is open, but nobody wanted this one until now.
        wanted.send_replace(Watched::from([(14, hour), (15, hour)]));
        assert_eq!(next().await, changed(14));
        wanted.send_replace(Watched::from([(14, hour), (15, hour * 2)]));
        assert_eq!(next().await, None, "once");
        std::fs::remove_dir_all(roots.etc.parent().unwrap()).unwrap();
    }
}
