//! Arguments of Execute (Core 6.4): `5`, `2='10.3'`, `0='U',3`.

use std::fmt;

/// The argument list of an Execute; each digit at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments(Vec<Argument>);

/// One argument: a digit and, if it has one, its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// 0..=9.
    pub digit: u8,
    /// Text between the quotes.
    pub value: Option<String>,
}

impl Arguments {
    /// Parses an argument list; empty text is the empty list.
    ///
    /// Blanks after a comma and inside quotes are accepted, since an official
    /// example has them.
    ///
    /// # Errors
    /// [`ArgumentsError`] for anything else outside the grammar and for a digit
    /// that comes twice (CORE-141).
    pub fn parse(text: &str) -> Result<Self, ArgumentsError> {
        let mut arguments = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (argument, after) = parse_one(rest)?;
            if arguments.0.iter().any(|known| known.digit == argument.digit) {
                return Err(ArgumentsError::Repeated(argument.digit));
            }
            arguments.0.push(argument);
            rest = match after.strip_prefix(',') {
                Some(next) if next.trim_start_matches(' ').is_empty() => {
                    return Err(ArgumentsError::Grammar);
                }
                Some(next) => next.trim_start_matches(' '),
                None if after.is_empty() => after,
                None => return Err(ArgumentsError::Grammar),
            };
        }
        Ok(arguments)
    }

    /// The arguments in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &Argument> {
        self.0.iter()
    }

    /// The argument with this digit.
    pub fn get(&self, digit: u8) -> Option<&Argument> {
        self.0.iter().find(|argument| argument.digit == digit)
    }

    /// True without any argument.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, argument) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            match &argument.value {
                Some(value) => write!(f, "{}='{value}'", argument.digit)?,
                None => write!(f, "{}", argument.digit)?,
            }
        }
        Ok(())
    }
}

/// Why a text is no argument list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentsError {
    /// Outside the grammar of Core 6.4.
    #[error("arguments look like 0='U',3: a digit, then perhaps = and a quoted value")]
    Grammar,
    /// A digit comes twice.
    #[error("argument {0} is given twice")]
    Repeated(u8),
}

fn parse_one(text: &str) -> Result<(Argument, &str), ArgumentsError> {
    let mut chars = text.chars();
    let digit = chars
        .next()
        .and_then(|first| first.to_digit(10))
        .and_then(|digit| u8::try_from(digit).ok())
        .ok_or(ArgumentsError::Grammar)?;
    let rest = chars.as_str();
    let Some(quoted) = rest.strip_prefix("='") else {
        return Ok((Argument { digit, value: None }, rest));
    };
    let (value, after) = quoted.split_once('\'').ok_or(ArgumentsError::Grammar)?;
    if !value.chars().all(is_value_char) {
        return Err(ArgumentsError::Grammar);
    }
    Ok((Argument { digit, value: Some(value.to_owned()) }, after))
}

/// "!" / %x23-26 / %x28-5B / %x5D-7E, and the blank.
fn is_value_char(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '"' | '\'' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CORE-141.
    #[test]
    fn lists_of_the_grammar_parse_and_print() {
        for text in ["", "5", "2='10.3'", "0='U',3", "0,1,2,3,4", "7='a b'", "1=''"] {
            assert_eq!(Arguments::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Arguments::parse("0='U', 3").unwrap().to_string(), "0='U',3");
    }

    /// CORE-141.
    #[test]
    fn anything_else_is_refused() {
        for text in [
            "0=1",
            "10='x'",
            "0=\"x\"",
            "a",
            ",",
            "0,",
            "0, ",
            "0='x",
            "0='x'y",
            "0=",
            "0='\\'",
            "0='\u{e9}'",
        ] {
            assert_eq!(Arguments::parse(text), Err(ArgumentsError::Grammar), "{text}");
        }
        for text in ["0,0", "1='a',1='b'"] {
            assert!(matches!(Arguments::parse(text), Err(ArgumentsError::Repeated(_))), "{text}");
        }
    }
}
