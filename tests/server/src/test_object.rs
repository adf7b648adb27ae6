//! The test object of the registry: what a server can be tried on, since it has a
//! resource of every type.

use std::sync::LazyLock;

use lwm2m_model::ObjectDef;

/// The definition of object 3442.
///
/// # Panics
/// Never: a test reads the file.
pub fn test_object() -> &'static ObjectDef {
    static DEFINITION: LazyLock<ObjectDef> = LazyLock::new(|| {
        ObjectDef::from_xml(include_str!("../../registry/3442.xml"))
            .expect("the definition in this repository is a valid one")
    });
    &DEFINITION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_the_registered_one() {
        assert_eq!((test_object().id, test_object().resources.len()), (3442, 25));
    }
}
