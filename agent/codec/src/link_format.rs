//! CoRE link format (RFC 6690, Core 10.12): object lists and Discover answers.
//!
//! Reads what peers write: blanks around separators, one trailing slash in a target,
//! values with or without quotes. Writes neither blanks nor trailing slashes.

use std::borrow::Cow;

use crate::MAX_PAYLOAD;

/// One link, `</3/0>;pmin=10;rt="oma.lwm2m"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The target between the angle brackets.
    pub target: Cow<'a, str>,
    /// Parameters in their order.
    pub parameters: Vec<Parameter<'a>>,
}

impl<'a> Link<'a> {
    /// A link without parameters; `target` is a URI reference such as `/3/0`.
    pub fn new(target: impl Into<Cow<'a, str>>) -> Self {
        Self { target: target.into(), parameters: Vec::new() }
    }

    /// With the parameter `name=value`.
    pub fn plain(self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.with(name.into(), Some(ParameterValue::Plain(value.into())))
    }

    /// With the parameter `name="value"`.
    pub fn quoted(self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.with(name.into(), Some(ParameterValue::Quoted(value.into())))
    }

    /// With the parameter `name`, without value.
    pub fn flag(self, name: impl Into<Cow<'a, str>>) -> Self {
        self.with(name.into(), None)
    }

    fn with(mut self, name: Cow<'a, str>, value: Option<ParameterValue<'a>>) -> Self {
        self.parameters.push(Parameter { name, value });
        self
    }

    /// The value of the first parameter `name`, quoted or not; empty for a flag.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let parameter = self.parameters.iter().find(|parameter| parameter.name == name)?;
        Some(parameter.value.as_ref().map_or("", ParameterValue::as_str))
    }
}

/// A parameter of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Name.
    pub name: Cow<'a, str>,
    /// Value, if it has one.
    pub value: Option<ParameterValue<'a>>,
}

/// How a parameter's value is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterValue<'a> {
    /// Without quotes: `ver=1.2`.
    Plain(Cow<'a, str>),
    /// In quotes: `ct="60 112"`.
    Quoted(Cow<'a, str>),
}

impl ParameterValue<'_> {
    /// The value itself, without quotes and escapes.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Quoted(text) => text,
        }
    }
}

/// Reads a list of links; an empty text is an empty list.
///
/// # Errors
/// See [`LinkError`]; offsets count bytes.
pub fn parse(text: &str) -> Result<Vec<Link<'_>>, LinkError> {
    if text.len() > MAX_PAYLOAD {
        return Err(LinkError::TooLong(text.len()));
    }
    let mut scanner = Scanner { text, offset: 0 };
    let mut links = Vec::new();
    scanner.skip_blanks();
    while !scanner.rest().is_empty() {
        if links.len() >= MAX_LINKS {
            return Err(LinkError::TooManyLinks);
        }
        links.push(scanner.link()?);
        if scanner.take(',') {
            scanner.skip_blanks();
            if scanner.rest().is_empty() {
                return Err(LinkError::NoTarget { offset: scanner.offset });
            }
        } else if !scanner.rest().is_empty() {
            return Err(LinkError::NoSeparator { offset: scanner.offset });
        }
    }
    Ok(links)
}

/// Writes links, appending to `out`.
///
/// A plain value with characters that need quotes gets them; control characters, which
/// no value can hold, are left out of values.
pub fn write(links: &[Link<'_>], out: &mut String) {
    for (place, link) in links.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push('<');
        out.push_str(&link.target);
        out.push('>');
        for parameter in &link.parameters {
            out.push(';');
            out.push_str(&parameter.name);
            match &parameter.value {
                None => {}
                Some(ParameterValue::Plain(text))
                    if !text.is_empty() && text.chars().all(is_plain) =>
                {
                    out.push('=');
                    out.push_str(text);
                }
                Some(value) => write_quoted(value.as_str(), out),
            }
        }
    }
}

