//! Server URIs (`/0/x/0`) of the bindings that are here: UDP with and without
//! DTLS (Transport 3, RFC 7252 6).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// Where a server is: `coaps://host:5684/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUri {
    scheme: Scheme,
    host: Host,
    port: u16,
    path: Vec<String>,
}

impl ServerUri {
    /// Reads a URI.
    ///
    /// # Errors
    ///
    /// It is none, it has parts that a Server URI cannot have, or its binding is
    /// not here.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        if uri.len() > MAX_URI {
            return Err(UriError::TooLong { len: uri.len() });
        }
        let shown = || uri.to_owned();
        if let Some(character) = uri.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UriError::Character { uri: shown(), character });
        }
        let (scheme, rest) = uri.split_once(':').ok_or_else(|| UriError::NoScheme(shown()))?;
        let scheme = Scheme::parse(scheme)?;
        let rest = rest.strip_prefix("//").ok_or_else(|| UriError::NoHost(shown()))?;
        if let Some(part) = rest.chars().find(|c| matches!(c, '?' | '#')) {
            return Err(UriError::Part { uri: shown(), part });
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(UriError::Part { uri: shown(), part: '@' });
        }
        let (host, port) = split_port(authority).ok_or_else(|| UriError::Ipv6(shown()))?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(port) => port_number(port)
                .ok_or_else(|| UriError::Port { uri: shown(), port: port.to_owned() })?,
        };
        let host = Host::parse(host).map_err(|error| match error {
            HostError::Empty => UriError::NoHost(shown()),
            HostError::Ipv6 => UriError::Ipv6(shown()),
            HostError::Character(character) => UriError::Character { uri: shown(), character },
        })?;
        Ok(Self { scheme, host, port, path: segments(path, uri)? })
    }

    /// Which protocol speaks there.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whose address counts.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The UDP port, 1 to 65535.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Segments of the path, decoded. Requests go below them: `/rd` follows.
    pub fn path(&self) -> &[String] {
        &self.path
    }
}

impl FromStr for ServerUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        Self::parse(uri)
    }
}

/// The scheme of a Server URI, as far as its binding is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// CoAP over UDP, for security mode NoSec.
    Coap,
    /// CoAP over DTLS.
    Coaps,
}

impl Scheme {
    /// RFC 7252 6.1 and 6.2.
    const fn default_port(self) -> u16 {
        match self {
            Self::Coap => 5683,
            Self::Coaps => 5684,
        }
    }

    fn parse(scheme: &str) -> Result<Self, UriError> {
        let scheme = scheme.to_ascii_lowercase();
        match scheme.as_str() {
            "coap" => return Ok(Self::Coap),
            "coaps" => return Ok(Self::Coaps),
            _ => {}
        }
        Err(match OTHER_BINDINGS.iter().find(|(other, _)| *other == scheme) {
            Some((_, binding)) => UriError::Binding { scheme, binding },
            None => UriError::Scheme(scheme),
        })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coap => "coap",
            Self::Coaps => "coaps",
        })
    }
}

