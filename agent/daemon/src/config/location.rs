//! `objects.location`: which source, and the keys that belong to it.

use lwm2m_objects::{GPSD_ADDRESS, LocationConfig, Place};

use super::keys::POSITIONS;
use super::position::{ConfigError, Position};
use super::shape::is_among;
use super::tree::Node;

/// What is configured; adds what is wrong beyond types and ranges to `errors`.
pub(super) fn location(node: &Node, errors: &mut Vec<ConfigError>) -> Option<LocationConfig> {
    let source = node.get("source").and_then(Node::text)?;
    if !is_among(POSITIONS, source) {
        // Refused by the shape; what it would take nobody knows.
        return None;
    }
    let mut wrong = |at: &Position, key: &str, message: String| {
        errors.push(ConfigError::new(at, &format!("objects.location{key}"), message));
    };
    for (key, of) in
        [("address", "gpsd"), ("latitude", "fixed"), ("longitude", "fixed"), ("altitude", "fixed")]
    {
        if let Some(value) = node.get(key).filter(|_| of != source) {
            wrong(&value.at, &format!(".{key}"), format!("the source {source} takes no {key}"));
        }
    }
    match source {
        "gpsd" => {
            let Some(address) = node.get("address") else {
                return Some(LocationConfig::Gpsd(GPSD_ADDRESS.into()));
            };
            let text = address.text()?;
            if !is_address(text) {
                wrong(&address.at, ".address", format!("expected host:port, got {text:?}"));
            }
            Some(LocationConfig::Gpsd(text.into()))
        }
        "geoclue" => Some(LocationConfig::GeoClue),
        "fixed" => {
            for key in ["latitude", "longitude"] {
                if node.get(key).is_none() {
                    wrong(&node.at, "", format!("the source fixed needs a {key}"));
                }
            }
            let number = |key: &str| node.get(key).and_then(Node::number);
            // The shape has checked the ranges.
            Place::new(number("latitude")?, number("longitude")?, number("altitude"))
                .map(LocationConfig::Fixed)
        }
        "modemmanager" => Some(LocationConfig::ModemManager),
        // The shape names what is none.
        _ => None,
    }
}

/// `host:port`; the host may be an IPv6 address in brackets.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.ends_with(']'),
        None => !host.is_empty() && !host.contains([':', '/', ' ']),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port != 0)
}
