//! Notification attributes on D-Bus: `a{sv}`, with the names of Core 3.2.

use std::collections::HashMap;

use lwm2m_model::{Attribute, AttributeUpdate, Attributes};
use zbus::{OwnedVariant, Variant};

use crate::AgentError;

/// The attributes of an Observe as a dictionary: `u` for periods and `hqmax`, `d`
/// for thresholds, `b` for `edge` and `con`.
pub fn attributes_to_bus(attributes: &Attributes) -> HashMap<String, OwnedVariant> {
    let values: [(Attribute, Option<OwnedVariant>); 10] = [
        (Attribute::Pmin, attributes.pmin.map(Into::into)),
        (Attribute::Pmax, attributes.pmax.map(Into::into)),
        (Attribute::Gt, attributes.gt.map(Into::into)),
        (Attribute::Lt, attributes.lt.map(Into::into)),
        (Attribute::St, attributes.st.map(Into::into)),
        (Attribute::Epmin, attributes.epmin.map(Into::into)),
        (Attribute::Epmax, attributes.epmax.map(Into::into)),
        (Attribute::Edge, attributes.edge.map(Into::into)),
        (Attribute::Con, attributes.con.map(Into::into)),
        (Attribute::Hqmax, attributes.hqmax.map(Into::into)),
    ];
    values
        .into_iter()
        .filter_map(|(attribute, value)| Some((attribute.name().to_owned(), value?)))
        .collect()
}

/// Reads such a dictionary; any number type is taken where a number is due.
///
/// # Errors
/// [`AgentError::BadRequest`] for an unknown name, a value of another type, or a
/// contradiction (Core 3.4).
pub fn attributes_from_bus(
    dictionary: &HashMap<String, OwnedVariant>,
) -> Result<AttributeUpdate, AgentError> {
    let parameters = dictionary
        .iter()
        .map(|(name, value)| {
            let text = query_text(value).ok_or_else(|| {
                let name: String = name.chars().take(MAX_SHOWN).collect();
                AgentError::BadRequest(format!("attribute {name}: expected a number or a boolean"))
            })?;
            Ok(format!("{name}={text}"))
        })
        .collect::<Result<Vec<_>, AgentError>>()?;
    AttributeUpdate::parse(parameters.iter().map(String::as_str))
        .map_err(|error| AgentError::BadRequest(error.to_string()))
}

/// A value as a query writes it, so that one parser judges all.
fn query_text(value: &Variant<'_>) -> Option<String> {
    Some(match value {
        Variant::U8(number) => number.to_string(),
        Variant::I16(number) => number.to_string(),
        Variant::U16(number) => number.to_string(),
        Variant::I32(number) => number.to_string(),
        Variant::U32(number) => number.to_string(),
        Variant::I64(number) => number.to_string(),
        Variant::U64(number) => number.to_string(),
        Variant::F64(number) => number.to_string(),
        Variant::Bool(flag) => u8::from(*flag).to_string(),
        _ => return None,
    })
}

const MAX_SHOWN: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_survive_the_bus() {
        let query = "pmin=1&pmax=60&gt=50.5&lt=-42.25&st=0.5&epmin=2&epmax=3&edge=1&con=0&hqmax=4";
        let attributes = AttributeUpdate::parse(query.split('&')).unwrap().as_attributes().unwrap();
        let dictionary = attributes_to_bus(&attributes);
        assert_eq!(dictionary.len(), 10);
        let back = attributes_from_bus(&dictionary).unwrap().as_attributes().unwrap();
        assert_eq!(back, attributes);
        assert!(attributes_to_bus(&Attributes::default()).is_empty());
    }

    #[test]
    fn wrong_dictionaries_are_refused_with_the_reason() {
        let text = |value: &str| OwnedVariant::try_from(Variant::from(value)).unwrap();
        let cases: [(&str, OwnedVariant, &str); 5] = [
            ("pmin", text("1"), "attribute pmin: expected a number or a boolean"),
            ("pmin", OwnedVariant::from(-1i32), "bad value of pmin: \"-1\""),
            ("gt", OwnedVariant::from(f64::NAN), "bad value of gt: \"NaN\""),
            ("edge", OwnedVariant::from(2u32), "bad value of edge: \"2\""),
            ("dim", OwnedVariant::from(1u32), "\"dim\" is no attribute that can be written"),
        ];
        for (name, value, message) in cases {
            let dictionary = HashMap::from([(name.to_owned(), value)]);
            let error = attributes_from_bus(&dictionary).unwrap_err();
            assert_eq!(error.exit(), crate::Exit::Usage);
            assert_eq!(error.reason(), message);
        }
    }
}
