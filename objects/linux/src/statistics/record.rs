//! What is kept of a collection across a restart of the agent.
//!
//! The counters of the kernel go on while the agent is away, so the bases of the last
//! record and a look at the links give the sums. It is written when the collection begins
//! and ends, when the period is set, and when a base is void; not for each look.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::collection::Collection;
use crate::Roots;
use crate::durable::{read_record, write_record};
use crate::sources::text;

/// Where it is kept, and for which boot: the counters of another are gone.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    path: PathBuf,
    boot: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    boot: Option<String>,
    collection: Collection,
}

impl Keeper {
    /// Keeps it in the state directory.
    pub(super) fn new(state: &Path, roots: &Roots) -> Self {
        let boot = text::line(&roots.proc.join("sys/kernel/random/boot_id"));
        Self { path: state.join("connectivity-statistics"), boot }
    }

    /// What the last run of the agent has left; only the period where that was another
    /// boot, or the boots cannot be told apart. A record that cannot be used is none.
    pub(super) fn load(&self) -> Collection {
        let record: Record = match read_record(&self.path) {
            Ok(Some(record)) => record,
            Ok(None) => return Collection::default(),
            Err(error) => {
                tracing::warn!("{}: {error}; the counters begin at zero", self.path.display());
                return Collection::default();
            }
        };
        if self.boot.is_some() && record.boot == self.boot {
            return record.collection;
        }
        Collection { period: record.collection.period, ..Collection::default() }
    }

    /// Writes it; durable when it returns. Blocks.
    ///
    /// # Errors
    /// Those of the system; what was kept before is kept still.
    pub(super) fn save(&self, collection: Collection) -> io::Result<()> {
        let record = Record { boot: self.boot.clone(), collection };
        write_record(&self.path, &record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::network::Traffic;
    use crate::statistics::gauge::Reading;

    fn readings(sent: u64) -> Vec<Reading> {
        let traffic = Traffic { sent, ..Traffic::default() };
        vec![Reading { link: 2, is_hardware: true, traffic, header: 0 }]
    }

    #[test]
    fn a_collection_goes_on_after_a_restart_and_not_after_a_boot() {
        let root = tempfile::tempdir().unwrap();
        let roots = Roots::below(root.path());
        let boot = |id: &str| {
            let folder = roots.proc.join("sys/kernel/random");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("boot_id"), id).unwrap();
            Keeper::new(root.path(), &roots)
        };
        let now = std::time::Duration::from_secs(9);
        let mut collection = Collection { period: 60, ..Collection::default() };
        collection.start(&readings(5_000), now);
        let keeper = boot("one\n");
        assert_eq!(keeper.load(), Collection::default());
        keeper.save(collection.clone()).unwrap();
        // Looks of which there is no record: the next one makes up for them.
        let mut loaded = boot("one\n").load();
        assert_eq!(loaded, collection);
        collection.look(Some(&readings(7_000)), now);
        loaded.look(Some(&readings(8_000)), now);
        assert_eq!(loaded.counters.sent(), 3);

        let only_period = Collection { period: 60, ..Collection::default() };
        assert_eq!(boot("two\n").load(), only_period);
        // No boot has a name.
        boot("").save(collection).unwrap();
        assert_eq!(boot("").load(), only_period);
        for nonsense in ["", "{}", "[]", r#"{"collection":{"period":-1}}"#] {
            std::fs::write(&keeper.path, nonsense).unwrap();
            assert_eq!(keeper.load(), Collection::default(), "{nonsense}");
        }
    }
}
