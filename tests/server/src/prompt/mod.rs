//! The prompt: a language of one-line commands, as a person types them and as
//! scripts hold them.
//!
//! [`parse`] makes a [`Command`] of a line, a [`Session`] runs it. A program with
//! commands of its own tries [`parse`] for every line that is none of them.

mod command;
mod interact;
mod session;
mod show;
mod words;

pub use command::{COMMANDS, Command, Condition, PromptError, Usage, nearest, parse};
pub use interact::interact;
pub use session::{Flow, Outcome, PATIENCE, Session};
pub use show::{event, registration};

pub(crate) use show::{code as show_code, notification as show_notification};
pub(crate) use words::format_named;
