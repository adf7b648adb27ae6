//! The way to one server, and what the agent has met on it.
//!
//! Name and route are looked at now. What lies behind them is told by the agent's last
//! attempt: to try here would disturb it, and the server.

use std::net::SocketAddr;

use lwm2m_bus::{Finding, ServerStatus, in_words};
use lwm2m_transport::{ServerUri, look_up, route_to};
use tokio::time::{Instant, timeout_at};

/// What was seen of the way to a server.
#[derive(Debug)]
pub(crate) struct Way {
    /// Its addresses, or why there are none.
    addresses: Result<Vec<SocketAddr>, String>,
    /// How the first that can be reached is, or why none can.
    route: Result<String, String>,
}

/// Looks at the way to `uri`, not longer than `deadline`.
pub(crate) async fn way_to(uri: &str, deadline: Instant) -> Way {
    let addresses = match ServerUri::parse(uri) {
        Err(error) => Err(error.to_string()),
        Ok(parsed) => match timeout_at(deadline, look_up(&parsed)).await {
            Ok(found) => found,
            Err(_) => Err(format!("cannot resolve {}: no answer", parsed.host())),
        },
    };
    let mut route = Err("no address is known".to_owned());
    for address in addresses.iter().flatten() {
        route = route_to(*address).map(|local| format!("{address} is reached from {local}"));
        if route.is_ok() {
            break;
        }
    }
    Way { addresses, route }
}

/// What stands between the agent and `server`. What follows from a failure is left out,
/// but for the registration itself.
pub(crate) fn findings(server: &ServerStatus, way: &Way) -> Vec<Finding> {
    let mut found = path(server, way);
    found.push(registration(server));
    found.into_iter().map(|finding| finding.of_server(server.short_server_id)).collect()
}

fn path(server: &ServerStatus, way: &Way) -> Vec<Finding> {
    let is_registered = is_registered(server);
    let mut found = Vec::new();
    match &way.addresses {
        Ok(addresses) => {
            let all: Vec<String> = addresses.iter().map(|it| it.ip().to_string()).collect();
            found.push(Finding::ok("DNS", format!("{} leads to {}", server.uri, all.join(", "))));
        }
        // The registration was made with an address that was found before.
        Err(reason) => {
            let advice = "correct the name in uri, or the resolver (/etc/resolv.conf)";
            if is_registered {
                found.push(Finding::warning("DNS", reason, advice));
            } else {
                return vec![Finding::failed("DNS", reason, advice)];
            }
        }
    }
    match &way.route {
        Ok(route) => found.push(Finding::ok("route", route)),
        Err(_) if way.addresses.is_err() => {}
        Err(reason) => {
            let advice = "bring up a network with a route to it (ip route), or open the firewall \
                          of this device";
            found.push(Finding::failed("route", reason, advice));
            return found;
        }
    }
    let is_secure = server.security != "nosec";
    let met = if is_registered { Met::Answers } else { Met::by(server) };
    match met {
        Met::Closed => {
            found.push(Finding::failed(
                "port",
                last(server),
                "start the server, or correct the port in uri",
            ));
            return found;
        }
        Met::Answers => found.push(Finding::ok("port", "the server answers")),
        Met::Refused => found.push(Finding::ok("port", "the server answers the handshake")),
        Met::Silence if server.last_error.is_some() => {
            found.push(Finding::failed("port", last(server), FIREWALL));
            return found;
        }
        Met::Silence => {
            found.push(Finding::warning("port", "nothing was heard from the server yet", FIREWALL));
            return found;
        }
        Met::Other => {}
    }
    match met {
        Met::Refused => found.push(Finding::failed(
            "handshake",
            last(server),
            "make identity and key those that the server has for this device",
        )),
        Met::Answers if is_secure => {
            found.push(Finding::ok("handshake", format!("done ({})", server.security)));
        }
        Met::Answers => {
            found.push(Finding::ok("handshake", "none: the link is not secured (nosec)"));
        }
        Met::Silence | Met::Closed | Met::Other => {}
    }
    found
}

fn registration(server: &ServerStatus) -> Finding {
    const AREA: &str = "registration";
    let next = server.next_in.map_or_else(String::new, |seconds| {
        format!("; next attempt in {}", in_words(std::time::Duration::from_secs(seconds)))
    });
    match server.state.as_str() {
        "registered" | "asleep" => {
            Finding::ok(AREA, format!("{} with LwM2M {}", server.state, server.version))
        }
        "disabled" => Finding::warning(
            AREA,
            format!("the server has disabled itself{next}"),
            "lwm2mctl update registers now",
        ),
        _ if server.last_error.is_some() => Finding::failed(
            AREA,
            format!("{}{next}", last(server)),
            "if the server refuses it, give it this endpoint name and version; lwm2mctl update \
             tries again at once",
        ),
        state => Finding::warning(AREA, format!("not yet: {state}"), "ask again in a minute"),
    }
}

fn is_registered(server: &ServerStatus) -> bool {
    matches!(server.state.as_str(), "registered" | "asleep" | "disabled" | "de-registering")
}

/// What the last attempt has met at the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// Nothing listens.
    Closed,
    /// Nobody has said anything.
    Silence,
    /// Somebody, who did not want the handshake.
    Refused,
    /// Something in clear words, or under the right keys.
    Answers,
    /// Nothing that tells about the port.
    Other,
}

impl Met {
    /// The engine keeps the words of the link and not its kind of failure: the ones
    /// looked for are those of the links and of DTLS, and a test with each of these
    /// failures ties them.
    fn by(server: &ServerStatus) -> Self {
        let has_heard = server.counters.get("Received").is_some_and(|count| *count > 0);
        let Some(error) = &server.last_error else {
            return if has_heard { Self::Answers } else { Self::Silence };
        };
        let says = |words: &str| error.contains(words);
        if says("nothing listens at") {
            Self::Closed
        } else if says("no answer to the DTLS handshake") {
            Self::Silence
        } else if says("handshake") {
            Self::Refused
        } else if says("the server does not answer") {
            // Any more, where a handshake was done before: that one proves nothing today.
            Self::Silence
        } else if says("Register") || says("Update") || says("the server refuses") {
            // Where there is a key the handshake was done, whatever came afterwards.
            Self::Answers
        } else {
            Self::Other
        }
    }
}

fn last(server: &ServerStatus) -> String {
    server.last_error.clone().unwrap_or_else(|| server.state.clone())
}

const FIREWALL: &str = "see whether the server runs, whether firewalls let UDP to its port \
                        through, and for DTLS whether it knows the identity";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A server that goes away after its handshake is not refusing anything.
    #[test]
    fn a_server_that_has_fallen_silent_does_not_count_as_one_that_answers() {
        for security in ["nosec", "psk"] {
            let server = ServerStatus {
                short_server_id: 101,
                uri: "coaps://127.0.0.1".into(),
                security: security.into(),
                state: "connecting".into(),
                version: "1.2".into(),
                location: None,
                lifetime: 60,
                queue_mode: false,
                registered_for: None,
                last_update: None,
                next_in: None,
                last_error: Some("Update: the server does not answer".into()),
                failures: 1,
                observations: 0,
                counters: BTreeMap::from([("Received".into(), 1)]),
            };
            assert_eq!(Met::by(&server), Met::Silence);
        }
    }
}
