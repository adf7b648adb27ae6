//! Expectations of a script: read from a line, held against a session.

use std::time::Duration;

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value};

use crate::prompt::{
    Condition, Outcome, PATIENCE, Session, format_named, show_code, show_notification,
};
use crate::{Error, Notification, Response};

/// What a line expects.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expectation {
    Code(Code),
    Format(ContentFormat),
    Value(Path, Comparison),
    Present(Path),
    Absent(Path),
    Link(Path, Vec<String>),
    NoLink(Path),
    Created(Path),
    NoAnswer,
    Condition(Condition, Duration),
    Notification(Path, Option<Comparison>, Duration),
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    relation: Relation,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Expectation {
    /// Reads what stands after `expect`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (first, rest) = first_word(text);
        match first {
            "link" => return Self::link(rest),
            "format" => {
                let format = format_named(rest).ok_or_else(|| format!("no format \"{rest}\""))?;
                return Ok(Self::Format(format));
            }
            "no" if rest == "answer" => return Ok(Self::NoAnswer),
            "created" => return Ok(Self::Created(path(rest)?)),
            "notification" => return Self::notification(rest),
            _ => {}
        }
        if let Some(condition) = Condition::named(first) {
            let (rest, within) = patience(rest)?;
            return match rest {
                "" => Ok(Self::Condition(condition, within)),
                rest => Err(format!("\"{rest}\" is too much")),
            };
        }
        if first.starts_with('/') {
            let path = path(first)?;
            return match rest {
                "present" => Ok(Self::Present(path)),
                "absent" => Ok(Self::Absent(path)),
                rest => Ok(Self::Value(path, Comparison::parse(rest)?)),
            };
        }
        match code(first) {
            Some(code) if rest.is_empty() => Ok(Self::Code(code)),
            _ => Err(format!(
                "cannot expect \"{text}\": a code such as 2.05, a path, created, link, format, no \
                 answer, notification, registered, deregistered, updated, asleep or awake"
            )),
        }
    }

    fn link(rest: &str) -> Result<Self, String> {
        let (target, parameters) = first_word(rest);
        let path = path(target)?;
        Ok(match parameters {
            "absent" => Self::NoLink(path),
            list => Self::Link(path, list.split_whitespace().map(str::to_owned).collect()),
        })
    }

    fn notification(rest: &str) -> Result<Self, String> {
        let (rest, within) = patience(rest)?;
        let (target, comparison) = first_word(rest);
        let comparison = match comparison {
            "" => None,
            text => Some(Comparison::parse(text)?),
        };
        Ok(Self::Notification(path(target)?, comparison, within))
    }

    /// True if the command need not succeed, because this says what comes of it.
    pub(super) fn is_about_success(&self) -> bool {
        matches!(self, Self::Code(_) | Self::NoAnswer)
    }

    /// Holds it against a session, waiting where that is meant. Gives text to show;
    /// what came instead is the error.
    pub(super) async fn check(&self, session: &mut Session) -> Result<Option<String>, String> {
        match self {
            Self::Condition(condition, within) => {
                let waited = session.wait(condition, *within).await;
                waited.map(|_| None).map_err(|error| error.to_string())
            }
            Self::Notification(path, comparison, within) => {
                let wait = await_notification(session, path, comparison.as_ref(), *within);
                wait.await.map(Some)
            }
            Self::NoAnswer => match session.outcome() {
                Some(Outcome::Failed(Error::NoAnswer { .. } | Error::NoResponse(_))) => Ok(None),
                outcome => Err(describe(outcome)),
            },
            Self::Code(_)
            | Self::Format(_)
            | Self::Value(..)
            | Self::Present(_)
            | Self::Absent(_)
            | Self::Link(..)
            | Self::NoLink(_)
            | Self::Created(_) => match session.outcome() {
                Some(Outcome::Response(response)) => self.check_response(response).map(|()| None),
                outcome => Err(describe(outcome)),
            },
        }
    }

    fn check_response(&self, response: &Response) -> Result<(), String> {
        let values = &response.entries;
        let link = |path: &Path| response.links.iter().find(|link| link.path == *path);
        match self {
            Self::Code(code) => hold(response.code == *code, || {
                let reason = response.diagnostic().map(|text| format!(", {text}"));
                show_code(response.code) + &reason.unwrap_or_default()
            }),
            Self::Format(format) => hold(response.format == Some(*format), || {
                response.format.map_or_else(|| "no format".to_owned(), |came| came.to_string())
            }),
            Self::Value(path, comparison) => comparison.check(path, values),
            Self::Present(path) => {
                let there = values.iter().any(|entry| path.contains(&entry.path));
                hold(there, || "no value there".to_owned())
            }
            Self::Absent(path) => match values.iter().find(|entry| path.contains(&entry.path)) {
                None => Ok(()),
                Some(entry) => Err(show_entry(entry)),
            },
            Self::NoLink(path) => hold(link(path).is_none(), || "the link".to_owned()),
            Self::Link(path, parameters) => {
                let link = link(path).ok_or_else(|| "no such link".to_owned())?;
                let has = |wanted: &String| {
                    let (name, value) = match wanted.split_once('=') {
                        Some((name, value)) => (name, Some(value)),
                        None => (wanted.as_str(), None),
                    };
                    link.parameters.iter().any(|(n, v)| n == name && v.as_deref() == value)
                };
                hold(parameters.iter().all(has), || format!("{:?}", link.parameters))
            }
            Self::Created(path) => hold(response.created.as_ref() == Some(path), || {
                let nothing = || "no instance named".to_owned();
                response.created.as_ref().map_or_else(nothing, Path::to_string)
            }),
            Self::NoAnswer | Self::Condition(..) | Self::Notification(..) => Ok(()),
        }
    }
}

