//! What is asked before something is done that cannot be undone.

use std::io::{self, IsTerminal, Write};

use crate::error::CtlError;

/// Asks a person on the terminal.
///
/// # Errors
/// [`CtlError::Usage`] where there is no terminal, [`CtlError::Declined`] for every answer
/// but `y` or `yes`.
pub(crate) fn ask(question: &str) -> Result<(), CtlError> {
    if !io::stdin().is_terminal() {
        let message = "there is no terminal to ask on; say --yes if it is meant";
        return Err(CtlError::Usage(message.into()));
    }
    // Standard output is for results.
    write!(io::stderr(), "{question} [y/N] ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if is_yes(&answer) { Ok(()) } else { Err(CtlError::Declined) }
}

fn is_yes(answer: &str) -> bool {
    let answer = answer.trim();
    answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for answer in ["y\n", "Y", " yes \n", "YES\n"] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "no\n", "ye\n", "yess\n", "y y\n", "j\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
