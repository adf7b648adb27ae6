//! The commands of the prompt: their names, their usage, and lines made commands.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use lwm2m_model::{Arguments, ContentFormat, Entry, Path, Value, WriteMode};

use super::words::{distance, format_named, split};
use crate::response::resource;
use crate::{BlockSize, CancelBy};

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Lists who is registered.
    Devices,
    /// Chooses the device that the other commands go to.
    Use {
        /// Endpoint name.
        endpoint: String,
    },
    /// Read (Core 6.1).
    Read {
        /// Target.
        path: Path,
        /// Format asked for.
        format: Option<ContentFormat>,
    },
    /// Discover (Core 6.2).
    Discover {
        /// Target.
        path: Path,
        /// Levels to show, 0..=3.
        depth: Option<u8>,
    },
    /// Write (Core 6.3).
    Write {
        /// Target.
        path: Path,
        /// Replace or partial.
        mode: WriteMode,
        /// Format to write in; `None` takes one that the device announced.
        format: Option<ContentFormat>,
        /// What to write.
        entries: Vec<Entry>,
    },
    /// Write-Attributes (Core 3.4).
    WriteAttributes {
        /// Target.
        path: Path,
        /// `pmin=1` sets, `pmin` unsets.
        query: Vec<String>,
    },
    /// Execute (Core 6.4).
    Execute {
        /// Target.
        path: Path,
        /// Argument list.
        arguments: Option<String>,
    },
    /// Observe (Core 8.1).
    Observe {
        /// Target.
        path: Path,
        /// Attributes of this observation.
        query: Vec<String>,
        /// Format asked for.
        format: Option<ContentFormat>,
    },
    /// Cancel Observation (Core 8.3).
    Cancel {
        /// Target.
        path: Path,
        /// By option or by reset.
        by: CancelBy,
    },
    /// Create (Core 6.5).
    Create {
        /// The instance to create, or its object: then the device chooses a number, and
        /// `entries` stand below any instance.
        path: Path,
        /// Format to write in; `None` takes one that the device announced.
        format: Option<ContentFormat>,
        /// Its resources.
        entries: Vec<Entry>,
    },
    /// Delete (Core 6.6).
    Delete {
        /// Target.
        path: Path,
    },
    /// Writes a file to Package of the Firmware Update object (Objects 7).
    Push {
        /// The file.
        file: PathBuf,
    },
    /// Sets the size of blocks, for payloads that are larger.
    Blocks {
        /// How large.
        size: BlockSize,
    },
    /// Waits for something.
    Wait {
        /// For what.
        condition: Condition,
        /// How long at most; `None` is 180 s.
        within: Option<Duration>,
    },
    /// Shows the commands, or the usage of one.
    Help {
        /// Name of a command.
        about: Option<String>,
    },
    /// Ends the session.
    Quit,
}

impl Command {
    /// True if it sends a request to the device, which must be awake for it.
    pub const fn is_request(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Discover { .. }
            | Self::Write { .. }
            | Self::WriteAttributes { .. }
            | Self::Execute { .. }
            | Self::Observe { .. }
            | Self::Cancel { .. }
            | Self::Create { .. }
            | Self::Delete { .. }
            | Self::Push { .. } => true,
            Self::Devices
            | Self::Use { .. }
            | Self::Blocks { .. }
            | Self::Wait { .. }
            | Self::Help { .. }
            | Self::Quit => false,
        }
    }
}

/// Something that the device does, to be waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It is registered.
    Registered,
    /// It is not registered.
    Deregistered,
    /// It has sent an Update since the last request.
    Updated,
    /// It sleeps (queue mode).
    Asleep,
    /// It listens.
    Awake,
    /// A notification of this path, not waited for before.
    Notification(Path),
}

/// How a command is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Its name.
    pub name: &'static str,
    /// The whole line.
    pub line: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Every command of this prompt.
