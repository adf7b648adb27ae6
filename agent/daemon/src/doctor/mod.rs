//! `Diagnose`: what stands between this device and its servers, cause before
//! consequence.
//!
//! 1. The files of the configuration, and the keys they name, are read again.
//! 2. The clock and the store are looked at.
//! 3. For each server: its name, the way to it, and what the agent has met there.
//! 4. The services of the bus are asked what they would let the agent do.

mod rights;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use lwm2m_bus::{AgentStatus, Finding, ServerStatus};
use lwm2m_objects::BusHandle;
use lwm2m_transport::{LinkSecurity, clock};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config;
use crate::loaded::Loaded;

/// What has to be known of an agent beforehand.
#[derive(Debug)]
pub(crate) struct Patient {
    /// The main file of the configuration.
    pub(crate) config: PathBuf,
    /// RAUC installs packages.
    pub(crate) uses_rauc: bool,
}

/// Who looks.
#[derive(Debug)]
pub(crate) struct Doctor {
    patient: Patient,
    bus: BusHandle,
    /// One diagnosis at a time: each may leave lookups behind that nobody answers.
    busy: Mutex<()>,
}

impl Doctor {
    /// One that asks the services on `bus`.
    pub(crate) fn new(patient: Patient, bus: BusHandle) -> Self {
        Self { patient, bus, busy: Mutex::new(()) }
    }

    /// Looks at everything; `agent` and `servers` are how things stand.
    pub(crate) async fn examine(
        &self,
        agent: &AgentStatus,
        servers: &[ServerStatus],
    ) -> Vec<Finding> {
        let _busy = self.busy.lock().await;
        let mut findings = self.configuration(servers);
        findings.push(clock_finding(clock::now().wall));
        findings.push(match &agent.store_error {
            None => Finding::ok("store", "what servers change is stored"),
            Some(error) => Finding::failed(
                "store",
                format!("what has changed cannot be stored: {error}"),
                "make room in the state directory, or make it writable for the user lwm2md",
            ),
        });
        let deadline = Instant::now() + NAMES_LIMIT;
        let reached = async {
            let mut found = Vec::new();
            for status in servers {
                let way = server::way_to(&status.uri, deadline).await;
                found.extend(server::findings(status, &way));
            }
            found
        };
        let (reached, rights) =
            tokio::join!(reached, rights::findings(&self.bus, self.patient.uses_rauc));
        findings.extend(reached);
        findings.extend(rights);
        findings
    }

    /// The agent runs with what it has read; what the next start or reload would read
    /// may be something else.
    fn configuration(&self, servers: &[ServerStatus]) -> Vec<Finding> {
        const AREA: &str = "configuration";
        let advice = "correct it, until lwm2md --check is content; lwm2md would not start again";
        let failed = |area, errors: &[config::ConfigError]| {
            let more = match errors.len() {
                0 | 1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            Finding::failed(area, format!("{first}{more}"), advice)
        };
        let files = match config::files(&self.patient.config).map_err(|error| vec![error]) {
            Ok(files) => files,
            Err(errors) => return vec![failed(AREA, &errors)],
        };
        if let Err(errors) = config::load(&files) {
            return vec![failed(AREA, &errors)];
        }
        let valid = Finding::ok(AREA, format!("{} is valid", self.patient.config.display()));
        match Loaded::read(&self.patient.config) {
            Err(errors) => vec![valid, failed("keys", &errors)],
            Ok(loaded) => vec![if_in_force(valid, &loaded, servers), keys(&loaded)],
        }
    }
}

/// `valid`, unless the agent runs with other servers than the file has.
fn if_in_force(valid: Finding, loaded: &Loaded, servers: &[ServerStatus]) -> Finding {
    let mut in_file: Vec<_> = loaded
        .config
        .servers
        .iter()
        .map(|server| (server.account.short_server_id, server.account.uri.as_str()))
        .collect();
    let mut in_force: Vec<_> =
        servers.iter().map(|server| (server.short_server_id, server.uri.as_str())).collect();
    in_file.sort_unstable();
    in_force.sort_unstable();
    if in_file != in_force {
        return Finding::warning(
            &valid.area,
            format!("{}, but its servers are not those that lwm2md runs with", valid.text),
            "systemctl reload lwm2md",
        );
    }
    if in_file.is_empty() {
        return Finding::failed(
            &valid.area,
            format!("{}, but names no server", valid.text),
            "add a server to it (lwm2md.yaml(5)), then systemctl reload lwm2md",
        );
    }
    valid
}

fn keys(loaded: &Loaded) -> Finding {
    let is_key = |security: &&LinkSecurity| matches!(security, LinkSecurity::Psk(_));
    let count = loaded.credentials.values().filter(is_key).count();
    Finding::ok(
        "keys",
        match count {
            0 => "no server needs one".to_owned(),
            1 => "the key of one server can be read".to_owned(),
            count => format!("the keys of {count} servers can be read"),
        },
    )
}

/// `wall` is Unix time in milliseconds, if the clock is set.
fn clock_finding(wall: Option<i64>) -> Finding {
    match wall {
        Some(_) => Finding::ok("clock", "it is set"),
        None => Finding::warning(
            "clock",
            "it was not set since power came on: values get no time, certificates are refused",
            "start a time service: systemctl enable --now systemd-timesyncd",
        ),
    }
}

/// Time for the lookups of all servers together.
const NAMES_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use lwm2m_bus::Verdict;

    use super::*;

    #[test]
    fn a_clock_that_is_not_set_is_a_warning() {
        assert_eq!(clock_finding(Some(1)).verdict(), Verdict::Ok);
        let finding = clock_finding(None);
        assert_eq!(finding.verdict(), Verdict::Warning);
        assert!(finding.advice.unwrap().contains("time service"));
    }
}
