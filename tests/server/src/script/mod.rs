//! Scripts: a prompt session in a file, with what is expected of it.
//!
//! One line each; `#` begins a comment line. A line is a command of the prompt
//! ([`crate::prompt`], and what the program adds), or an expectation on what the
//! command above it gave:
//!
//! | Line | Holds if |
//! |---|---|
//! | `expect 2.05` | the answer has this code |
//! | `expect /3/0/16 = "U"` | this value came; also `!=`, and `<` `<=` `>` `>=` for numbers |
//! | `expect /3/0/9 present` | a value at or below the path came |
//! | `expect /3/0/9 absent` | none came |
//! | `expect link /3/0/7 pmin=1` | a Discover has the link, with these parameters |
//! | `expect link /3/0/9 absent` | a Discover does not have it |
//! | `expect format senml-cbor` | the answer has this format |
//! | `expect no answer` | the device did not answer |
//! | `expect notification /3/0/13` | a notification came that no line has expected yet |
//! | `expect notification /3/0/13 > 5 within 30` | one came with such a value, within 30 s |
//! | `expect registered` | the device is registered; also `deregistered`, `asleep`, `awake` |
//! | `expect updated` | it has sent an Update since the command above |
//!
//! The last three groups wait until they hold: 180 s, or what `within` says in
//! seconds. Nothing waits for a fixed time. A command without an expected code, or
//! `no answer`, has to succeed. Text may be quoted or not; values are written as
//! the prompt shows them.
//!
//! [`Script::parse`] reads the whole file before anything runs, so that a slip in
//! the last line does not cost the time of all others.

mod expectation;

use std::future::Future;
use std::io::{self, Write};

use crate::prompt::{self, Command, Flow, Outcome, PromptError, Session, show_code};
use expectation::Expectation;

/// Who runs the commands of a script: a [`Session`], or a program that adds its
/// own commands to one.
pub trait Interpreter {
    /// A command.
    type Command;

    /// Reads a line.
    ///
    /// # Errors
    /// The line is no command.
    fn parse(line: &str) -> Result<Self::Command, PromptError>;

    /// Runs a command.
    ///
    /// # Errors
    /// What writing gave.
    fn run<W: Write>(
        &mut self,
        command: &Self::Command,
        out: &mut W,
    ) -> impl Future<Output = io::Result<Flow>>;

    /// Where the outcomes are.
    fn session(&mut self) -> &mut Session;
}

impl Interpreter for Session {
    type Command = Command;

    fn parse(line: &str) -> Result<Command, PromptError> {
        prompt::parse(line)
    }

    async fn run<W: Write>(&mut self, command: &Command, out: &mut W) -> io::Result<Flow> {
        Self::run(self, command, out).await
    }

    fn session(&mut self) -> &mut Session {
        self
    }
}

/// A script, read.
#[derive(Debug, Clone)]
pub struct Script<C> {
    steps: Vec<Step<C>>,
}

/// A command, and what is expected of it. Only the first step may lack a command.
#[derive(Debug, Clone)]
struct Step<C> {
    command: Option<(Place, C)>,
    expectations: Vec<(Place, Expectation)>,
}

/// A line of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    text: String,
}

impl<C> Script<C> {
    /// Reads a script whose commands an `I` runs.
    ///
    /// # Errors
    /// [`ScriptError::Syntax`] with the first line that is wrong.
    pub fn parse<I: Interpreter<Command = C>>(text: &str) -> Result<Self, ScriptError> {
        let mut steps = vec![Step { command: None, expectations: Vec::new() }];
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let place = Place { line, text: text.to_owned() };
            let wrong =
                |reason: String| ScriptError::Syntax { line, text: text.to_owned(), reason };
            let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            match (first, steps.last_mut()) {
                ("expect", Some(step)) => {
                    let expectation = Expectation::parse(rest.trim()).map_err(wrong)?;
                    step.expectations.push((place, expectation));
                }
                _ => {
                    let command =
                        I::parse(text).map_err(|error| wrong(suggest(error).to_string()))?;
                    let command = Some((place, command));
                    steps.push(Step { command, expectations: Vec::new() });
                }
            }
        }
        Ok(Self { steps })
    }

    /// Runs the script; every line is written before what came of it.
    ///
    /// # Errors
    /// [`ScriptError::Failed`] at the first line that did not give what it
    /// expects, [`ScriptError::Io`].
    pub async fn run<I, W>(&self, interpreter: &mut I, out: &mut W) -> Result<(), ScriptError>
    where
        I: Interpreter<Command = C>,
        W: Write,
    {
        for step in &self.steps {
            if let Some((place, command)) = &step.command {
                writeln!(out, "> {}", place.text)?;
                if interpreter.run(command, out).await? == Flow::Quit {
                    return Ok(());
                }
                if !step.expectations.iter().any(|(_, known)| known.is_about_success()) {
                    check_success(place, interpreter.session().outcome())?;
                }
            }
            for (place, expectation) in &step.expectations {
                writeln!(out, "> {}", place.text)?;
                let checked = expectation.check(interpreter.session()).await;
                if let Some(text) = checked.map_err(|came| place.failed(&came))? {
                    out.write_all(text.as_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// Why a script cannot be run, or did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// A line is neither command nor expectation.
    #[error("line {line}: {text}\n  {reason}")]
    Syntax {
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A line did not give what it expects.
    #[error("line {line}: {text}\n  expected: {expected}\n  came: {came}")]
    Failed {
        /// Number of the line, from 1.
        line: usize,
        /// The line.
        text: String,
        /// What should have come.
        expected: String,
        /// What came.
        came: String,
    },
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
}

impl Place {
    fn failed(&self, came: &str) -> ScriptError {
        let expected = self.text.strip_prefix("expect ").unwrap_or("success").trim().to_owned();
        ScriptError::Failed {
            line: self.line,
            text: self.text.clone(),
            expected,
            came: came.to_owned(),
        }
    }
}

/// `expect` is no command of a prompt, but may have been meant in a script.
fn suggest(error: PromptError) -> PromptError {
    match error {
        PromptError::Unknown { word, .. } if prompt::nearest(&word, ["expect"]).is_some() => {
            PromptError::Unknown { word, nearest: Some("expect") }
        }
        error => error,
    }
}

fn check_success(place: &Place, outcome: Option<&Outcome>) -> Result<(), ScriptError> {
    match outcome {
        None => Ok(()),
        Some(Outcome::Response(response)) if response.code.is_success() => {
            match &response.problem {
                None => Ok(()),
                Some(problem) => Err(place.failed(problem)),
            }
        }
        Some(Outcome::Response(response)) => Err(place.failed(&show_code(response.code))),
        Some(Outcome::Failed(error)) => Err(place.failed(&error.to_string())),
    }
}