#[rustfmt::skip] // a table: one row a command
pub const COMMANDS: &[Usage] = &[
    usage("devices", "devices", "who is registered"),
    usage("use", "use ENDPOINT", "choose the device, if there are several"),
    usage("read", "read PATH [--format NAME]", "read a resource, an instance or an object"),
    usage("discover", "discover PATH [DEPTH]", "list what there is, with attributes"),
    usage("write", "write PATH VALUE | ID=VALUE ... [--partial] [--format NAME]", "write a resource, or resources of an instance"),
    usage("write-attributes", "write-attributes PATH NAME[=VALUE] ...", "set attributes; a bare name unsets"),
    usage("exec", "exec PATH [ARGUMENTS]", "execute a resource; arguments such as 0='U',3"),
    usage("observe", "observe PATH [NAME=VALUE ...] [--format NAME]", "be told of changes"),
    usage("cancel", "cancel PATH [--reset]", "end an observation, by request or by RST"),
    usage("create", "create PATH [ID=VALUE ...] [--format NAME]", "create /OBJECT/INSTANCE; of /OBJECT the device chooses the number"),
    usage("delete", "delete PATH", "delete an instance or a resource instance"),
    usage("push", "push FILE", "write a file to /5/0/0, as a firmware package"),
    usage("update", "update", "install the package: execute /5/0/2"),
    usage("blocks", "blocks SIZE", "send and fetch what is larger in blocks of 16 to 1024 bytes"),
    usage("wait", "wait registered|deregistered|updated|asleep|awake|notification PATH [SECONDS]", "wait for the device"),
    usage("help", "help [COMMAND]", "this list, or one command"),
    usage("quit", "quit", "leave"),
];

const fn usage(name: &'static str, line: &'static str, about: &'static str) -> Usage {
    Usage { name, line, about }
}

/// Why a line is no command: one line for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// Nothing but white space.
    #[error("no command")]
    Empty,
    /// A double quote is not closed.
    #[error("a double quote is not closed")]
    OpenQuote,
    /// No command of this name.
    #[error("no command \"{word}\"{}", did_you_mean(*.nearest))]
    Unknown {
        /// What stands first in the line.
        word: String,
        /// The command whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// The command is used wrongly.
    #[error("{reason}; usage: {}", .usage.line)]
    Usage {
        /// What is wrong.
        reason: String,
        /// How it is right.
        usage: Usage,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!(", did you mean {name}?"),
        None => ", try help".to_owned(),
    }
}

/// The name nearest to `word`, if a slip or two of the fingers lie between them.
pub fn nearest(word: &str, names: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let distances = names.into_iter().map(|name| (distance(word, name), name));
    let (slips, name) = distances.min_by_key(|(slips, _)| *slips)?;
    (slips <= MAX_SLIPS && slips < name.chars().count()).then_some(name)
}

/// Reads a line.
///
/// # Errors
/// See [`PromptError`].
pub fn parse(line: &str) -> Result<Command, PromptError> {
    let mut words = VecDeque::from(split(line).ok_or(PromptError::OpenQuote)?);
    let word = words.pop_front().ok_or(PromptError::Empty)?;
    let Some(usage) = COMMANDS.iter().find(|known| known.name == word) else {
        let nearest = nearest(&word, COMMANDS.iter().map(|known| known.name));
        return Err(PromptError::Unknown { word, nearest });
    };
    let mut line = Line { usage: *usage, words };
    let command = line.command()?;
    match line.words.pop_front() {
        Some(word) => Err(line.wrong(format!("\"{word}\" is too much"))),
        None => Ok(command),
    }
}

/// A line without its first word.
struct Line {
    usage: Usage,
    words: VecDeque<String>,
}

impl Line {
    fn command(&mut self) -> Result<Command, PromptError> {
        Ok(match self.usage.name {
            "devices" => Command::Devices,
            "use" => Command::Use { endpoint: self.word("an endpoint name")? },
            "read" => Command::Read { format: self.format()?, path: self.path()? },
            "discover" => Command::Discover { path: self.path()?, depth: self.depth()? },
            "write" => self.write()?,
            "write-attributes" => self.write_attributes()?,
            "exec" => self.execute()?,
            "observe" => {
                let format = self.format()?;
                Command::Observe { path: self.path()?, query: self.rest(), format }
            }
            "cancel" => {
                let by = if self.flag("--reset") { CancelBy::Reset } else { CancelBy::Option };
                Command::Cancel { path: self.path()?, by }
            }
            "create" => self.create()?,
            "delete" => Command::Delete { path: self.path()? },
            "push" => Command::Push { file: self.word("a file")?.into() },
            "update" => Command::Execute { path: Path::resource(5, 0, 2), arguments: None },
            "blocks" => Command::Blocks { size: self.size()? },
            "wait" => Command::Wait { condition: self.condition()?, within: self.seconds()? },
            "help" => Command::Help { about: self.words.pop_front() },
            "quit" => Command::Quit,
            _ => return Err(self.wrong("not built into this prompt")),
        })
    }