async fn await_notification(
    session: &mut Session,
    path: &Path,
    comparison: Option<&Comparison>,
    within: Duration,
) -> Result<String, String> {
    let deadline = tokio::time::Instant::now() + within;
    let mut last: Option<Notification> = None;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let condition = Condition::Notification(path.clone());
        let notification = match (session.wait(&condition, left).await, &last) {
            (Ok(Some(notification)), _) => notification,
            (Ok(None), _) => return Err("nothing".to_owned()),
            (Err(Error::NotInTime { .. }), Some(last)) => return Err(show_entries(&last.entries)),
            (Err(error), _) => return Err(error.to_string()),
        };
        if let Some(problem) = &notification.problem {
            return Err(problem.clone());
        }
        if comparison.is_none_or(|known| known.check(path, &notification.entries).is_ok()) {
            return Ok(show_notification(&notification));
        }
        last = Some(notification);
    }
}

impl Comparison {
    fn parse(text: &str) -> Result<Self, String> {
        let (sign, value) = first_word(text);
        let relation = match sign {
            "=" => Relation::Equal,
            "!=" => Relation::Unequal,
            "<" => Relation::Below,
            "<=" => Relation::AtMost,
            ">" => Relation::Above,
            ">=" => Relation::AtLeast,
            _ => return Err(format!("\"{text}\" is none of = VALUE, != VALUE, < > <= >= NUMBER")),
        };
        let ordered = !matches!(relation, Relation::Equal | Relation::Unequal);
        if value.is_empty() || (ordered && value.parse::<f64>().is_err()) {
            let wanted = if ordered { "a number" } else { "a value" };
            return Err(format!("{wanted} is missing after {sign}"));
        }
        Ok(Self { relation, text: value.to_owned() })
    }

    fn check(&self, path: &Path, entries: &[Entry]) -> Result<(), String> {
        let entry = entries.iter().find(|entry| entry.path == *path);
        let value = entry.and_then(Entry::value).ok_or_else(|| "no value there".to_owned())?;
        hold(self.holds(value), || value.to_string())
    }

    fn holds(&self, value: &Value) -> bool {
        let shown = value.to_string();
        let content = match value {
            Value::String(text) | Value::Corelnk(text) => text,
            Value::Integer(_)
            | Value::Unsigned(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Opaque(_)
            | Value::Time(_)
            | Value::Objlnk(_) => &shown,
        };
        let same = self.text == shown || self.text == *content;
        let order = value.as_number().zip(self.text.parse().ok());
        let ordered = |wanted: fn(f64, f64) -> bool| order.is_some_and(|(a, b)| wanted(a, b));
        match self.relation {
            Relation::Equal => same,
            Relation::Unequal => !same,
            Relation::Below => ordered(|a, b| a < b),
            Relation::AtMost => ordered(|a, b| a <= b),
            Relation::Above => ordered(|a, b| a > b),
            Relation::AtLeast => ordered(|a, b| a >= b),
        }
    }
}

fn hold(holds: bool, came: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(came()) }
}

fn describe(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "no request was made".to_owned(),
        Some(Outcome::Response(response)) => show_code(response.code),
        Some(Outcome::Failed(error)) => error.to_string(),
    }
}

fn show_entry(entry: &Entry) -> String {
    let value = entry.value().map_or_else(|| "(empty)".to_owned(), Value::to_string);
    format!("{} = {value}", entry.path)
}

