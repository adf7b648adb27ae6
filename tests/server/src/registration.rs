//! Registrations: what a Register and an Update say (Core 5.1, 5.2, 5.6), read
//! and checked. Where they are kept is `state`'s.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use lwm2m_codec::link_format;
use lwm2m_model::objects::id;
use lwm2m_model::{Code, ContentFormat, Path, RequestError, Version};

/// A registered device.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// Endpoint name.
    pub endpoint: String,
    /// Lifetime in seconds; 0 is for ever.
    pub lifetime: u64,
    /// LwM2M version it declared.
    pub version: Version,
    /// Binding letters as they came, without the `Q` of LwM2M 1.0.
    pub binding: String,
    /// It uses queue mode.
    pub queue: bool,
    /// Objects and instances, in the order of the list.
    pub links: Vec<RegisteredLink>,
    /// Formats it announced on the root link.
    pub formats: Vec<ContentFormat>,
    /// Segments of the alternate path, if it has one (Transport 2.2).
    pub root: Vec<String>,
    /// Where Updates go: `/rd/` and an identifier.
    pub location: String,
    /// The address it sent from last.
    pub peer: SocketAddr,
    /// The PSK identity of its link; `None` without security.
    pub identity: Option<Vec<u8>>,
    /// Updates since the Register.
    pub updates: u64,
    /// Believed to listen; always true without queue mode.
    pub awake: bool,
    /// When it registered.
    pub registered_at: SystemTime,
}

impl Registration {
    /// True if the object or instance is in the list.
    pub fn has(&self, path: &Path) -> bool {
        self.links.iter().any(|link| path.contains(&link.path))
    }

    /// How long the registration holds without an Update; `None` is for ever.
    pub fn holds_for(&self) -> Option<Duration> {
        (self.lifetime > 0).then(|| Duration::from_secs(self.lifetime))
    }
}

/// One link of an object list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredLink {
    /// `/o` or `/o/i`.
    pub path: Path,
    /// Version of the object, where the list says it.
    pub version: Option<Version>,
}

/// An object list (Core 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ObjectList {
    pub(crate) links: Vec<RegisteredLink>,
    pub(crate) formats: Vec<ContentFormat>,
    pub(crate) root: Vec<String>,
}

impl ObjectList {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, RequestError> {
        let text = std::str::from_utf8(payload).map_err(|_| bad("the object list is not UTF-8"))?;
        let links = link_format::parse(text)
            .map_err(|error| bad(format!("the object list is malformed: {error}")))?;
        let mut list = Self::default();
        if let Some(root) = links.iter().find(|link| is_root(link)) {
            list.root = segments(&root.target);
            if list.root.iter().any(|segment| segment.parse::<u32>().is_ok()) {
                return Err(bad("the alternate path has a segment that is a number"));
            }
            list.formats = formats(root.parameter("ct").unwrap_or_default())?;
        }
        let mut seen = BTreeSet::new();
        for link in links.iter().filter(|link| !is_root(link)) {
            let link = list.registered(link)?;
            if !seen.insert(link.path.clone()) {
                return Err(bad(format!("the object list has {} twice", link.path)));
            }
            list.links.push(link);
        }
        Ok(list)
    }

    fn registered(&self, link: &link_format::Link<'_>) -> Result<RegisteredLink, RequestError> {
        let target = segments(&link.target);
        let below = target
            .strip_prefix(self.root.as_slice())
            .ok_or_else(|| bad(format!("<{}> is not below the alternate path", link.target)))?;
        let path = Path::from_segments(below.iter().map(String::as_str))
            .map_err(|error| bad(format!("<{}>: {error}", link.target)))?;
        if !matches!(path.depth(), 1 | 2) || path.prefix().is_some() {
            return Err(bad(format!("<{}> is no object or object instance", link.target)));
        }
        if path.object_id().is_some_and(|object| HIDDEN_OBJECTS.contains(&object)) {
            return Err(bad(format!("{path} must not be listed")));
        }
        let version = match link.parameter("ver") {
            Some(text) => Some(text.parse().map_err(|_| bad(format!("{path}: bad ver {text}")))?),
            None => None,
        };
        Ok(RegisteredLink { path, version })
    }
}

/// The parameters of a Register or Update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parameters {
    pub(crate) endpoint: Option<String>,
    pub(crate) lifetime: Option<u64>,
    pub(crate) version: Option<String>,
    pub(crate) binding: Option<String>,
    pub(crate) queue: bool,
    pub(crate) profile: bool,
}

