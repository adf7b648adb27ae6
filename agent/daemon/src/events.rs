//! Engine events as log lines: what an operator reads in the journal.

use lwm2m_bus::{in_words, lifetime_in_words};
use lwm2m_engine::Event;
use lwm2m_model::Instant;
use tracing::Level;

/// The `MESSAGE_ID` of an event: fixed for each kind, so that a catalogue can
/// explain it and `journalctl MESSAGE_ID=...` finds it. `None` for kinds that are
/// not logged.
pub fn message_id(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Registered { .. } => "638b5caaee3f4dc98fc4d06869de5e13",
        Event::Resumed { .. } => "ffad86176306428db9fc04f38587c88b",
        Event::Updated { .. } => "0a6394547b854aab8e0a4ef92f30e84f",
        Event::Deregistered { .. } => "836dfc3f5bc54bf8b1ae5432f93cbda1",
        Event::AttemptFailed { .. } => "c0b238bb00d340cabf5c0e18e7eac7a4",
        Event::SteppedDown { .. } => "30e97b2d8dfe49e599c0e1a970664f32",
        Event::Asleep { .. } => "f9080ff9461f4c328359094d3167c466",
        Event::Awake { .. } => "b6dbba3891504e25bd62dcb4de74a969",
        Event::Disabled { .. } => "2a7b090f17d0489d9478c77d8e0e1656",
        Event::ObservationStarted { .. } => "86d51b2caeea4e36b1d8387e2df8501b",
        Event::ObservationEnded { .. } => "4cbf896ef78a4be093b802115f463ee2",
        Event::Refused { .. } => "ecc812cacba34f4a9eaa84e1648a4965",
        Event::Done { .. } => "e9b7051b219f4cb1a3a5605f61870b24",
        Event::StreamEnded { .. } => "35ab88c609a743ce884d7e78f10fea4c",
        Event::FactoryReset => "cf1ff1ee2b214ecdb525713d52871145",
        Event::NotPersisted { .. } => "db21974b234d45a38eb8d75b6c935074",
        _ => return None,
    })
}

/// Logs an event at `now`, with the fields `LWM2M_SERVER`, `LWM2M_PATH` and
/// `LWM2M_RESULT` where it has them.
pub fn log_event(event: &Event, now: Instant) {
    let Some(Line { level, text, server, path, result }) = line(event, now) else { return };
    let message_id = message_id(event);
    let (path, result) = (path.as_deref(), result.as_deref());
    // The level of a tracing event is part of its call site.
    match level {
        Level::WARN => tracing::warn!(message_id, server, path, result, "{text}"),
        Level::INFO => tracing::info!(message_id, server, path, result, "{text}"),
        _ => tracing::debug!(message_id, server, path, result, "{text}"),
    }
}

/// A log line before it is written.
#[derive(Debug, PartialEq)]
struct Line {
    level: Level,
    text: String,
    server: Option<u16>,
    path: Option<String>,
    result: Option<String>,
}