    fn write(&mut self) -> Result<Command, PromptError> {
        let format = self.format()?;
        let mode = if self.flag("--partial") { WriteMode::Partial } else { WriteMode::Replace };
        let path = self.path()?;
        let multiple = resource(&path).is_some_and(|definition| definition.multiple);
        let words = self.rest();
        let entries = match (path.depth(), words.as_slice()) {
            (_, []) => return Err(self.wrong("a value is missing")),
            (3, [value]) if !multiple => vec![self.entry(path.clone(), value)?],
            (4, [value]) => vec![self.entry(path.clone(), value)?],
            (2, assignments) => self.assignments(&path, assignments)?,
            (3, assignments) if multiple => self.assignments(&path, assignments)?,
            (3 | 4, _) => return Err(self.wrong("one value, with blanks only in double quotes")),
            _ => return Err(self.wrong(format!("{path} cannot be written"))),
        };
        Ok(Command::Write { path, mode, format, entries })
    }

    fn create(&mut self) -> Result<Command, PromptError> {
        let format = self.format()?;
        let path = self.path()?;
        let words = self.rest();
        let below = match path.ids() {
            [_, _] => path.clone(),
            [object] if format.is_none_or(|format| format == ContentFormat::TLV) => {
                Path::instance(*object, 0)
            }
            [_] => return Err(self.wrong("only tlv can leave out the instance")),
            _ => return Err(self.wrong(format!("{path} is no object or instance"))),
        };
        let entries = self.assignments(&below, &words)?;
        Ok(Command::Create { path, format, entries })
    }

    fn write_attributes(&mut self) -> Result<Command, PromptError> {
        let path = self.path()?;
        let query = self.rest();
        if query.is_empty() {
            return Err(self.wrong("an attribute is missing"));
        }
        Ok(Command::WriteAttributes { path, query })
    }

    fn execute(&mut self) -> Result<Command, PromptError> {
        let path = self.path()?;
        let words = self.rest();
        let arguments = (!words.is_empty()).then(|| words.join(" "));
        if let Some(text) = &arguments {
            Arguments::parse(text).map_err(|error| self.wrong(error.to_string()))?;
        }
        Ok(Command::Execute { path, arguments })
    }

