//! Where a package is (`/5/0/1`), and the origin that credentials belong to (RFC 6454 4,
//! RFC 9110 4.3.1).

use std::fmt;

use lwm2m_engine::{FetchFailure, FetchFailureKind};
use thiserror::Error;

use crate::Host;
use crate::uri::{HostError, port_number, split_port};

use super::reference;

/// A URI of a package.
///
/// Servers can read `/5/0/1`, so a URI with a user or password in it is refused, and no
/// error quotes what was written. `Display` shows no query, since many carry a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageUri {
    origin: Origin,
    /// Path and query, at least `/`.
    target: String,
}

impl PackageUri {
    /// Reads an absolute URI; its fragment, if it has one, says nothing to a server and is
    /// left out.
    ///
    /// # Errors
    ///
    /// It is none, has credentials in it, or has a scheme that no package comes by.
    pub fn parse(uri: &str) -> Result<Self, PackageUriError> {
        if uri.len() > MAX_PACKAGE_URI {
            return Err(PackageUriError::TooLong { len: uri.len() });
        }
        if let Some(character) = uri.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(PackageUriError::Character(character));
        }
        let uri = uri.split_once('#').map_or(uri, |(uri, _)| uri);
        let (scheme, rest) = reference::scheme(uri).ok_or(PackageUriError::NoScheme)?;
        let scheme = PackageScheme::parse(scheme)?;
        let rest = rest.strip_prefix("//").ok_or(PackageUriError::NoHost)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(PackageUriError::Credentials);
        }
        let (host, port) = split_port(authority).ok_or(PackageUriError::Ipv6)?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(port) => port_number(port).ok_or(PackageUriError::Port)?,
        };
        let host = Host::parse(host)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { origin: Origin { scheme, host, port }, target: format!("{slash}{target}") })
    }

    /// What `reference` means as seen from here, such as a Location (RFC 3986 5.2).
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn join(&self, reference: &str) -> Result<Self, PackageUriError> {
        let (scheme, origin) = (self.origin.scheme, self.origin.authority());
        Self::parse(&reference::resolve(scheme.name(), &origin, &self.target, reference))
    }

    /// Whose package it is.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Path and query as they are written, at least `/`.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for PackageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}{path}", self.origin)
    }
}

/// Scheme, host and port: what one server answers for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: PackageScheme,
    host: Host,
    port: u16,
}

impl Origin {
    /// Reads `scheme://host[:port]`, with or without a slash at its end.
    ///
    /// # Errors
    ///
    /// As [`PackageUri::parse`], or a path or query follows.
    pub fn parse(origin: &str) -> Result<Self, PackageUriError> {
        let uri = PackageUri::parse(origin)?;
        if uri.target != "/" || origin.contains('#') {
            return Err(PackageUriError::NotOrigin);
        }
        Ok(uri.origin)
    }

    /// The protocol.
    pub const fn scheme(&self) -> PackageScheme {
        self.scheme
    }

    /// The server.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 1 to 65535; that of the scheme if none was written.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `host`, and `:port` unless it is that of the scheme: what a Host field holds
    /// (RFC 9110 7.2).
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            return self.host.to_string();
        }
        format!("{}:{}", self.host, self.port)
    }
}

/// `https://host`, with the port unless it is that of the scheme.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.authority())
    }
}

/// By which protocol a package comes (`/5/0/8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackageScheme {
    /// CoAP over UDP.
    Coap,
    /// CoAP over DTLS.
    Coaps,
    /// HTTP over TCP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl PackageScheme {
    const ALL: [Self; 4] = [Self::Coap, Self::Coaps, Self::Http, Self::Https];

    fn parse(scheme: &str) -> Result<Self, PackageUriError> {
        let known = Self::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(scheme));
        known.ok_or_else(|| PackageUriError::Scheme(scheme.to_owned()))
    }

    /// As in a URI, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coap => "coap",
            Self::Coaps => "coaps",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// RFC 7252 6.1 and 6.2, RFC 9110 4.2.1 and 4.2.2.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Coap => 5683,
            Self::Coaps => 5684,
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Why text is no URI of a package. It quotes nothing that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackageUriError {
    /// Longer than [`MAX_PACKAGE_URI`].
    #[error("the URI has {len} bytes, allowed are {MAX_PACKAGE_URI}")]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// No scheme.
    #[error("the URI has no scheme: it begins with coap://, coaps://, http:// or https://")]
    NoScheme,
    /// A scheme that no package comes by.
    #[error("the URI scheme {0:?} is not supported: coap, coaps, http and https are")]
    Scheme(String),
    /// No host.
    #[error("the URI names no host")]
    NoHost,
    /// A user, perhaps with a password.
    #[error("the URI has credentials before its host, where every server could read them")]
    Credentials,
    /// Not an IPv6 address in brackets.
    #[error("what stands in brackets in the URI must be an IPv6 address without a zone")]
    Ipv6,
    /// Not a port.
    #[error("the port of the URI is not a number from 1 to 65535")]
    Port,
    /// A character that does not belong there.
    #[error("character {0:?} is not allowed in the URI")]
    Character(char),
    /// More than an origin where one was asked for.
    #[error("an origin is scheme://host or scheme://host:port, without a path")]
    NotOrigin,
}

