//! Values for resources that nobody has set.

use lwm2m_model::{DataType, ObjectLink, Range, ResourceDef, Value};

/// The neutral value of a type: zero, empty, false, the null link; `None` for what
/// holds no value.
pub(crate) fn neutral(data_type: DataType) -> Option<Value> {
    Some(match data_type {
        DataType::String => Value::String(String::new()),
        DataType::Integer => Value::Integer(0),
        DataType::Unsigned => Value::Unsigned(0),
        DataType::Float => Value::Float(0.0),
        DataType::Boolean => Value::Boolean(false),
        DataType::Opaque => Value::Opaque(Vec::new()),
        DataType::Time => Value::Time(0),
        DataType::Objlnk => Value::Objlnk(ObjectLink::NULL),
        DataType::Corelnk => Value::Corelnk(String::new()),
        DataType::None => return None,
    })
}

/// The value nearest to the neutral one that the range of the resource allows.
pub(crate) fn default(resource: &ResourceDef) -> Option<Value> {
    let value = neutral(resource.data_type)?;
    let length = match &resource.range {
        Range::Number { min, max } => return Some(nearest(value, *min, *max)),
        Range::Length { min, .. } => *min,
        Range::Lengths(lengths) => lengths.first().copied().unwrap_or(0),
        _ => 0,
    };
    Some(match value {
        Value::String(_) => Value::String("0".repeat(length)),
        Value::Opaque(_) => Value::Opaque(vec![0; length]),
        value => value,
    })
}

fn nearest(value: Value, min: f64, max: f64) -> Value {
    let number = 0.0_f64.max(min).min(max);
    match value {
        Value::Integer(_) => Value::Integer(number as i64),
        Value::Unsigned(_) => Value::Unsigned(number as u64),
        Value::Float(_) => Value::Float(number),
        value => value,
    }
}

#[cfg(test)]
mod tests {
    use lwm2m_model::objects;

    use super::*;

    #[test]
    fn defaults_are_of_their_type_and_in_their_range() {
        let resources = [&objects::SECURITY, &objects::SERVER, &objects::DEVICE]
            .into_iter()
            .flat_map(|object| object.resources.iter());
        for resource in resources {
            let Some(value) = default(resource) else {
                assert!(resource.operations.executable(), "{}", resource.name);
                continue;
            };
            assert_eq!(value.data_type(), resource.data_type, "{}", resource.name);
            assert_eq!(resource.range.check(&value), Ok(()), "{}", resource.name);
        }
    }
}