impl Parameters {
    pub(crate) fn parse(queries: &[String]) -> Result<Self, RequestError> {
        let mut parameters = Self::default();
        let mut seen = BTreeSet::new();
        for query in queries {
            let (name, value) = match query.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (query.as_str(), None),
            };
            if !seen.insert(name) {
                return Err(bad(format!("parameter {name} comes twice")));
            }
            parameters.set(name, value)?;
        }
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), RequestError> {
        match (name, value) {
            ("ep", Some(name)) if (1..=MAX_ENDPOINT).contains(&name.len()) => {
                self.endpoint = Some(name.to_owned());
            }
            ("ep", _) => return Err(bad(format!("ep has 1 to {MAX_ENDPOINT} bytes"))),
            ("lt", Some(digits)) => {
                let number = digits.bytes().all(|byte| byte.is_ascii_digit());
                let lifetime = number.then(|| digits.parse::<u32>().ok()).flatten();
                let lifetime = lifetime.ok_or_else(|| bad(format!("bad lifetime \"{digits}\"")))?;
                self.lifetime = Some(u64::from(lifetime));
            }
            ("lwm2m", Some(version)) => self.version = Some(version.to_owned()),
            ("b", Some(letters)) => self.set_binding(letters)?,
            ("Q", None) => self.queue = true,
            ("Q", Some(_)) => return Err(bad("Q has no value")),
            ("sms", Some(_)) => {}
            ("pid", Some(_)) => self.profile = true,
            (name, None) => return Err(bad(format!("parameter {name} without value"))),
            (name, Some(_)) => return Err(bad(format!("unknown parameter {name}"))),
        }
        Ok(())
    }

    /// `U`, `UT`, and with LwM2M 1.0 `UQ`, `UQS` (Core 5.5).
    fn set_binding(&mut self, letters: &str) -> Result<(), RequestError> {
        let mut binding = String::new();
        for letter in letters.chars() {
            match letter {
                'Q' => self.queue = true,
                'U' | 'M' | 'H' | 'T' | 'S' | 'N' if !binding.contains(letter) => {
                    binding.push(letter);
                }
                _ => return Err(bad(format!("bad binding \"{letters}\""))),
            }
        }
        if binding.is_empty() {
            return Err(bad(format!("bad binding \"{letters}\"")));
        }
        self.binding = Some(binding);
        Ok(())
    }
}

/// A refusal with 4.00.
pub(crate) fn bad(reason: impl Into<std::borrow::Cow<'static, str>>) -> RequestError {
    RequestError::new(Code::BAD_REQUEST, reason)
}

fn is_root(link: &link_format::Link<'_>) -> bool {
    link.target == "/" || link.target.is_empty() || link.parameter("rt") == Some("oma.lwm2m")
}

fn segments(target: &str) -> Vec<String> {
    target.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn formats(numbers: &str) -> Result<Vec<ContentFormat>, RequestError> {
    numbers
        .split_ascii_whitespace()
        .map(|number| number.parse().map(ContentFormat))
        .collect::<Result<_, _>>()
        .map_err(|_| bad(format!("bad ct \"{numbers}\" on the root link")))
}

const MAX_ENDPOINT: usize = 255;
/// Never listed (Core 5.2).
const HIDDEN_OBJECTS: [u16; 3] = [id::SECURITY, id::OSCORE, id::COSE];

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Result<Parameters, RequestError> {
        Parameters::parse(&query.split('&').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn queue_mode_by_flag_and_by_letter() {
        for (query, binding) in [("b=U&Q", "U"), ("b=UQ", "U"), ("b=UQS", "US")] {
            let parsed = parameters(query).unwrap();
            assert!(parsed.queue, "{query}");
            assert_eq!(parsed.binding.as_deref(), Some(binding));
        }
        assert!(!parameters("b=UT").unwrap().queue);
    }

    #[test]
    fn nonsense_in_parameters_is_named() {
        for (query, reason) in [
            ("ep=", "ep has 1 to 255 bytes"),
            ("ep", "ep has 1 to 255 bytes"),
            ("lt=x", "bad lifetime \"x\""),
            ("lt=-1", "bad lifetime \"-1\""),
            ("lt=4294967296", "bad lifetime \"4294967296\""),
            ("lt=1&lt=1", "parameter lt comes twice"),
            ("b=X", "bad binding \"X\""),
            ("b=", "bad binding \"\""),
            ("b=UU", "bad binding \"UU\""),
            ("Q=1", "Q has no value"),
            ("colour=red", "unknown parameter colour"),
            ("lwm2m", "parameter lwm2m without value"),
        ] {
            assert_eq!(parameters(query).unwrap_err().reason, reason, "{query}");
        }
    }

    #[test]
    fn object_lists_give_paths_versions_and_formats() {
        let list =
            ObjectList::parse(br#"</>;ct="60 112",</1/0>,</3>;ver=1.2,</3/0>,</5>"#).unwrap();
        assert_eq!(list.formats, [ContentFormat::CBOR, ContentFormat::SENML_CBOR]);
        let paths: Vec<_> = list.links.iter().map(|link| link.path.to_string()).collect();
        assert_eq!(paths, ["/1/0", "/3", "/3/0", "/5"]);
        assert_eq!(list.links[1].version, Some(Version::V1_2));
        let list = ObjectList::parse(br#"</lwm2m>;rt="oma.lwm2m";ct=112,</lwm2m/1/0>"#).unwrap();
        assert_eq!(list.root, ["lwm2m"]);
        assert_eq!(list.links[0].path, Path::instance(1, 0));
    }

    #[test]
    fn wrong_object_lists_are_refused() {
        for list in [
            "</0/0>",
            "</21/0>",
            "</23>",
            "</3/0/1>",
            "</x/1>",
            "</3/65535>",
            "</3/0>,</3/0>",
            "</3>;ver=new",
            "</>;ct=x",
            "</7>;rt=\"oma.lwm2m\"",
            "</lwm2m>;rt=\"oma.lwm2m\",</3/0>",
            "3/0",
            "</3/0",
        ] {
            let refusal = ObjectList::parse(list.as_bytes()).unwrap_err();
            assert_eq!(refusal.code, Code::BAD_REQUEST, "{list}");
        }
        assert!(ObjectList::parse(b"</3/0>\xff").is_err());
    }
}