fn show_entries(entries: &[Entry]) -> String {
    entries.iter().map(show_entry).collect::<Vec<_>>().join(", ")
}

/// `REST within SECONDS`.
fn patience(text: &str) -> Result<(&str, Duration), String> {
    let Some(place) = text.rfind("within ").filter(|place| {
        // At the start, or after a blank: not the end of a longer word.
        text.get(..*place).is_some_and(|before| before.is_empty() || before.ends_with(' '))
    }) else {
        return Ok((text, PATIENCE));
    };
    let (rest, seconds) = (text.get(..place).unwrap_or(""), text.get(place + 7..).unwrap_or(""));
    let seconds = seconds.trim();
    let within = seconds.parse().map_err(|_| format!("\"{seconds}\" is no number of seconds"))?;
    Ok((rest.trim(), Duration::from_secs(within)))
}

fn first_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((first, rest)) => (first, rest.trim()),
        None => (text, ""),
    }
}

fn path(text: &str) -> Result<Path, String> {
    text.parse().map_err(|error| format!("\"{text}\": {error}"))
}

/// `2.05`
fn code(text: &str) -> Option<Code> {
    let (class, detail) = text.split_once('.')?;
    let digits = class.len() == 1 && detail.len() == 2;
    let (class, detail) = (class.parse().ok()?, detail.parse().ok()?);
    (digits && class < 8 && detail < 32).then(|| Code::new(class, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_expectations() {
        let time = Path::resource(3, 0, 13);
        let cases = [
            ("2.05", Expectation::Code(Code::CONTENT)),
            ("/3/0/13 absent", Expectation::Absent(time.clone())),
            ("/3/0/13 present", Expectation::Present(time.clone())),
            (
                "/3/0/13 = \"a  b\"",
                Expectation::Value(
                    time.clone(),
                    Comparison { relation: Relation::Equal, text: "\"a  b\"".into() },
                ),
            ),
            (
                "link /3/0/13 pmin=1 dim",
                Expectation::Link(time.clone(), vec!["pmin=1".into(), "dim".into()]),
            ),
            ("link /3/0/13 absent", Expectation::NoLink(time.clone())),
            ("format tlv", Expectation::Format(ContentFormat::TLV)),
            ("no answer", Expectation::NoAnswer),
            ("asleep", Expectation::Condition(Condition::Asleep, PATIENCE)),
            (
                "updated within 5",
                Expectation::Condition(Condition::Updated, Duration::from_secs(5)),
            ),
            (
                "notification /3/0/13 within 30",
                Expectation::Notification(time.clone(), None, Duration::from_secs(30)),
            ),
            (
                "notification /3/0/13 >= 5",
                Expectation::Notification(
                    time,
                    Some(Comparison { relation: Relation::AtLeast, text: "5".into() }),
                    PATIENCE,
                ),
            ),
        ];
        for (line, expectation) in cases {
            assert_eq!(Expectation::parse(line), Ok(expectation), "{line}");
        }
    }

    #[test]
    fn wrong_expectations_are_named() {
        for (line, reason) in [
            (
                "/3/0/x absent",
                "\"/3/0/x\": \"x\" is no identifier: expected a number from 0 to 65534",
            ),
            ("/3/0/9", "\"\" is none of = VALUE, != VALUE, < > <= >= NUMBER"),
            ("/3/0/9 >", "a number is missing after >"),
            ("/3/0/9 > much", "a number is missing after >"),
            ("/3/0/9 =", "a value is missing after ="),
            ("format jpeg", "no format \"jpeg\""),
            ("asleep soon", "\"soon\" is too much"),
            ("asleep within long", "\"long\" is no number of seconds"),
        ] {
            assert_eq!(Expectation::parse(line), Err(reason.to_owned()), "{line}");
        }
        for line in ["2.5", "9.00", "2.32", "2.05 quickly", "wonders", ""] {
            assert!(Expectation::parse(line).unwrap_err().starts_with("cannot expect"), "{line}");
        }
    }

    #[test]
    fn comparisons_take_text_with_and_without_quotes() {
        for (value, text, holds) in [
            (Value::String("U".into()), "= U", true),
            (Value::String("U".into()), "= \"U\"", true),
            (Value::String("UQ".into()), "= U", false),
            (Value::Integer(7), "= 7", true),
            (Value::Integer(7), "!= 7", false),
            (Value::Integer(7), ">= 7", true),
            (Value::Float(6.5), "< 7", true),
            (Value::Integer(7), "> 7", false),
            (Value::String("9".into()), "> 7", false),
        ] {
            assert_eq!(Comparison::parse(text).unwrap().holds(&value), holds, "{value} {text}");
        }
    }
}
