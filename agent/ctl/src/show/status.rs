//! `status` and `servers`: what an operator looks at first.

use std::time::Duration;

use lwm2m_bus::{AgentStatus, ServerStatus, in_words, lifetime_in_words};
use serde_json::json;

use super::text::{Colour, Mood, columns, printable};

/// The agent, then a block for each server.
pub(crate) fn readable(agent: &AgentStatus, servers: &[ServerStatus], colour: Colour) -> String {
    let mut out = format!(
        "{}\nlwm2md {}, running for {}, {} objects\n",
        printable(&agent.endpoint),
        printable(&agent.version),
        words(agent.uptime),
        agent.objects,
    );
    if let Some(error) = &agent.store_error {
        let line = format!("what servers write cannot be stored: {}", printable(error));
        out.push_str(&colour.paint(Mood::Bad, &line));
        out.push('\n');
    }
    if servers.is_empty() {
        out.push_str("\nno server is configured\n");
    }
    for server in servers {
        out.push('\n');
        out.push_str(&block(server, colour));
    }
    out
}

/// One line a server.
pub(crate) fn table(servers: &[ServerStatus], colour: Colour) -> String {
    let head = ["SERVER", "STATE", "NEXT", "URI"].map(str::to_owned);
    let rows = servers.iter().map(|server| {
        [
            server.short_server_id.to_string(),
            printable(&server.state).into_owned(),
            next(server).map(|(what, when)| format!("{what} {when}")).unwrap_or_default(),
            printable(&server.uri).into_owned(),
        ]
    });
    let lines = columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    // Painted after the columns are set, since colour has no width.
    let mut out = String::new();
    for (place, line) in lines.lines().enumerate() {
        let server = place.checked_sub(1).and_then(|place| servers.get(place));
        match server {
            Some(server) => out.push_str(&colour.paint(mood(server), line)),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// The agent with its servers.
pub(crate) fn json(agent: &AgentStatus, servers: &[ServerStatus]) -> serde_json::Value {
    json!({
        "endpoint": agent.endpoint,
        "version": agent.version,
        "uptime": agent.uptime,
        "objects": agent.objects,
        "store_error": agent.store_error,
        "servers": servers.iter().map(server_json).collect::<Vec<_>>(),
    })
}

/// A server; spans are in seconds, absent facts are null.
pub(crate) fn server_json(server: &ServerStatus) -> serde_json::Value {
    json!({
        "short_server_id": server.short_server_id,
        "uri": server.uri,
        "security": server.security,
        "state": server.state,
        "version": server.version,
        "location": server.location,
        "lifetime": server.lifetime,
        "queue_mode": server.queue_mode,
        "registered_for": server.registered_for,
        "last_update": server.last_update,
        "next_in": server.next_in,
        "last_error": server.last_error,
        "failures": server.failures,
        "observations": server.observations,
        "counters": server.counters,
    })
}

fn block(server: &ServerStatus, colour: Colour) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([format!("  {name}"), value]);
    row("state", state(server));
    if let Some((what, when)) = next(server) {
        row(what, when);
    }
    if let Some(span) = server.last_update {
        row("last answer", format!("{} ago", words(span)));
    }
    if let Some(error) = &server.last_error {
        let again = match server.failures {
            0 | 1 => String::new(),
            failures => format!(" ({failures} attempts failed)"),
        };
        row("last error", format!("{}{again}", printable(error)));
    }
    row("LwM2M", protocol(server));
    row("security", security(&server.security));
    row("observations", server.observations.to_string());
    let traffic: Vec<String> = server
        .counters
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{} {count}", printable(name).to_lowercase()))
        .collect();
    if !traffic.is_empty() {
        row("link", traffic.join(", "));
    }
    let head = format!("server {}  {}\n", server.short_server_id, printable(&server.uri));
    let body = columns(&rows);
    let (first, rest) = body.split_once('\n').unwrap_or((&body, ""));
    format!("{head}{}\n{rest}", colour.paint(mood(server), first))
}

fn state(server: &ServerStatus) -> String {
    let since = |words_of_state: &str| match server.registered_for {
        Some(span) => format!("{words_of_state} for {}", words(span)),
        None => words_of_state.to_owned(),
    };
    match server.state.as_str() {
        "waiting" => "not registered, waits for its next attempt".into(),
        "connecting" => "opens the connection".into(),
        "registering" => "registers".into(),
        "registered" => since("registered"),
        "asleep" => format!("{}, asleep", since("registered")),
        "de-registering" => "de-registers".into(),
        "disabled" => "disabled by the server".into(),
        // `stopped`, and what a newer daemon may say.
        other => printable(other).into_owned(),
    }
}

fn next(server: &ServerStatus) -> Option<(&'static str, String)> {
    let what = match server.state.as_str() {
        "waiting" => "next attempt",
        "registered" => "next update",
        "asleep" => "wakes up",
        "disabled" => "registers again",
        _ => "next event",
    };
    let span = server.next_in?;
    Some((what, if span == 0 { "now".into() } else { format!("in {}", words(span)) }))
}

fn protocol(server: &ServerStatus) -> String {
    let lifetime = lifetime_in_words(server.lifetime);
    let queue = if server.queue_mode { ", queue mode" } else { "" };
    let location = match &server.location {
        Some(location) => format!(", at {}", printable(location)),
        None => String::new(),
    };
    format!("{}, lifetime {lifetime}{queue}{location}", printable(&server.version))
}

fn security(mode: &str) -> String {
    match mode {
        "psk" => "DTLS with a pre-shared key".into(),
        "nosec" => "none (NoSec)".into(),
        other => printable(other).into_owned(),
    }
}

fn mood(server: &ServerStatus) -> Mood {
    match server.state.as_str() {
        "registered" | "asleep" if server.last_error.is_none() => Mood::Good,
        "waiting" if server.failures > 0 => Mood::Bad,
        _ => Mood::Waiting,
    }
}

fn words(seconds: u64) -> String {
    in_words(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn agent() -> AgentStatus {
        AgentStatus {
            endpoint: "urn:dev:ops:0A1B2C-GW100-4711".into(),
            version: "0.1.0".into(),
            uptime: 11_520,
            objects: 3,
            store_error: None,
        }
    }

    fn registered() -> ServerStatus {
        ServerStatus {
            short_server_id: 101,
            uri: "coaps://lwm2m.example.org".into(),
            security: "psk".into(),
            state: "registered".into(),
            version: "1.1".into(),
            location: Some("/rd/5a3f".into()),
            lifetime: 86_400,
            queue_mode: true,
            registered_for: Some(11_520),
            last_update: Some(150),
            next_in: Some(11_520),
            last_error: None,
            failures: 0,
            observations: 2,
            counters: BTreeMap::from([("Sent".into(), 12), ("Malformed".into(), 0)]),
        }
    }

    fn waiting() -> ServerStatus {
        ServerStatus {
            short_server_id: 7,
            uri: "coap://[2001:db8::1]:5683".into(),
            security: "nosec".into(),
            state: "waiting".into(),
            version: "1.2".into(),
            location: None,
            lifetime: 0,
            queue_mode: false,
            registered_for: None,
            last_update: None,
            next_in: Some(60),
            last_error: Some("register: no answer in 93 s".into()),
            failures: 3,
            observations: 0,
            counters: BTreeMap::new(),
        }
    }

    #[test]
    fn status_says_what_an_operator_asks() {
        assert_eq!(
            readable(&agent(), &[registered(), waiting()], Colour::No),
            "\
urn:dev:ops:0A1B2C-GW100-4711
lwm2md 0.1.0, running for 3 h 12 min, 3 objects

server 101  coaps://lwm2m.example.org
  state         registered for 3 h 12 min
  next update   in 3 h 12 min
  last answer   2 min 30 s ago
  LwM2M         1.1, lifetime 1 d, queue mode, at /rd/5a3f
  security      DTLS with a pre-shared key
  observations  2
  link          sent 12

server 7  coap://[2001:db8::1]:5683
  state         not registered, waits for its next attempt
  next attempt  in 60 s
  last error    register: no answer in 93 s (3 attempts failed)
  LwM2M         1.2, lifetime for ever
  security      none (NoSec)
  observations  0
"
        );
        let broken = AgentStatus { store_error: Some("no space".into()), ..agent() };
        let text = readable(&broken, &[registered()], Colour::No);
        assert!(text.contains("\nwhat servers write cannot be stored: no space\n"), "{text}");
        assert!(readable(&agent(), &[], Colour::No).ends_with("\nno server is configured\n"));
    }

    #[test]
    fn every_state_has_its_words() {
        for (name, line) in [
            ("connecting", "  state         opens the connection"),
            ("registering", "  state         registers"),
            ("asleep", "  state         registered for 3 h 12 min, asleep"),
            ("de-registering", "  state         de-registers"),
            ("disabled", "  state            disabled by the server"),
            ("stopped", "  state         stopped"),
            ("dreaming\u{7}", "  state         dreaming\\u{7}"),
        ] {
            let server = ServerStatus { state: name.into(), ..registered() };
            let text = readable(&agent(), &[server], Colour::No);
            assert!(text.contains(&format!("{line}\n")), "{text}");
        }
    }

    #[test]
    fn servers_are_one_line_each() {
        assert_eq!(
            table(&[registered(), waiting()], Colour::No),
            "\
SERVER  STATE       NEXT                       URI
101     registered  next update in 3 h 12 min  coaps://lwm2m.example.org
7       waiting     next attempt in 60 s       coap://[2001:db8::1]:5683
"
        );
        assert!(table(&[waiting()], Colour::Yes).contains("\u{1b}[31m7 "));
    }
}
