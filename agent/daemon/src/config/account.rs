//! A server account out of its tree, and what must hold between its values.

use std::path::PathBuf;
use std::time::Duration;

use lwm2m_engine::{Account, Retry, SecurityMode};
use lwm2m_security::{KeySource, Secret};
use lwm2m_transport::{Scheme, ServerUri};

use super::position::ConfigError;
use super::tree::{Node, below};
use super::{BINDINGS, PskSettings, Server};

/// Makes an account of a checked tree; adds to `errors` what contradicts.
pub(super) fn server(node: &Node, key: &str, errors: &mut Vec<ConfigError>) -> Option<Server> {
    let short_server_id = node.get("short_server_id").and_then(Node::integer)?;
    let uri = node.get("uri")?;
    let security = node.get("security")?;
    let mode = security_mode(security)?;
    check_uri(uri, mode, &below(key, "uri"), errors);

    let mut account = Account::new(u16::try_from(short_server_id).ok()?, uri.text()?);
    account.security = mode;
    set(&mut account.lifetime, number(node, "lifetime"));
    set(&mut account.disable_timeout, number(node, "disable_timeout"));
    set(&mut account.queue_mode, flag(node, "queue_mode"));
    set(&mut account.notification_storing, flag(node, "notification_storing"));
    set(&mut account.confirmable_notifications, flag(node, "confirmable_notifications"));
    account.awake_time = number(node, "awake_time").map(|s| Duration::from_secs(s.into()));
    account.default_pmin = number(node, "default_pmin");
    account.default_pmax = number(node, "default_pmax");
    if let Some(retry) = node.get("retry") {
        account.retry = read_retry(retry);
    }
    if let Some(binding) = node.get("binding") {
        check_binding(binding, &below(key, "binding"), errors);
        set(&mut account.binding, binding.text().map(str::to_owned));
    }
    let psk = psk(security, mode, &below(key, "security"), errors);
    if let Some(psk) = &psk {
        account.identity.clone_from(&psk.identity);
    }
    Some(Server { account, psk })
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

fn number(node: &Node, key: &str) -> Option<u32> {
    node.get(key).and_then(Node::integer).and_then(|number| u32::try_from(number).ok())
}

fn flag(node: &Node, key: &str) -> Option<bool> {
    node.get(key).and_then(Node::boolean)
}

fn read_retry(node: &Node) -> Retry {
    let mut retry = Retry::default();
    set(&mut retry.count, number(node, "count"));
    set(&mut retry.timer, number(node, "timer"));
    set(&mut retry.sequence_delay, number(node, "sequence_delay"));
    set(&mut retry.sequence_count, number(node, "sequence_count"));
    retry
}

pub(super) fn security_mode(security: &Node) -> Option<SecurityMode> {
    match security.get("mode").and_then(Node::text)? {
        "psk" => Some(SecurityMode::Psk),
        "nosec" => Some(SecurityMode::NoSec),
        // Refused by the shape.
        _ => None,
    }
}

/// A URI that the transport takes. Scheme and security mode belong together
/// (Transport 6): nobody shall think that a link is secured when it is not.
fn check_uri(node: &Node, mode: SecurityMode, key: &str, errors: &mut Vec<ConfigError>) {
    let Some(uri) = node.text() else { return };
    let (wanted, mode) = match mode {
        SecurityMode::NoSec => (Scheme::Coap, "nosec"),
        // Modes to come use DTLS too.
        _ => (Scheme::Coaps, "psk"),
    };
    let message = match ServerUri::parse(uri).map(|uri| uri.scheme()) {
        Ok(scheme) if scheme == wanted => return,
        Ok(scheme) => format!("security mode {mode} needs {wanted}://, got {scheme}://"),
        Err(error) => error.to_string(),
    };
    errors.push(ConfigError::new(&node.at, key, message));
}

/// Letters of Core 5.3.1.
fn check_binding(node: &Node, key: &str, errors: &mut Vec<ConfigError>) {
    let Some(letters) = node.text() else { return };
    for (place, letter) in letters.chars().enumerate() {
        let message = match letter {
            letter if letters.chars().take(place).any(|known| known == letter) => {
                format!("{letter} is given twice")
            }
            letter if BINDINGS.contains(letter) => continue,
            'M' | 'H' | 'T' | 'S' | 'N' => {
                format!("binding {letter} is not built into this version; it has {BINDINGS}")
            }
            'Q' => "Q is no binding any more; use queue_mode: true".into(),
            letter => format!("unknown binding {letter:?}; expected {BINDINGS}"),
        };
        errors.push(ConfigError::new(&node.at, key, message));
    }
}

pub(super) fn psk(
    security: &Node,
    mode: SecurityMode,
    key: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<PskSettings> {
    let (identity, source) = (security.get("identity"), security.get("key"));
    if mode == SecurityMode::NoSec {
        for (name, node) in [("identity", identity), ("key", source)] {
            if let Some(node) = node {
                let message = "security mode nosec uses none";
                errors.push(ConfigError::new(&node.at, &below(key, name), message));
            }
        }
        return None;
    }
    for (name, node) in [("identity", identity), ("key", source)] {
        if node.is_none() {
            let message = "missing; security mode psk needs it";
            errors.push(ConfigError::new(&security.at, &below(key, name), message));
        }
    }
    let (identity, node) = (identity?, source?);
    let key = below(key, "key");
    let source = key_source(node)?;
    // Keys that stand here can be judged here; files and credentials are loaded later.
    if let (KeySource::Hex(_) | KeySource::Base64(_), Err(error)) = (&source, source.load(None)) {
        errors.push(ConfigError::new(&node.at, &key, error.to_string()));
    }
    Some(PskSettings { identity: identity.text()?.to_owned(), source, at: node.at.clone(), key })
}

pub(super) fn key_source(node: &Node) -> Option<KeySource> {
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    text("credential")
        .map(KeySource::Credential)
        .or_else(|| text("file").map(|path| KeySource::File(PathBuf::from(path))))
        .or_else(|| text("hex").map(|digits| KeySource::Hex(Secret::from(digits))))
        .or_else(|| text("base64").map(|digits| KeySource::Base64(Secret::from(digits))))
}
