//! The line that the journal gets for each State and each Update Result.

use lwm2m_model::firmware;

use crate::resource::{STATE, UPDATE_RESULT, path};
use crate::{Record, UpdateResult};

/// One line for the operator, with the cause of a failure, and in the journal the
/// fields `LWM2M_PATH` and `LWM2M_RESULT`.
pub(crate) fn log(record: &Record, cause: Option<&str>) {
    let result = record.result.number();
    let state = firmware::state_name(record.state.number()).unwrap_or_default();
    let meaning = firmware::result_meaning(result).unwrap_or_default();
    let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("firmware update: {state}, result {result} ({meaning}){cause}");
    match record.result {
        UpdateResult::Initial => {
            let (message_id, path) = (STATE_MESSAGE_ID, path(STATE));
            tracing::info!(message_id, %path, result, "{text}");
        }
        UpdateResult::Success | UpdateResult::Cancelled | UpdateResult::Deferred => {
            let (message_id, path) = (RESULT_MESSAGE_ID, path(UPDATE_RESULT));
            tracing::info!(message_id, %path, result, "{text}");
        }
        UpdateResult::NoSpace
        | UpdateResult::OutOfMemory
        | UpdateResult::ConnectionLost
        | UpdateResult::Integrity
        | UpdateResult::UnsupportedPackage
        | UpdateResult::InvalidUri
        | UpdateResult::Failed
        | UpdateResult::UnsupportedScheme => {
            let (message_id, path) = (RESULT_MESSAGE_ID, path(UPDATE_RESULT));
            tracing::warn!(message_id, %path, result, "{text}");
        }
    }
}

/// `MESSAGE_ID` of a new State (`/5/0/3`) without a result.
pub const STATE_MESSAGE_ID: &str = "b64182491ce84680a44d7f2327bb40a0";
/// `MESSAGE_ID` of an Update Result (`/5/0/5`); which one says `LWM2M_RESULT`.
pub const RESULT_MESSAGE_ID: &str = "92cfe474a0ea48cfb6698885ee0ed59f";

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    use super::*;

    /// What the journal would get.
    #[derive(Default, Clone)]
    struct Journal(Arc<Mutex<Vec<(Level, String)>>>);

    #[derive(Default)]
    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0 += &format!("{}={value:?} ", field.name());
        }
    }

    impl<S: Subscriber> Layer<S> for Journal {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push((*event.metadata().level(), fields.0));
        }
    }

    /// Each Update Result of Objects 7 is one line, found by its number.
    #[test]
    fn each_result_is_one_line_with_its_cause_and_its_fields() {
        use UpdateResult::*;
        let results = [
            Initial,
            Success,
            NoSpace,
            OutOfMemory,
            ConnectionLost,
            Integrity,
            UnsupportedPackage,
            InvalidUri,
            Failed,
            UnsupportedScheme,
            Cancelled,
            Deferred,
        ];
        // None is left out.
        assert_eq!(firmware::result_meaning(results.len() as i64), None);
        for (number, result) in (0..).zip(results) {
            assert_eq!(result.number(), number);
            let journal = Journal::default();
            let subscriber = tracing_subscriber::registry().with(journal.clone());
            let record = Record { result, ..Record::default() };
            tracing::subscriber::with_default(subscriber, || log(&record, Some("why")));
            let lines = journal.0.lock().unwrap();
            let [(level, line)] = lines.as_slice() else { panic!("{number}: {lines:?}") };
            let (id, path) = match number {
                0 => (STATE_MESSAGE_ID, "/5/0/3"),
                _ => (RESULT_MESSAGE_ID, "/5/0/5"),
            };
            let expected = match number {
                0 | 1 | 10 | 11 => Level::INFO,
                _ => Level::WARN,
            };
            assert_eq!(*level, expected, "{number}");
            for part in [
                format!("message_id=\"{id}\""),
                format!("path={path} "),
                format!("result={number} "),
                ": why".into(),
            ] {
                assert!(line.contains(&part), "{part} in {line}");
            }
        }
    }
}