    /// `1=60`, and `24/0=1:0` for a resource instance.
    fn assignments(&self, path: &Path, words: &[String]) -> Result<Vec<Entry>, PromptError> {
        let mut entries = Vec::new();
        for word in words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| self.wrong(format!("\"{word}\" is no ID=VALUE")))?;
            let below: Path = format!("{path}/{name}")
                .parse()
                .map_err(|error| self.wrong(format!("\"{word}\": {error}")))?;
            entries.push(self.entry(below, value)?);
        }
        entries.sort_by(|a: &Entry, b: &Entry| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// A value by its definition, or by its looks where there is none.
    fn entry(&self, path: Path, text: &str) -> Result<Entry, PromptError> {
        let value = match resource(&path) {
            Some(definition) => Value::parse(definition.data_type, text)
                .map_err(|error| self.wrong(format!("{path}: {error}")))?,
            None => guess(text),
        };
        Ok(Entry::new(path, value))
    }

    fn word(&mut self, what: &str) -> Result<String, PromptError> {
        self.words.pop_front().ok_or_else(|| self.wrong(format!("{what} is missing")))
    }

    fn path(&mut self) -> Result<Path, PromptError> {
        self.word("a path")?.parse().map_err(|error| self.wrong(format!("{error}")))
    }

    fn rest(&mut self) -> Vec<String> {
        self.words.drain(..).collect()
    }

    fn flag(&mut self, name: &str) -> bool {
        let place = self.words.iter().position(|word| word == name);
        place.and_then(|place| self.words.remove(place)).is_some()
    }

    fn format(&mut self) -> Result<Option<ContentFormat>, PromptError> {
        let Some(place) = self.words.iter().position(|word| word == "--format") else {
            return Ok(None);
        };
        self.words.remove(place);
        let name = self.words.remove(place).ok_or_else(|| self.wrong("a format is missing"))?;
        let format = format_named(&name);
        format.map(Some).ok_or_else(|| self.wrong(format!("no format \"{name}\"")))
    }

    fn depth(&mut self) -> Result<Option<u8>, PromptError> {
        let Some(word) = self.words.pop_front() else { return Ok(None) };
        let depth = word.parse().map_err(|_| self.wrong(format!("\"{word}\" is no depth")))?;
        Ok(Some(depth))
    }

    fn size(&mut self) -> Result<BlockSize, PromptError> {
        self.word("a size")?.parse().map_err(|error| self.wrong(format!("{error}")))
    }

    fn seconds(&mut self) -> Result<Option<Duration>, PromptError> {
        let Some(word) = self.words.pop_front() else { return Ok(None) };
        let seconds = word.parse().map(Duration::from_secs);
        seconds.map(Some).map_err(|_| self.wrong(format!("\"{word}\" is no number of seconds")))
    }

    fn condition(&mut self) -> Result<Condition, PromptError> {
        let word = self.word("what to wait for")?;
        Ok(match word.as_str() {
            "notification" => Condition::Notification(self.path()?),
            word => Condition::named(word)
                .ok_or_else(|| self.wrong(format!("cannot wait for \"{word}\"")))?,
        })
    }

    fn wrong(&self, reason: impl Into<String>) -> PromptError {
        PromptError::Usage { reason: reason.into(), usage: self.usage }
    }
}

impl Condition {
    /// The condition of this name, if it needs no more than its name.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "registered" => Self::Registered,
            "deregistered" => Self::Deregistered,
            "updated" => Self::Updated,
            "asleep" => Self::Asleep,
            "awake" => Self::Awake,
            _ => return None,
        })
    }
}

/// A value of a resource that nobody has defined for us.
fn guess(text: &str) -> Value {
    match (text.parse(), text.parse(), text) {
        (Ok(integer), _, _) => Value::Integer(integer),
        (_, Ok(float), _) => Value::Float(float),
        (_, _, "true") => Value::Boolean(true),
        (_, _, "false") => Value::Boolean(false),
        _ => Value::String(text.to_owned()),
    }
}

