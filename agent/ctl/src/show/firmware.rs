//! The firmware update in a few lines (Objects 7).

use lwm2m_bus::TypedValue;
use lwm2m_model::{Value, firmware, objects};
use serde_json::json;

use super::text::{printable, utc};

/// State, result, package and the time of the last change.
pub(crate) fn readable(values: &[TypedValue]) -> String {
    let update = Update::of(values);
    let words = |number: Option<i64>, word: Option<&str>| match (number, word) {
        (Some(number), Some(word)) => format!("{number}, {word}"),
        (Some(number), None) => number.to_string(),
        (None, _) => "unknown".into(),
    };
    let mut out = format!(
        "state    {}\nresult   {}\n",
        words(update.state, update.state.and_then(firmware::state_name)),
        words(update.result, update.result.and_then(firmware::result_meaning)),
    );
    let package = [&update.name, &update.version].map(|text| printable(text).into_owned());
    let package = package.join(" ");
    if !package.trim().is_empty() {
        out += &format!("package  {}\n", package.trim());
    }
    if let Some(date) = update.changed.and_then(utc) {
        out += &format!("since    {date}\n");
    }
    out
}

/// The same as an object.
pub(crate) fn json(values: &[TypedValue]) -> serde_json::Value {
    let update = Update::of(values);
    json!({
        "state": update.state,
        "state_name": update.state.and_then(firmware::state_name),
        "result": update.result,
        "result_meaning": update.result.and_then(firmware::result_meaning),
        "package_name": update.name,
        "package_version": update.version,
        "changed": update.changed,
    })
}

/// What the instance says of itself.
#[derive(Default)]
struct Update {
    state: Option<i64>,
    result: Option<i64>,
    name: String,
    version: String,
    /// Unix time in seconds.
    changed: Option<i64>,
}

impl Update {
    fn of(values: &[TypedValue]) -> Self {
        let mut update = Self::default();
        for entry in values.iter().filter_map(|typed| typed.to_entry().ok()) {
            let id = entry.path.resource_id();
            let Some(name) = id.and_then(|id| Some(&*objects::FIRMWARE_UPDATE.resource(id)?.name))
            else {
                continue;
            };
            match (name, entry.value()) {
                ("State", Some(Value::Integer(number))) => update.state = Some(*number),
                ("Update Result", Some(Value::Integer(number))) => update.result = Some(*number),
                ("PkgName", Some(Value::String(text))) => update.name.clone_from(text),
                ("PkgVersion", Some(Value::String(text))) => update.version.clone_from(text),
                ("Last State Change Time", Some(Value::Time(time))) => update.changed = Some(*time),
                _ => {}
            }
        }
        update
    }
}

#[cfg(test)]
mod tests {
    use lwm2m_model::{Entry, Path};

    use super::*;

    fn values(entries: Vec<(u16, Value)>) -> Vec<TypedValue> {
        let entry = |(id, value)| Entry::new(Path::resource(5, 0, id), value);
        entries.into_iter().map(|it| TypedValue::from_entry(&entry(it))).collect()
    }

    #[test]
    fn an_update_is_shown_in_words() {
        let list = values(vec![
            (3, Value::Integer(2)),
            (5, Value::Integer(8)),
            (6, Value::String("lab\u{1b}board".into())),
            (7, Value::String("2.0".into())),
            (12, Value::Time(1_795_562_544)),
        ]);
        let shown = readable(&list);
        assert!(
            shown.starts_with("state    2, Downloaded\nresult   8, update failed\n"),
            "{shown}"
        );
        assert!(shown.ends_with("since    2026-11-24 23:22:24 UTC\n"), "{shown}");
        assert!(!shown.contains('\u{1b}') && shown.contains(" 2.0\n"), "{shown:?}");
        assert_eq!(json(&list)["result_meaning"], "update failed");
    }

    #[test]
    fn numbers_of_a_later_version_are_shown_as_they_are() {
        let list = values(vec![(3, Value::Integer(7)), (5, Value::Integer(-1))]);
        assert_eq!(readable(&list), "state    7\nresult   -1\n");
        assert_eq!(readable(&[]), "state    unknown\nresult   unknown\n");
    }
}
