//! Unsigned decimal numbers as every grammar here has them: digits, and nothing else.

use std::str::FromStr;

/// The number that `text` is; `None` with a leading plus, which the standard library
/// takes, and for a number that the type cannot hold.
pub(crate) fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