/// Registrations and what goes wrong are for the operator; what happens with each
/// exchange is for the integrator, since it comes by the minute.
fn line(event: &Event, now: Instant) -> Option<Line> {
    let line = |level, server: u16, text: String| Line {
        level,
        text: format!("server {server}: {text}"),
        server: Some(server),
        path: None,
        result: None,
    };
    let span = |until: Instant| in_words(until - now);
    Some(match event {
        Event::Registered { server, version, lifetime, location } => {
            let lifetime = lifetime_in_words(*lifetime);
            let text =
                format!("registered with LwM2M {version}, lifetime {lifetime}, at {location}");
            line(Level::INFO, *server, text)
        }
        Event::Resumed { server, version, lifetime, location } => {
            let lifetime = lifetime_in_words(*lifetime);
            let text = format!(
                "still registered with LwM2M {version}, lifetime {lifetime}, at {location}"
            );
            line(Level::INFO, *server, text)
        }
        Event::Updated { server } => line(Level::DEBUG, *server, "registration updated".into()),
        Event::Deregistered { server, reason } => {
            line(Level::INFO, *server, format!("no longer registered: {reason}"))
        }
        Event::AttemptFailed { server, reason, next } => {
            let next = match next {
                Some(next) => format!("next attempt in {}", span(*next)),
                None => "next attempt at once".into(),
            };
            line(Level::WARN, *server, format!("{reason}; {next}"))
        }
        Event::SteppedDown { server, version } => {
            let text = format!("refuses our LwM2M version; trying {version}");
            line(Level::INFO, *server, text)
        }
        Event::Asleep { server, until } => {
            let until = match until {
                Some(until) => format!("asleep for at most {}", span(*until)),
                None => "asleep".into(),
            };
            line(Level::DEBUG, *server, until)
        }
        Event::Awake { server } => line(Level::DEBUG, *server, "awake".into()),
        Event::Disabled { server, until } => {
            let text = format!("has disabled itself; registers again in {}", span(*until));
            line(Level::INFO, *server, text)
        }
        Event::ObservationStarted { server, path } => Line {
            path: Some(path.to_string()),
            ..line(Level::DEBUG, *server, format!("observes {path}"))
        },
        Event::ObservationEnded { server, path, reason } => Line {
            path: Some(path.to_string()),
            ..line(Level::DEBUG, *server, format!("no longer observes {path}: {reason}"))
        },
        Event::Refused { server, operation, path, error } => Line {
            path: Some(path.to_string()),
            result: Some(error.code.to_string()),
            ..line(Level::INFO, *server, format!("{operation} {path} refused with {error}"))
        },
        Event::Done { server, operation, path } => Line {
            path: Some(path.to_string()),
            ..line(Level::INFO, *server, format!("{operation} {path} done"))
        },
        Event::StreamEnded { server, path, reason } => Line {
            path: Some(path.to_string()),
            ..line(Level::INFO, *server, format!("Write {path} broke off: {reason}"))
        },
        Event::FactoryReset => Line {
            level: Level::INFO,
            text: "factory reset: what servers have written is removed".into(),
            server: None,
            path: None,
            result: None,
        },
        Event::NotPersisted { reason } => Line {
            level: Level::WARN,
            text: format!("what has changed cannot be stored: {reason}"),
            server: None,
            path: None,
            result: None,
        },
        // Messages are for `lwm2mctl monitor`.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use lwm2m_model::{Code, Path, RequestError, Version};

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    fn events() -> Vec<(Event, Level, &'static str)> {
        let server = 101;
        let path = || Path::resource(3, 0, 13);
        vec![
            (
                Event::Registered {
                    server,
                    version: Version::V1_1,
                    lifetime: 86_400,
                    location: "/rd/5a3f".into(),
                },
                Level::INFO,
                "registered with LwM2M 1.1, lifetime 1 d, at /rd/5a3f",
            ),
            (
                Event::Resumed {
                    server,
                    version: Version::V1_2,
                    lifetime: 600,
                    location: "/rd/5a3f".into(),
                },
                Level::INFO,
                "still registered with LwM2M 1.2, lifetime 10 min, at /rd/5a3f",
            ),
            (Event::Updated { server }, Level::DEBUG, "registration updated"),
            (
                Event::Deregistered { server, reason: "stopped".into() },
                Level::INFO,
                "no longer registered: stopped",
            ),
            (
                Event::AttemptFailed {
                    server,
                    reason: "register: no answer in 93 s".into(),
                    next: Some(at(1060)),
                },
                Level::WARN,
                "register: no answer in 93 s; next attempt in 60 s",
            ),
            (
                Event::AttemptFailed { server, reason: "update: 4.04".into(), next: None },
                Level::WARN,
                "update: 4.04; next attempt at once",
            ),
            (
                Event::SteppedDown { server, version: Version::V1_1 },
                Level::INFO,
                "refuses our LwM2M version; trying 1.1",
            ),
            (
                Event::Asleep { server, until: Some(at(4600)) },
                Level::DEBUG,
                "asleep for at most 1 h",
            ),
            (Event::Awake { server }, Level::DEBUG, "awake"),
            (
                Event::Disabled { server, until: at(1150) },
                Level::INFO,
                "has disabled itself; registers again in 2 min 30 s",
            ),
            (Event::ObservationStarted { server, path: path() }, Level::DEBUG, "observes /3/0/13"),
            (
                Event::ObservationEnded { server, path: path(), reason: "cancelled".into() },
                Level::DEBUG,
                "no longer observes /3/0/13: cancelled",
            ),
            (
                Event::Refused {
                    server,
                    operation: "Write",
                    path: path(),
                    error: RequestError::new(Code::METHOD_NOT_ALLOWED, "NTP sets the clock"),
                },
                Level::INFO,
                "Write /3/0/13 refused with 4.05: NTP sets the clock",
            ),
            (
                Event::Done { server, operation: "Execute", path: path() },
                Level::INFO,
                "Execute /3/0/13 done",
            ),
            (
                Event::StreamEnded { server, path: path(), reason: "silence".into() },
                Level::INFO,
                "Write /3/0/13 broke off: silence",
            ),
        ]
    }

    #[test]
    fn events_read_as_sentences_with_the_time_of_the_next_attempt() {
        for (event, level, text) in events() {
            let line = line(&event, at(1000)).unwrap();
            assert_eq!((line.level, line.server), (level, Some(101)), "{event:?}");
            assert_eq!(line.text, format!("server 101: {text}"));
        }
        let event = Event::NotPersisted { reason: "disk full".into() };
        let line = line(&event, at(1000)).unwrap();
        assert_eq!((line.level, line.server), (Level::WARN, None));
        assert_eq!(line.text, "what has changed cannot be stored: disk full");
        let line = super::line(&Event::FactoryReset, at(1000)).unwrap();
        assert_eq!((line.level, line.server), (Level::INFO, None));
        assert_eq!(line.text, "factory reset: what servers have written is removed");
    }

    #[test]
    fn every_kind_has_its_own_message_id() {
        let of_device = [Event::NotPersisted { reason: String::new() }, Event::FactoryReset];
        let mut ids: Vec<_> = events().iter().filter_map(|(event, ..)| message_id(event)).collect();
        assert_eq!(ids.len(), events().len());
        ids.extend(of_device.iter().filter_map(message_id));
        ids.extend([lwm2m_firmware::STATE_MESSAGE_ID, lwm2m_firmware::RESULT_MESSAGE_ID]);
        assert!(ids.iter().all(|id| id.len() == 32));
        // AttemptFailed is in the table twice.
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len() - 1);
    }
}