/// The host of a Server URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to be resolved, in lower case.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads what stands for the host in a URI.
    pub(crate) fn parse(host: &str) -> Result<Self, HostError> {
        if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').unwrap_or(inner);
            let address = inner.parse::<Ipv6Addr>().map_err(|_| HostError::Ipv6)?;
            return Ok(Self::Address(address.into()));
        }
        if host.is_empty() {
            return Err(HostError::Empty);
        }
        if let Ok(address) = host.parse() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match host.chars().find(|c| !allowed(c)) {
            Some(character) => Err(HostError::Character(character)),
            None => Ok(Self::Name(host.to_ascii_lowercase())),
        }
    }

    /// As resolvers and TLS want it, without brackets.
    pub(crate) fn bare(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// As in a URI, an IPv6 address in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Why text is no host.
pub(crate) enum HostError {
    Empty,
    /// Not an IPv6 address in its brackets.
    Ipv6,
    /// A character that no host has.
    Character(char),
}

/// Why text is no Server URI.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UriError {
    /// Longer than [`MAX_URI`].
    #[error("the server URI has {len} bytes, allowed are {MAX_URI}")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// No scheme.
    #[error("server URI {0:?} has no scheme: write coap://HOST or coaps://HOST")]
    NoScheme(String),
    /// A scheme that LwM2M does not know.
    #[error("scheme {0:?} is none of LwM2M: write coap://HOST or coaps://HOST")]
    Scheme(String),
    /// A scheme of LwM2M whose binding is not here.
    #[error("scheme {scheme} needs the {binding} binding, which this build does not have")]
    Binding {
        /// The scheme.
        scheme: String,
        /// What is missing.
        binding: &'static str,
    },
    /// No host.
    #[error("server URI {0:?} names no host")]
    NoHost(String),
    /// Not an IPv6 address in brackets. One with a zone is none: a server cannot
    /// be told the name of our interface.
    #[error("server URI {0:?}: what stands in brackets must be an IPv6 address without a zone")]
    Ipv6(String),
    /// Not a port.
    #[error("server URI {uri:?}: port {port:?} is not a number from 1 to 65535")]
    Port {
        /// The URI.
        uri: String,
        /// What stands for the port.
        port: String,
    },
    /// A user, a query or a fragment.
    #[error("server URI {uri:?}: a server URI has no {part:?} part")]
    Part {
        /// The URI.
        uri: String,
        /// The character that begins or ends the part.
        part: char,
    },
    /// A character that does not belong there.
    #[error("server URI {uri:?}: character {character:?} is not allowed here")]
    Character {
        /// The URI.
        uri: String,
        /// The character.
        character: char,
    },
    /// A path that cannot be decoded.
    #[error("server URI {0:?}: the path has a % without two hex digits, or is not UTF-8")]
    Path(String),
}

/// Host and port of an authority; `None` for an IPv6 address without its
/// brackets.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    if authority.starts_with('[') != (end > 0) {
        return None;
    }
    let (host, rest) = authority.split_at(end);
    match (host.is_empty(), rest.split_once(':')) {
        (true, None) => Some((rest, None)),
        (true, Some((_, port))) if port.contains(':') => None,
        (true, Some((host, port))) => Some((host, Some(port))),
        (false, None) => rest.is_empty().then_some((host, None)),
        (false, Some((between, port))) => between.is_empty().then_some((host, Some(port))),
    }
}

pub(crate) fn port_number(port: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse().ok().filter(|port| digits && *port != 0)
}

/// The segments of a path without its first slash. Slashes at its end say
/// nothing, as `/rd` follows.
fn segments(path: &str, uri: &str) -> Result<Vec<String>, UriError> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.split('/')
        .map(|segment| percent_decoded(segment).ok_or_else(|| UriError::Path(uri.to_owned())))
        .collect()
}

