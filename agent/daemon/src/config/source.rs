//! What is configured for one origin of packages (`objects.firmware.sources`), and which
//! of it goes together.

use lwm2m_engine::SecurityMode;
use lwm2m_security::KeySource;
use lwm2m_transport::{Origin, PackageScheme};

use super::account::{key_source, psk, security_mode};
use super::position::ConfigError;
use super::tree::{Node, below};
use super::{Authorization, Certificate, PackageSource, SecretSettings};

/// Makes the sources of a checked list; adds to `errors` what contradicts.
pub(super) fn sources(list: &Node, key: &str, errors: &mut Vec<ConfigError>) -> Vec<PackageSource> {
    let mut sources: Vec<PackageSource> = Vec::new();
    for (place, node) in list.elements().iter().enumerate() {
        let key = format!("{key}[{place}]");
        let Some(source) = source(node, &key, errors) else { continue };
        match sources.iter().find(|known| known.origin == source.origin) {
            Some(known) => {
                let message = format!("{} is taken by the source at {}", source.origin, known.at);
                errors.push(ConfigError::new(&source.at, &below(&key, "origin"), message));
            }
            None => sources.push(source),
        }
    }
    sources
}

fn source(node: &Node, key: &str, errors: &mut Vec<ConfigError>) -> Option<PackageSource> {
    let place = node.get("origin")?;
    let origin = match Origin::parse(place.text()?) {
        Ok(origin) => origin,
        Err(error) => {
            errors.push(ConfigError::new(&place.at, &below(key, "origin"), error.to_string()));
            return None;
        }
    };
    let before = errors.len();
    check_scheme(node, &origin, key, errors);
    let mut source = PackageSource {
        origin,
        at: place.at.clone(),
        key: key.to_owned(),
        ca: path(node, "ca"),
        authorization: authorization(node, key, errors),
        certificate: certificate(node, key, errors),
        psk: None,
    };
    if errors.len() == before && source.origin.scheme() == PackageScheme::Coaps {
        let security = node.get("security")?;
        source.psk = psk(security, security_mode(security)?, &below(key, "security"), errors);
    }
    (errors.len() == before).then_some(source)
}

/// Each scheme has its own keys: nobody shall think that something is used where it is not.
fn check_scheme(node: &Node, origin: &Origin, key: &str, errors: &mut Vec<ConfigError>) {
    let (allowed, needed): (&[&str], Option<&str>) = match origin.scheme() {
        PackageScheme::Coap => (&[], None),
        PackageScheme::Coaps => (&["security"], Some("security")),
        PackageScheme::Http => (&["user", "password", "token"], None),
        PackageScheme::Https => (&["ca", "user", "password", "token", "certificate", "key"], None),
    };
    let scheme = origin.scheme().name();
    for name in ["ca", "user", "password", "token", "certificate", "key", "security"] {
        if let Some(found) = node.get(name)
            && !allowed.contains(&name)
        {
            let message = format!("a source of {scheme} uses none");
            errors.push(ConfigError::new(&found.at, &below(key, name), message));
        }
    }
    match needed {
        Some(name) => match node.get(name) {
            None => {
                let message = format!("missing; a source of {scheme} needs it");
                errors.push(ConfigError::new(&node.at, &below(key, name), message));
            }
            Some(found) if security_mode(found) == Some(SecurityMode::NoSec) => {
                let message = format!("security mode nosec is not for {scheme}://");
                errors.push(ConfigError::new(&found.at, &below(key, name), message));
            }
            Some(_) => {}
        },
        None if allowed.iter().all(|name| node.get(name).is_none()) => {
            let message = format!("a source of {scheme} without credentials needs no entry");
            errors.push(ConfigError::new(&node.at, key, message));
        }
        None => {}
    }
}

/// The installer, which is another program, is told of files alone.
pub(super) fn check_streaming(source: &PackageSource, errors: &mut Vec<ConfigError>) {
    match &source.authorization {
        Some(Authorization::Basic { password: secret, .. } | Authorization::Bearer(secret)) => {
            errors.push(ConfigError::new(&secret.at, &secret.key, NOT_FOR_RAUC))
        }
        None => {}
    }
    match source.certificate.as_ref().map(|certificate| &certificate.key) {
        Some(SecretSettings { source: KeySource::File(_), .. }) | None => {}
        Some(key) => errors.push(ConfigError::new(&key.at, &key.key, NO_FILE)),
    }
}

fn authorization(node: &Node, key: &str, errors: &mut Vec<ConfigError>) -> Option<Authorization> {
    let (user, password) = pair(node, "user", "password", key, errors)?;
    let token = node.get("token");
    if let (Some(_), Some(token)) = (user.or(password), token) {
        let message = "either a user and a password, or a token";
        errors.push(ConfigError::new(&token.at, &below(key, "token"), message));
        return None;
    }
    match (user, password, token) {
        (Some(user), Some(password), _) => Some(Authorization::Basic {
            user: user.text()?.to_owned(),
            password: secret(password, &below(key, "password"))?,
        }),
        (_, _, Some(token)) => Some(Authorization::Bearer(secret(token, &below(key, "token"))?)),
        _ => None,
    }
}

fn certificate(node: &Node, key: &str, errors: &mut Vec<ConfigError>) -> Option<Certificate> {
    let (certificate, private) = pair(node, "certificate", "key", key, errors)?;
    let (certificate, private) = (certificate?, private?);
    Some(Certificate {
        file: certificate.text()?.into(),
        at: certificate.at.clone(),
        key: secret(private, &below(key, "key"))?,
    })
}

/// Two values that are of use together alone; `None` if one of them is missing.
fn pair<'a>(
    node: &'a Node,
    first: &str,
    second: &str,
    key: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<(Option<&'a Node>, Option<&'a Node>)> {
    let found = (node.get(first), node.get(second));
    let (there, missing) = match found {
        (Some(there), None) => (there, second),
        (None, Some(there)) => (there, first),
        (Some(_), Some(_)) | (None, None) => return Some(found),
    };
    let message = format!("missing; {first} and {second} go together");
    errors.push(ConfigError::new(&there.at, &below(key, missing), message));
    None
}

fn secret(node: &Node, key: &str) -> Option<SecretSettings> {
    Some(SecretSettings { source: key_source(node)?, at: node.at.clone(), key: key.to_owned() })
}

const NOT_FOR_RAUC: &str =
    "with streaming RAUC would write it to its log: use a certificate, or no streaming";
const NO_FILE: &str = "with streaming RAUC reads the key itself: expected {file: ...}";

fn path(node: &Node, key: &str) -> Option<std::path::PathBuf> {
    node.get(key).and_then(Node::text).map(Into::into)
}