fn write_quoted(text: &str, out: &mut String) {
    out.push_str("=\"");
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

struct Scanner<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.offset += rest.len() - rest.trim_start_matches(is_blank).len();
    }

    /// Passes over `separator` and the blanks before it.
    fn take(&mut self, separator: char) -> bool {
        self.skip_blanks();
        let is_there = self.rest().starts_with(separator);
        self.offset += usize::from(is_there) * separator.len_utf8();
        is_there
    }

    /// The longest text, perhaps empty, of characters that are `legal`.
    fn run(&mut self, legal: fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|character| !legal(character)).unwrap_or(rest.len());
        self.offset += end;
        rest.get(..end).unwrap_or_default()
    }

    fn link(&mut self) -> Result<Link<'a>, LinkError> {
        if !self.take('<') {
            return Err(LinkError::NoTarget { offset: self.offset });
        }
        let start = self.offset;
        let target = self.run(|c| !matches!(c, '<' | '>' | '"') && c > ' ' && !c.is_control());
        let is_whole = !target.is_empty() && self.rest().starts_with('>');
        if !is_whole || target.ends_with("//") {
            return Err(LinkError::BadTarget { offset: start });
        }
        self.offset += 1;
        let mut link = Link::new(match target.strip_suffix('/') {
            Some("") | None => target,
            Some(shorter) => shorter,
        });
        while self.take(';') {
            if link.parameters.len() >= MAX_PARAMETERS {
                return Err(LinkError::TooManyParameters { offset: self.offset });
            }
            self.skip_blanks();
            link.parameters.push(self.parameter()?);
        }
        Ok(link)
    }

    fn parameter(&mut self) -> Result<Parameter<'a>, LinkError> {
        let offset = self.offset;
        let name = self.run(is_name);
        if name.is_empty() {
            return Err(LinkError::BadName { offset });
        }
        let value = if self.take('=') { Some(self.value()?) } else { None };
        Ok(Parameter { name: name.into(), value })
    }

    fn value(&mut self) -> Result<ParameterValue<'a>, LinkError> {
        self.skip_blanks();
        let offset = self.offset;
        if self.take('"') {
            return self.quoted(offset).map(ParameterValue::Quoted);
        }
        match self.run(is_plain) {
            "" => Err(LinkError::BadValue { offset }),
            text => Ok(ParameterValue::Plain(text.into())),
        }
    }

    /// The rest of a quoted text; `start` is where its first quote stands.
    fn quoted(&mut self, start: usize) -> Result<Cow<'a, str>, LinkError> {
        let mut whole = Cow::Borrowed("");
        loop {
            let part = self.run(|c| !matches!(c, '"' | '\\') && !c.is_control());
            if whole.is_empty() {
                whole = part.into()
            } else {
                whole.to_mut().push_str(part)
            }
            let mut next = self.rest().chars();
            match (next.next(), next.next()) {
                (Some('"'), _) => {
                    self.offset += 1;
                    return Ok(whole);
                }
                (Some('\\'), Some(escaped)) if !escaped.is_control() => {
                    self.offset += 1 + escaped.len_utf8();
                    whole.to_mut().push(escaped);
                }
                (Some(_), _) => return Err(LinkError::BadValue { offset: self.offset }),
                (None, _) => return Err(LinkError::OpenQuote { offset: start }),
            }
        }
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// `parmname` of RFC 5987 and the star of an extended parameter.
fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$&+-.^_`|~*".contains(character)
}

/// `ptokenchar` of RFC 6690.
fn is_plain(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '"' | ',' | ';' | '\\')
}

/// Why a text is no list of links. Offsets count bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Longer than [`MAX_PAYLOAD`].
    #[error("link list of {0} bytes, more than {MAX_PAYLOAD}")]
    TooLong(usize),
    /// More than [`MAX_LINKS`].
    #[error("more than {MAX_LINKS} links")]
    TooManyLinks,
    /// More than [`MAX_PARAMETERS`] in one link.
    #[error("more than {MAX_PARAMETERS} parameters in the link before offset {offset}")]
    TooManyParameters {
        /// The first one too many.
        offset: usize,
    },
    /// No `<` where a link must begin.
    #[error("expected a link at offset {offset}")]
    NoTarget {
        /// Where.
        offset: usize,
    },
    /// An empty target, one without end or with several slashes there, or one with
    /// characters no URI has.
    #[error("no valid link target at offset {offset}")]
    BadTarget {
        /// Where it begins.
        offset: usize,
    },
    /// Neither `;` nor `,` after a link or parameter.
    #[error("expected a comma or semicolon at offset {offset}")]
    NoSeparator {
        /// Where.
        offset: usize,
    },
    /// A parameter without name.
    #[error("no parameter name at offset {offset}")]
    BadName {
        /// Where.
        offset: usize,
    },
    /// No value after `=`, or one with illegal characters.
    #[error("no valid parameter value at offset {offset}")]
    BadValue {
        /// Where.
        offset: usize,
    },
    /// A quote that is never closed.
    #[error("quote at offset {offset} is not closed")]
    OpenQuote {
        /// Where it opens.
        offset: usize,
    },
}

/// Most links in one list.
pub const MAX_LINKS: usize = 4096;
/// Most parameters of one link.
pub const MAX_PARAMETERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(links: &[Link<'_>]) -> String {
        let mut out = String::new();
        write(links, &mut out);
        out
    }

    #[test]
    fn what_peers_write_is_read_and_written_properly() {
        let cases = [
            ("", ""),
            (" ", ""),
            ("</>", "</>"),
            ("</0/1/>", "</0/1>"),
            ("</1/0>, </3/0>", "</1/0>,</3/0>"),
            (" </1> ; ver = 1.0 ,\r\n </3/0> ", "</1>;ver=1.0,</3/0>"),
            ("</>;lwm2m=\"1.0\"", "</>;lwm2m=\"1.0\""),
            ("</a>;obs;t=\"\\\"x\\\\\"", "</a>;obs;t=\"\\\"x\\\\\""),
            ("</a>;t=\"\"", "</a>;t=\"\""),
            ("</a>;title*=UTF-8'de'%c3%a4", "</a>;title*=UTF-8'de'%c3%a4"),
            ("</a>;t=\"a,b;<c>\"", "</a>;t=\"a,b;<c>\""),
        ];
        for (text, expected) in cases {
            assert_eq!(written(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn wrong_lists_name_their_fault() {
        let cases = [
            ("/1", LinkError::NoTarget { offset: 0 }),
            ("</1>,", LinkError::NoTarget { offset: 5 }),
            ("</1>,,</2>", LinkError::NoTarget { offset: 5 }),
            ("<>", LinkError::BadTarget { offset: 1 }),
            ("</1", LinkError::BadTarget { offset: 1 }),
            ("<//>", LinkError::BadTarget { offset: 1 }),
            ("</1>,</2//>", LinkError::BadTarget { offset: 6 }),
            ("</ 1>", LinkError::BadTarget { offset: 1 }),
            ("</2/0></2/1>", LinkError::NoSeparator { offset: 6 }),
            ("</1>;", LinkError::BadName { offset: 5 }),
            ("</1>;=1", LinkError::BadName { offset: 5 }),
            ("</1>;ver=", LinkError::BadValue { offset: 9 }),
            ("</1>;ver=,</2>", LinkError::BadValue { offset: 9 }),
            ("</1>;t=\"a\nb\"", LinkError::BadValue { offset: 9 }),
            ("</1>;t=\"ab", LinkError::OpenQuote { offset: 7 }),
            ("</1>;t=\"ab\\", LinkError::BadValue { offset: 10 }),
            ("</1>;t=\"a\"b", LinkError::NoSeparator { offset: 10 }),
            ("</1>;\u{e4}=1", LinkError::BadName { offset: 5 }),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let list = |count| vec!["</1>"; count].join(",");
        assert_eq!(parse(&list(MAX_LINKS)).unwrap().len(), MAX_LINKS);
        assert_eq!(parse(&list(MAX_LINKS + 1)), Err(LinkError::TooManyLinks));
        let parameters = |count| format!("</1>{}", ";a".repeat(count));
        assert!(parse(&parameters(MAX_PARAMETERS)).is_ok());
        assert!(matches!(
            parse(&parameters(MAX_PARAMETERS + 1)),
            Err(LinkError::TooManyParameters { .. })
        ));
        let long = " ".repeat(MAX_PAYLOAD + 1);
        assert_eq!(parse(&long), Err(LinkError::TooLong(MAX_PAYLOAD + 1)));
    }

    #[test]
    fn links_are_built_and_asked() {
        let link = Link::new("/3/0").plain("pmin", "10").quoted("ct", "60 112").flag("obs");
        assert_eq!(written(std::slice::from_ref(&link)), "</3/0>;pmin=10;ct=\"60 112\";obs");
        assert_eq!(link.parameter("pmin"), Some("10"));
        assert_eq!(link.parameter("ct"), Some("60 112"));
        assert_eq!(link.parameter("obs"), Some(""));
        assert_eq!(link.parameter("pmax"), None);
    }

    #[test]
    fn values_that_need_quotes_get_them() {
        let link = Link::new("/1").plain("a", "1 2").plain("b", "").quoted("c", "x\ny\"");
        assert_eq!(written(&[link]), "</1>;a=\"1 2\";b=\"\";c=\"xy\\\"\"");
    }
}