/// Mistakes up to which a name counts as near.
const MAX_SLIPS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_commands() {
        let path = |text: &str| text.parse::<Path>().unwrap();
        let cases = [
            ("read /3/0", Command::Read { path: path("/3/0"), format: None }),
            (
                "read --format tlv /3/0",
                Command::Read { path: path("/3/0"), format: Some(ContentFormat::TLV) },
            ),
            ("discover /3 1", Command::Discover { path: path("/3"), depth: Some(1) }),
            (
                "write /1/0/1 60",
                Command::Write {
                    path: path("/1/0/1"),
                    mode: WriteMode::Replace,
                    format: None,
                    entries: vec![Entry::new(path("/1/0/1"), Value::Integer(60))],
                },
            ),
            (
                "write /1/0 6=true 1=60 --partial",
                Command::Write {
                    path: path("/1/0"),
                    mode: WriteMode::Partial,
                    format: None,
                    entries: vec![
                        Entry::new(path("/1/0/1"), Value::Integer(60)),
                        Entry::new(path("/1/0/6"), Value::Boolean(true)),
                    ],
                },
            ),
            (
                r#"write /3/0/15 "Europe/Berlin""#,
                Command::Write {
                    path: path("/3/0/15"),
                    mode: WriteMode::Replace,
                    format: None,
                    entries: vec![Entry::new(
                        path("/3/0/15"),
                        Value::String("Europe/Berlin".into()),
                    )],
                },
            ),
            (
                "write-attributes /3/0/7 pmin=1 pmax",
                Command::WriteAttributes {
                    path: path("/3/0/7"),
                    query: vec!["pmin=1".into(), "pmax".into()],
                },
            ),
            (
                "exec /1/0/8 0='U',3",
                Command::Execute { path: path("/1/0/8"), arguments: Some("0='U',3".into()) },
            ),
            (
                "observe /3/0/13 pmin=1 pmax=5",
                Command::Observe {
                    path: path("/3/0/13"),
                    query: vec!["pmin=1".into(), "pmax=5".into()],
                    format: None,
                },
            ),
            (
                "cancel /3/0/13 --reset",
                Command::Cancel { path: path("/3/0/13"), by: CancelBy::Reset },
            ),
            (
                "wait asleep 30",
                Command::Wait {
                    condition: Condition::Asleep,
                    within: Some(Duration::from_secs(30)),
                },
            ),
            (
                "wait notification /3/0/13",
                Command::Wait { condition: Condition::Notification(path("/3/0/13")), within: None },
            ),
            ("blocks 64", Command::Blocks { size: "64".parse().unwrap() }),
            (
                "create /3442/7 110=x 1120/2=5",
                Command::Create {
                    path: path("/3442/7"),
                    format: None,
                    entries: vec![
                        Entry::new(path("/3442/7/110"), Value::String("x".into())),
                        Entry::new(path("/3442/7/1120/2"), Value::Integer(5)),
                    ],
                },
            ),
            (
                "create /3442",
                Command::Create { path: path("/3442"), format: None, entries: vec![] },
            ),
            ("push \"new image\"", Command::Push { file: "new image".into() }),
            ("update", Command::Execute { path: path("/5/0/2"), arguments: None }),
            ("delete /3442/7/1120/2", Command::Delete { path: path("/3442/7/1120/2") }),
            ("help read", Command::Help { about: Some("read".into()) }),
            ("quit", Command::Quit),
        ];
        for (line, command) in cases {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn wrong_input_gives_one_line_with_usage_or_the_nearest_name() {
        for (line, error) in [
            ("", "no command"),
            ("raed /3", "no command \"raed\", did you mean read?"),
            ("frobnicate", "no command \"frobnicate\", try help"),
            ("read \"/3", "a double quote is not closed"),
            ("read", "a path is missing; usage: read PATH [--format NAME]"),
            (
                "read 3/0",
                "a path starts with a slash, as in /3/0/13; usage: read PATH [--format NAME]",
            ),
            ("read /3 /4", "\"/4\" is too much; usage: read PATH [--format NAME]"),
            ("read /3 --format jpeg", "no format \"jpeg\"; usage: read PATH [--format NAME]"),
            (
                "write /1/0/1 soon",
                "/1/0/1: expected Integer, got text \"soon\"; \
                 usage: write PATH VALUE | ID=VALUE ... [--partial] [--format NAME]",
            ),
            (
                "write /3 1",
                "/3 cannot be written; \
                 usage: write PATH VALUE | ID=VALUE ... [--partial] [--format NAME]",
            ),
            (
                "create /3442/0/110 x",
                "/3442/0/110 is no object or instance; \
                 usage: create PATH [ID=VALUE ...] [--format NAME]",
            ),
            (
                "create /3442 110=x --format senml-json",
                "only tlv can leave out the instance; \
                 usage: create PATH [ID=VALUE ...] [--format NAME]",
            ),
            (
                "blocks 100",
                "a block has 16, 32, 64, 128, 256, 512 or 1024 bytes, not \"100\"; \
                 usage: blocks SIZE",
            ),
            ("discover /3 deep", "\"deep\" is no depth; usage: discover PATH [DEPTH]"),
            (
                "exec /3/0/4 0=1",
                "arguments look like 0='U',3: a digit, then perhaps = and a quoted value; \
                 usage: exec PATH [ARGUMENTS]",
            ),
            (
                "write-attributes /3/0",
                "an attribute is missing; usage: write-attributes PATH NAME[=VALUE] ...",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err().to_string(), error, "{line}");
        }
    }

    #[test]
    fn each_command_in_the_table_is_one_that_parses() {
        for known in COMMANDS {
            let error = parse(known.name).err();
            let unknown = matches!(error, Some(PromptError::Unknown { .. }));
            assert!(!unknown && known.line.starts_with(known.name), "{}", known.name);
            let quits = parse(known.name) == Ok(Command::Quit);
            assert_eq!(quits, known.name == "quit", "{}", known.name);
        }
    }
}