impl From<HostError> for PackageUriError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Empty => Self::NoHost,
            HostError::Ipv6 => Self::Ipv6,
            HostError::Character(character) => Self::Character(character),
        }
    }
}

/// Results 7 and 9 of Objects 7.
impl From<PackageUriError> for FetchFailure {
    fn from(error: PackageUriError) -> Self {
        let kind = match error {
            PackageUriError::Scheme(_) => FetchFailureKind::UnsupportedScheme,
            _ => FetchFailureKind::InvalidUri,
        };
        Self::new(kind, error.to_string())
    }
}

/// Longest URI in bytes. `/5/0/1` has 255 at most; what a server redirects to may be
/// longer, since signed links are.
pub const MAX_PACKAGE_URI: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (uri, shown, host, port, target) in [
            ("http://h", "http://h/", "h", 80, "/"),
            (
                "HTTPS://Fw.Example:443/a/b?c=d#e",
                "https://fw.example/a/b",
                "fw.example",
                443,
                "/a/b?c=d",
            ),
            ("https://h:8443?q", "https://h:8443/", "h", 8443, "/?q"),
            ("http://h:443/", "http://h:443/", "h", 443, "/"),
            ("https://h:/x", "https://h/x", "h", 443, "/x"),
            (
                "https://[2001:DB8::1]:8443/x",
                "https://[2001:db8::1]:8443/x",
                "[2001:db8::1]",
                8443,
                "/x",
            ),
            ("https://192.0.2.1/x@y", "https://192.0.2.1/x@y", "192.0.2.1", 443, "/x@y"),
            ("coap://h/x", "coap://h/x", "h", 5683, "/x"),
            ("coaps://h/x", "coaps://h/x", "h", 5684, "/x"),
        ] {
            let read = PackageUri::parse(uri).unwrap();
            assert_eq!(read.to_string(), shown, "{uri}");
            assert_eq!(read.origin().host().to_string(), host, "{uri}");
            assert_eq!((read.origin().port(), read.target()), (port, target), "{uri}");
        }
        let same = ["https://h", "https://H:443/", "HTTPS://h:"];
        let same = same.map(|origin| Origin::parse(origin).unwrap());
        assert!(same.iter().all(|origin| *origin == same[0]));
        for other in ["http://h:443", "https://h:444", "https://i"] {
            assert_ne!(Origin::parse(other).unwrap(), same[0], "{other}");
        }
        for more in ["https://h/x", "https://h?x", "https://h#x"] {
            assert_eq!(Origin::parse(more), Err(PackageUriError::NotOrigin), "{more}");
        }
    }

    #[test]
    fn what_is_no_uri_of_a_package_is_told_without_quoting_it() {
        use FetchFailureKind::{InvalidUri, UnsupportedScheme};
        for (uri, kind, cause) in [
            ("", InvalidUri, "the URI has no scheme: "),
            ("/path:x", InvalidUri, "the URI has no scheme: "),
            ("1http://h", InvalidUri, "the URI has no scheme: "),
            ("ftp://u:secret@h", UnsupportedScheme, "the URI scheme \"ftp\" is not supported: "),
            ("h:80/x", UnsupportedScheme, "the URI scheme \"h\" is not supported: "),
            ("http:h", InvalidUri, "the URI names no host"),
            ("http://", InvalidUri, "the URI names no host"),
            ("http:///secret", InvalidUri, "the URI names no host"),
            ("http://:80", InvalidUri, "the URI names no host"),
            ("https://u:secret@h/x", InvalidUri, "the URI has credentials before its host, "),
            ("https://secret@h", InvalidUri, "the URI has credentials before its host, "),
            ("https://secret@h@h", InvalidUri, "the URI has credentials before its host, "),
            ("http://::1/", InvalidUri, "what stands in brackets "),
            ("http://[fe80::1%25eth0]/", InvalidUri, "what stands in brackets "),
            ("http://h:0", InvalidUri, "the port of the URI "),
            ("http://h:secret", InvalidUri, "the port of the URI "),
            ("http://h/a b", InvalidUri, "character ' ' "),
            ("http://h/\r\nX:", InvalidUri, "character '\\r' "),
            ("http://ß/", InvalidUri, "character 'ß' "),
            ("http://a,b/", InvalidUri, "character ',' "),
        ] {
            let failure = FetchFailure::from(PackageUri::parse(uri).unwrap_err());
            assert_eq!(failure.kind, kind, "{uri}");
            assert!(failure.cause.starts_with(cause), "{uri}: {failure}");
            assert!(!failure.cause.contains("secret"), "{uri}: {failure}");
        }
        let long = format!("http://h/{}", "a".repeat(MAX_PACKAGE_URI - 8));
        assert_eq!(PackageUri::parse(&long), Err(PackageUriError::TooLong { len: 4097 }));
        assert!(PackageUri::parse(&long[..MAX_PACKAGE_URI]).is_ok());
    }
}
