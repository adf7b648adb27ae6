#![no_main]

//! What loads is a definition that the rest of the agent can rely on, and what does
//! not has a place and a short reason.

use lwm2m_model::{DataType, MAX_DEFINITION, ObjectDef, Operations, Range};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match ObjectDef::from_xml(text) {
        Ok(definition) => {
            assert_ne!(definition.id, u16::MAX);
            assert!(!definition.resources.is_empty());
            assert!(definition.resources.is_sorted_by(|a, b| a.id < b.id));
            for resource in &*definition.resources {
                assert_eq!(definition.resource(resource.id), Some(resource));
                assert_ne!(resource.id, u16::MAX);
                let executed = resource.operations == Operations::E;
                assert_eq!(executed, resource.data_type == DataType::None);
                match &resource.range {
                    Range::Any => {}
                    Range::Number { min, max } => assert!(min <= max && max.is_finite()),
                    Range::Length { min, max } => assert!(min <= max),
                    Range::Lengths(lengths) => assert!(lengths.len() > 1),
                }
            }
        }
        Err(error) => {
            assert!(text.len() <= MAX_DEFINITION || error.column == 1);
            let line = text.split('\n').nth(error.line as usize - 1).unwrap();
            assert!((1..=line.chars().count() + 1).contains(&(error.column as usize)));
            assert!(error.to_string().len() < 1024);
        }
    }
});
