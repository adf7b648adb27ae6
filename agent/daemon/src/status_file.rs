//! `status.json` in the runtime directory, for images without D-Bus tools.
//!
//! Written when something happens to a registration, never by a timer.

use std::path::PathBuf;

use crate::systemd::first_directory;
use lwm2m_engine::{Event, Status};
use serde_json::json;
use tracing::warn;

use crate::convert;

/// The file, if there is a runtime directory.
pub(crate) struct StatusFile {
    path: Option<PathBuf>,
}

impl StatusFile {
    /// The file in systemd's `RUNTIME_DIRECTORY`; without one nothing is written.
    pub(crate) fn from_environment() -> Self {
        let directories = std::env::var_os("RUNTIME_DIRECTORY").unwrap_or_default();
        Self { path: first_directory(&directories).map(|directory| directory.join(NAME)) }
    }

    /// True if the event changes what the file says.
    pub(crate) fn concerns(event: &Event) -> bool {
        !matches!(event, Event::Message(_) | Event::Refused { .. } | Event::Done { .. })
    }

    /// Writes the state, all of it or nothing.
    pub(crate) fn write(&mut self, status: &Status, now: lwm2m_model::Instant) {
        let Some(path) = &self.path else { return };
        let servers: Vec<serde_json::Value> = convert::servers(status, now)
            .into_iter()
            .map(|server| {
                json!({
                    "short_server_id": server.short_server_id,
                    "uri": server.uri,
                    "state": server.state,
                    "version": server.version,
                    "location": server.location,
                    "lifetime": server.lifetime,
                    "queue_mode": server.queue_mode,
                    "next_in": server.next_in,
                    "last_error": server.last_error,
                    "observations": server.observations,
                })
            })
            .collect();
        let document = json!({
            "endpoint": status.endpoint,
            "store_error": status.not_persisted,
            "servers": servers,
        });
        let beside = path.with_extension("json.new");
        let written = std::fs::write(&beside, format!("{document:#}\n"))
            .and_then(|()| std::fs::rename(&beside, path));
        if let Err(error) = written {
            warn!("cannot write {}: {error}", path.display());
            self.path = None; // said once; the next start tries again
        }
    }

    /// Takes the file away: a stopped agent has no state.
    pub(crate) fn remove(&mut self) {
        let Some(path) = self.path.take() else { return };
        if let Err(error) = std::fs::remove_file(&path) {
            warn!("cannot remove {}: {error}", path.display());
        }
    }
}

const NAME: &str = "status.json";
