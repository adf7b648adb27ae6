//! Values with the names and units of their definitions.

use lwm2m_bus::TypedValue;
use lwm2m_model::{Entry, Path, ResourceDef, Value, objects};
use serde_json::json;

use super::text::{columns, printable, utc};

/// Path, name, and value with its unit in columns.
pub(crate) fn table(values: &[TypedValue]) -> String {
    columns(&values.iter().map(row).collect::<Vec<_>>())
}

/// One notification: a line a value; several are set off by an empty line.
pub(crate) fn notification(values: &[TypedValue]) -> String {
    let mut out = table(values);
    if values.len() > 1 {
        out.push('\n');
    }
    out
}

/// An array of objects with path, name, type, value and unit.
pub(crate) fn json(values: &[TypedValue]) -> serde_json::Value {
    values.iter().map(value_json).collect()
}

/// Path, name, value with its unit. A column of its own for the unit would stand behind the
/// longest of all values, out of sight.
pub(crate) fn row(typed: &TypedValue) -> [String; 3] {
    match typed.to_entry() {
        Ok(entry) => {
            let definition = definition(&entry.path);
            let value = entry.value().map(for_people).unwrap_or_else(|| "(empty)".into());
            let value = match unit(&entry, definition) {
                "" => value,
                unit => format!("{value} {unit}"),
            };
            let name = definition.map(|resource| resource.name.to_string()).unwrap_or_default();
            [entry.path.to_string(), name, value]
        }
        // A daemon newer than we are may have types that we do not know.
        Err(error) => [
            printable(&typed.path).into_owned(),
            String::new(),
            format!("({})", printable(&error.to_string())),
        ],
    }
}

fn value_json(typed: &TypedValue) -> serde_json::Value {
    let Ok(entry) = typed.to_entry() else {
        return json!({"path": typed.path, "type": typed.data_type, "value": null});
    };
    let mut object = json!({
        "path": entry.path.to_string(),
        "type": typed.data_type,
        "value": entry.value().map(plain_json),
    });
    let mut put = |key: &str, text: String| {
        if let Some(map) = object.as_object_mut() {
            map.insert(key.into(), text.into());
        }
    };
    let definition = definition(&entry.path);
    if let Some(resource) = definition {
        put("name", resource.name.to_string());
    }
    if !unit(&entry, definition).is_empty() {
        put("unit", unit(&entry, definition).to_owned());
    }
    if let Some(Value::Time(seconds)) = entry.value()
        && let Some(date) = utc(*seconds)
    {
        put("utc", date);
    }
    object
}

/// Numbers and booleans as such, bytes in hexadecimal, links as `66:0`.
fn plain_json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) | Value::Corelnk(text) => json!(text),
        Value::Integer(number) | Value::Time(number) => json!(number),
        Value::Unsigned(number) => json!(number),
        // JSON has no word for NaN and the infinities.
        Value::Float(number) if !number.is_finite() => json!(number.to_string()),
        Value::Float(number) => json!(number),
        Value::Boolean(flag) => json!(flag),
        Value::Opaque(_) | Value::Objlnk(_) => json!(value.to_string()),
    }
}

fn for_people(value: &Value) -> String {
    match value {
        Value::Time(seconds) => match utc(*seconds) {
            Some(date) => format!("{seconds} ({date})"),
            None => seconds.to_string(),
        },
        Value::Opaque(bytes) if bytes.is_empty() => "(no bytes)".into(),
        // Text is printed in quotes with control characters escaped.
        Value::String(_)
        | Value::Corelnk(_)
        | Value::Integer(_)
        | Value::Unsigned(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Opaque(_)
        | Value::Objlnk(_) => value.to_string(),
    }
}

fn unit<'a>(entry: &Entry, definition: Option<&'a ResourceDef>) -> &'a str {
    match (definition, entry.value()) {
        // The registry writes percent as SenML did at first.
        (Some(resource), Some(_)) if resource.unit == "/100" => "%",
        (Some(resource), Some(_)) => &resource.unit,
        _ => "",
    }
}

/// The definition of a resource of an object that every agent serves. What stands
/// behind a gateway prefix has the same definitions.
fn definition(path: &Path) -> Option<&'static ResourceDef> {
    objects::by_id(path.object_id()?)?.resource(path.resource_id()?)
}

#[cfg(test)]
mod tests {
    use lwm2m_model::ObjectLink;
    use zbus::{OwnedVariant, Variant};

    use super::*;

    fn typed(path: &str, value: Value) -> TypedValue {
        TypedValue::from_entry(&Entry::new(path.parse().unwrap(), value))
    }

    fn device() -> Vec<TypedValue> {
        vec![
            typed("/3/0/0", Value::String("ACME\u{1b}[2J".into())),
            typed("/3/0/9", Value::Integer(87)),
            typed("/3/0/13", Value::Time(1_700_000_000)),
            typed("/3999/0/5700", Value::Float(21.5)),
            typed("/3999/0/5701", Value::Opaque(vec![])),
            typed("/99/0/1", Value::Opaque(vec![0, 255])),
            typed("/99/0/2", Value::Objlnk(ObjectLink::new(66, 0))),
            TypedValue::from_entry(&Entry::empty(Path::instance(3999, 1))),
            TypedValue {
                path: "/3/0/2".into(),
                data_type: "Decimal".into(),
                value: OwnedVariant::try_from(Variant::from("1")).unwrap(),
            },
        ]
    }

    #[test]
    fn values_read_with_names_and_units() {
        assert_eq!(
            table(&device()),
            r#"
/3/0/0        Manufacturer   "ACME\u{1b}[2J"
/3/0/9        Battery Level  87 %
/3/0/13       Current Time   1700000000 (2023-11-14 22:13:20 UTC)
/3999/0/5700                 21.5
/3999/0/5701                 (no bytes)
/99/0/1                      00ff
/99/0/2                      66:0
/3999/1                      (empty)
/3/0/2                       (unknown type "Decimal")
"#
            .trim_start()
        );
    }

    #[test]
    fn json_keeps_types() {
        let lines: Vec<String> =
            device().iter().map(|value| value_json(value).to_string()).collect();
        assert_eq!(
            lines.join("\n"),
            r#"
{"name":"Manufacturer","path":"/3/0/0","type":"String","value":"ACME\u001b[2J"}
{"name":"Battery Level","path":"/3/0/9","type":"Integer","unit":"%","value":87}
{"name":"Current Time","path":"/3/0/13","type":"Time","utc":"2023-11-14 22:13:20 UTC","value":1700000000}
{"path":"/3999/0/5700","type":"Float","value":21.5}
{"path":"/3999/0/5701","type":"Opaque","value":""}
{"path":"/99/0/1","type":"Opaque","value":"00ff"}
{"path":"/99/0/2","type":"Objlnk","value":"66:0"}
{"path":"/3999/1","type":"Empty","value":null}
{"path":"/3/0/2","type":"Decimal","value":null}
"#
            .trim()
        );
    }
}
