//! Why a text is no object definition, and where in it (schema LWM2M-v1_1.xsd).

use super::MAX_DEFINITION;
use super::xml::{MAX_ATTRIBUTES, MAX_NODES};
use crate::PathError;

/// The first fault of a definition.
///
/// Who reads the text from a file puts its name in front: `PATH: line 12, column 5: ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("line {line}, column {column}: {reason}")]
pub struct DefinitionError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong there.
    pub reason: DefinitionFault,
}

/// What is wrong with a definition. Texts of it are cut to a few characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionFault {
    /// Longer than [`MAX_DEFINITION`].
    #[error("definition of {0} bytes, more than {MAX_DEFINITION}")]
    TooLong(usize),
    /// More elements, texts and comments than a definition of this size has.
    #[error("more than {MAX_NODES} elements, texts and comments")]
    TooManyNodes,
    /// More attributes at one element, or namespaces in the file, than any definition has.
    #[error("more than {MAX_ATTRIBUTES} attributes of one element or namespaces of the file")]
    TooManyAttributes,
    /// A document type declaration, which could define entities.
    #[error("a document type declaration has no place in a definition")]
    Dtd,
    /// No well-formed XML; what the parser says.
    #[error("malformed XML: {0}")]
    NotXml(String),
    /// Another root than `LWM2M`.
    #[error("expected element LWM2M, got {0:?}")]
    WrongRoot(String),
    /// More than one object.
    #[error("a file defines one object, and this is the second")]
    SecondObject,
    /// An element that the schema does not have there.
    #[error("element {element:?} has no place in {parent}")]
    Unexpected {
        /// Its name.
        element: String,
        /// What it stands in.
        parent: String,
    },
    /// An element that has to be there.
    #[error("expected element {element} in {parent}")]
    Missing {
        /// Its name.
        element: &'static str,
        /// Where it should be.
        parent: String,
    },
    /// An element for the second time.
    #[error("element {element} comes twice in {parent}")]
    Repeated {
        /// Its name.
        element: &'static str,
        /// What it stands in.
        parent: String,
    },
    /// An `Item` without identifier.
    #[error("expected attribute ID")]
    MissingId,
    /// No identifier.
    #[error(transparent)]
    BadId(#[from] PathError),
    /// The same resource for the second time.
    #[error("resource {id} is defined twice")]
    DuplicateId {
        /// Its identifier.
        id: u16,
    },
    /// Another word than the schema has for the element.
    #[error("expected {expected}, got {got:?}")]
    BadWord {
        /// What is allowed.
        expected: &'static str,
        /// What is there.
        got: String,
    },
    /// No type, though the resource has values.
    #[error("expected a type: only a resource with operation E has none")]
    NoType,
}
