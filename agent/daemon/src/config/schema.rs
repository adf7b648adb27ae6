//! The JSON schema of the configuration, made from the description that checks it.

use serde_json::{Map, Value, json};

use super::keys::ROOT;
use super::shape::{Built, Field, Need, Shape};

/// The schema (JSON Schema 2020-12) of what this version takes; for editors and
/// for programs that write configurations.
pub fn schema() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "lwm2md configuration".into());
    if let Value::Object(root) = shape(&ROOT) {
        schema.extend(root);
    }
    Value::Object(schema)
}

fn shape(form: &Shape) -> Value {
    match form {
        // YAML writes a version or a serial number without quotes as a number.
        Shape::Text { max } => {
            json!({"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": max})
        }
        Shape::Secret => json!({"type": ["string", "number"], "writeOnly": true}),
        Shape::Integer { min, max } => {
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        Shape::Number { limit } => {
            json!({"type": "number", "minimum": -limit, "maximum": limit})
        }
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::Choice(words) => {
            let names = words.iter().filter(|word| word.built == Built::Here).map(|word| word.name);
            let words: Vec<Value> = names.flat_map(spellings).collect();
            json!({"enum": words})
        }
        Shape::List(element) => json!({"type": "array", "items": shape(element)}),
        Shape::Map(fields) => map(fields),
        Shape::OneOf(fields) => one_of(fields),
        Shape::TextOr { max, other } => {
            json!({"anyOf": [shape(&Shape::Text { max: *max }), one_of(other)]})
        }
    }
}

/// A word, and the number that YAML makes of it if it looks like one.
fn spellings(word: &'static str) -> impl Iterator<Item = Value> {
    let number = word.parse::<f64>().ok().map(Value::from);
    std::iter::once(Value::from(word)).chain(number)
}

fn map(fields: &[Field]) -> Value {
    let here = || fields.iter().filter(|field| field.built == Built::Here);
    let properties: Map<String, Value> = here()
        .map(|field| {
            let mut property = shape(&field.shape);
            if let Some(property) = property.as_object_mut() {
                property.insert("description".into(), field.help.into());
            }
            (field.name.to_owned(), property)
        })
        .collect();
    let required: Vec<&str> =
        here().filter(|field| field.need == Need::Required).map(|field| field.name).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let Some(schema) = schema.as_object_mut()
        && !required.is_empty()
    {
        schema.insert("required".into(), json!(required));
    }
    schema
}

fn one_of(fields: &[Field]) -> Value {
    let mut schema = map(fields);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("minProperties".into(), 1.into());
        schema.insert("maxProperties".into(), 1.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::super::tests::EXAMPLE;
    use super::*;

    /// The keywords that the schema uses, after JSON Schema 2020-12.
    fn is_valid(schema: &Value, value: &Value) -> bool {
        let Some(keywords) = schema.as_object() else { return false };
        keywords.iter().all(|(keyword, argument)| match keyword.as_str() {
            "$schema" | "title" | "description" | "writeOnly" => true,
            "type" => match argument {
                Value::Array(types) => types.iter().any(|name| has_type(name, value)),
                name => has_type(name, value),
            },
            "enum" => argument.as_array().is_some_and(|words| words.contains(value)),
            "anyOf" => argument
                .as_array()
                .is_some_and(|forms| forms.iter().any(|form| is_valid(form, value))),
            "minimum" => value.as_f64().is_none_or(|number| argument.as_f64() <= Some(number)),
            "maximum" => value.as_f64().is_none_or(|number| argument.as_f64() >= Some(number)),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= size(argument)),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= size(argument)),
            "minProperties" => {
                value.as_object().is_none_or(|map| map.len() as u64 >= size(argument))
            }
            "maxProperties" => {
                value.as_object().is_none_or(|map| map.len() as u64 <= size(argument))
            }
            "items" => {
                value.as_array().is_none_or(|list| list.iter().all(|item| is_valid(argument, item)))
            }
            "properties" => value.as_object().is_none_or(|map| {
                map.iter()
                    .all(|(key, value)| argument.get(key).is_none_or(|form| is_valid(form, value)))
            }),
            "additionalProperties" => value
                .as_object()
                .is_none_or(|map| map.keys().all(|key| keywords["properties"].get(key).is_some())),
            "required" => value.as_object().is_none_or(|map| {
                argument.as_array().is_some_and(|keys| {
                    keys.iter().all(|key| key.as_str().is_some_and(|key| map.contains_key(key)))
                })
            }),
            other => panic!("the schema has a keyword that this test does not know: {other}"),
        })
    }

    fn has_type(name: &Value, value: &Value) -> bool {
        match name.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => false,
        }
    }

    fn size(argument: &Value) -> u64 {
        argument.as_u64().unwrap_or(u64::MAX)
    }

    fn example() -> Value {
        serde_saphyr::from_str(EXAMPLE).unwrap()
    }

    #[test]
    fn the_schema_takes_the_example_of_the_documentation() {
        assert!(is_valid(&schema(), &example()));
    }

    #[test]
    fn the_schema_refuses_what_the_daemon_refuses() {
        let cases: [(&str, Value); 10] = [
            ("/endpoint", json!("")),
            ("/lwm2m_version", json!("1.3")),
            ("/deregister_on_stop", json!("no")),
            ("/servers", json!({})),
            ("/servers/0/short_server_id", json!(65_535)),
            ("/servers/0/lifetime", json!(1.5)),
            ("/servers/0/security/mode", json!("x509")),
            ("/servers/0/security/key", json!({"file": "a", "credential": "b"})),
            ("/objects/device", json!({"colour": "red"})),
            ("/objects/location", json!({"source": "fixed", "latitude": 90.5})),
        ];
        for (place, value) in cases {
            let mut wrong = example();
            *wrong.pointer_mut(place).unwrap() = value;
            assert!(!is_valid(&schema(), &wrong), "{place}");
        }
        let mut unknown = example();
        unknown["bootstrap"] = json!({});
        assert!(!is_valid(&schema(), &unknown));
    }
}