pub(crate) fn percent_decoded(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        decoded.push(match byte {
            b'%' => u8::try_from(digit()? << 4 | digit()?).ok()?,
            plain => plain,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Longest Server URI in bytes (`/0/x/0`).
pub const MAX_URI: usize = 255;

/// Schemes of LwM2M whose bindings are not here (Transport 1.1).
const OTHER_BINDINGS: [(&str, &str); 10] = [
    ("coap+tcp", "TCP"),
    ("coaps+tcp", "TCP"),
    ("coap+ws", "WebSocket"),
    ("coaps+ws", "WebSocket"),
    ("coap+sms", "SMS"),
    ("sms", "SMS"),
    ("mqtt", "MQTT"),
    ("mqtts", "MQTT"),
    ("http", "HTTP"),
    ("https", "HTTP"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// TRN-01.
    #[test]
    fn uris_are_read() {
        for (uri, scheme, host, port, path) in [
            ("coap://h", "coap", "h", 5683, &[][..]),
            ("coaps://h", "coaps", "h", 5684, &[]),
            ("COAPS://Lwm2m.Example.ORG", "coaps", "lwm2m.example.org", 5684, &[]),
            ("coap://h:", "coap", "h", 5683, &[]),
            ("coap://h/", "coap", "h", 5683, &[]),
            ("coap://h:1", "coap", "h", 1, &[]),
            ("coaps://h:65535/a/b", "coaps", "h", 65535, &["a", "b"]),
            ("coap://h/a%20b/%C3%9F/", "coap", "h", 5683, &["a b", "ß"]),
            ("coap://h/a//b", "coap", "h", 5683, &["a", "", "b"]),
            ("coap://192.0.2.7:99", "coap", "192.0.2.7", 99, &[]),
            ("coaps://[2001:db8::2:1]/", "coaps", "[2001:db8::2:1]", 5684, &[]),
            ("coaps://[::1]:5685/x", "coaps", "[::1]", 5685, &["x"]),
        ] {
            let read = ServerUri::parse(uri).unwrap();
            assert_eq!(read.scheme().to_string(), scheme, "{uri}");
            assert_eq!(read.host().to_string(), host, "{uri}");
            assert_eq!(read.port(), port, "{uri}");
            assert_eq!(read.path(), path, "{uri}");
        }
        assert!(matches!("coap://[::1]".parse::<ServerUri>().unwrap().host(), Host::Address(_)));
    }

    #[test]
    fn a_wrong_uri_is_one_clear_line() {
        for (uri, error) in [
            ("", r#"server URI "" has no scheme: write coap://HOST or coaps://HOST"#),
            ("host", r#"server URI "host" has no scheme: write coap://HOST or coaps://HOST"#),
            ("ftp://h", r#"scheme "ftp" is none of LwM2M: write coap://HOST or coaps://HOST"#),
            ("h:5683", r#"scheme "h" is none of LwM2M: write coap://HOST or coaps://HOST"#),
            (
                "coaps+tcp://h",
                "scheme coaps+tcp needs the TCP binding, which this build does not have",
            ),
            ("MQTT://h", "scheme mqtt needs the MQTT binding, which this build does not have"),
            ("coap:h", r#"server URI "coap:h" names no host"#),
            ("coap://", r#"server URI "coap://" names no host"#),
            ("coap://:5683", r#"server URI "coap://:5683" names no host"#),
            ("coap://h:0", r#"server URI "coap://h:0": port "0" is not a number from 1 to 65535"#),
            (
                "coap://h:65536",
                r#"server URI "coap://h:65536": port "65536" is not a number from 1 to 65535"#,
            ),
            (
                "coap://h:+1",
                r#"server URI "coap://h:+1": port "+1" is not a number from 1 to 65535"#,
            ),
            (
                "coap://::1",
                r#"server URI "coap://::1": what stands in brackets must be an IPv6 address without a zone"#,
            ),
            (
                "coap://[fe80::1%25eth0]",
                r#"server URI "coap://[fe80::1%25eth0]": what stands in brackets must be an IPv6 address without a zone"#,
            ),
            (
                "coap://[::1",
                r#"server URI "coap://[::1": what stands in brackets must be an IPv6 address without a zone"#,
            ),
            (
                "coap://[::1]x",
                r#"server URI "coap://[::1]x": what stands in brackets must be an IPv6 address without a zone"#,
            ),
            ("coap://u@h", r#"server URI "coap://u@h": a server URI has no '@' part"#),
            ("coap://h?x", r#"server URI "coap://h?x": a server URI has no '?' part"#),
            ("coap://h/#x", r#"server URI "coap://h/#x": a server URI has no '#' part"#),
            ("coap://a b", r#"server URI "coap://a b": character ' ' is not allowed here"#),
            ("coap://ß", r#"server URI "coap://ß": character 'ß' is not allowed here"#),
            ("coap://h\n", r#"server URI "coap://h\n": character '\n' is not allowed here"#),
            ("coap://a,b", r#"server URI "coap://a,b": character ',' is not allowed here"#),
            (
                "coap://h/%4",
                r#"server URI "coap://h/%4": the path has a % without two hex digits, or is not UTF-8"#,
            ),
            (
                "coap://h/%FF",
                r#"server URI "coap://h/%FF": the path has a % without two hex digits, or is not UTF-8"#,
            ),
        ] {
            assert_eq!(ServerUri::parse(uri).unwrap_err().to_string(), error, "{uri}");
        }
        let long = format!("coap://{}", "a".repeat(249));
        assert_eq!(ServerUri::parse(&long), Err(UriError::TooLong { len: 256 }));
        assert!(ServerUri::parse(&long[..255]).is_ok());
    }
}
