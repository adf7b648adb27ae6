//! Answers, notifications and events as a person reads them.

use std::fmt::Write;

use lwm2m_model::{Code, Entry, Node, Path, Value};

use crate::response::{LinkInfo, resource};
use crate::{Delivery, Notification, Registration, Response, ServerEvent};

/// One line on the answer, then a line for each value or link.
pub(super) fn response(response: &Response) -> String {
    let mut text = code(response.code);
    if let Some(created) = &response.created {
        let _ = write!(text, ", {created}");
    }
    if let Some(format) = response.format {
        let _ = write!(text, ", {format}");
    }
    let sent: usize = response.traffic.sent.iter().sum();
    let received: usize = response.traffic.received.iter().sum();
    let _ = writeln!(
        text,
        ", {} bytes of payload, {sent} sent and {received} received, {:.1} ms{}",
        response.payload.len(),
        response.round_trip.as_secs_f64() * 1000.0,
        match response.delivery {
            Delivery::Piggybacked => "",
            Delivery::Separate { .. } => ", separate",
        },
    );
    if let Some(diagnostic) = response.diagnostic() {
        let _ = writeln!(text, "  {diagnostic}");
    }
    text.push_str(&entries(&response.entries));
    response.links.iter().for_each(|known| text.push_str(&link(known)));
    text.push_str(&problem(response.problem.as_deref()));
    text
}

pub(crate) fn notification(notification: &Notification) -> String {
    let kind = if notification.confirmable { "CON" } else { "NON" };
    let mut text = match notification.number {
        Some(number) => format!(
            "notification {number} of {}, {kind}, {} bytes\n",
            notification.path, notification.bytes
        ),
        None => format!("{} ends: {}\n", notification.path, code(notification.code)),
    };
    text.push_str(&entries(&notification.entries));
    text.push_str(&problem(notification.problem.as_deref()));
    text
}

/// A registration in one line and a line of its objects.
pub fn registration(registration: &Registration) -> String {
    let lifetime = match registration.lifetime {
        0 => "for ever".to_owned(),
        seconds => format!("{seconds} s"),
    };
    let state = match (registration.queue, registration.awake) {
        (false, _) => "",
        (true, true) => ", queue mode, awake",
        (true, false) => ", queue mode, asleep",
    };
    let link = |known: &crate::RegisteredLink| match known.version {
        Some(version) => format!("{} (version {version})", known.path),
        None => known.path.to_string(),
    };
    let links: Vec<String> = registration.links.iter().map(link).collect();
    format!(
        "{} at {}, LwM2M {}, lifetime {lifetime}, binding {}{state}\n  {}\n",
        registration.endpoint,
        registration.peer,
        registration.version,
        registration.binding,
        links.join(" "),
    )
}

/// What happened, for the screen.
pub fn event(event: &ServerEvent) -> String {
    match event {
        ServerEvent::Registered { registration: known, bytes } => {
            format!("registered ({bytes} bytes): {}", registration(known))
        }
        ServerEvent::Updated { endpoint, changed, bytes } => {
            let parts = [
                (changed.lifetime, "lifetime"),
                (changed.binding, "binding"),
                (changed.queue, "queue mode"),
                (changed.links, "objects"),
                (changed.address, "address"),
            ];
            let named: Vec<&str> =
                parts.iter().filter(|(came, _)| *came).map(|(_, name)| *name).collect();
            let what = if named.is_empty() { "nothing new".to_owned() } else { named.join(", ") };
            format!("{endpoint} updated ({bytes} bytes): {what}\n")
        }
        ServerEvent::Deregistered { endpoint } => format!("{endpoint} left\n"),
        ServerEvent::Expired { endpoint } => format!("{endpoint} expired\n"),
        ServerEvent::Awake { endpoint } => format!("{endpoint} is awake\n"),
        ServerEvent::Asleep { endpoint } => format!("{endpoint} sleeps\n"),
        ServerEvent::Notification(known) => notification(known),
        ServerEvent::ObservationEnded { endpoint, path } => {
            format!("{endpoint} no longer observes {path}\n")
        }
        ServerEvent::Refused { peer, code: refusal, reason } => {
            format!("refused {peer}: {}, {reason}\n", code(*refusal))
        }
        ServerEvent::Secured { peer, identity, resumed } => {
            let how = if *resumed { ", resumed" } else { "" };
            format!("secured {peer} as {}{how}\n", String::from_utf8_lossy(identity))
        }
        ServerEvent::LinkLost { peer, reason } => format!("link of {peer} lost: {reason}\n"),
    }
}

pub(crate) fn code(code: Code) -> String {
    format!("{code} {}", code.name()).trim_end().to_owned()
}

/// Path, name and value, in columns.
fn entries(entries: &[Entry]) -> String {
    let rows: Vec<(String, &str, String)> = entries
        .iter()
        .map(|entry| {
            let name = resource(&entry.path).map_or("", |known| &known.name);
            (entry.path.to_string(), name, node(&entry.path, &entry.node))
        })
        .collect();
    let width = |of: fn(&(String, &str, String)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (path_width, name_width) = (width(|row| row.0.len()), width(|row| row.1.len()));
    rows.iter().fold(String::new(), |mut text, (path, name, value)| {
        let _ = writeln!(text, "  {path:path_width$}  {name:name_width$}  {value}");
        text
    })
}

fn node(path: &Path, node: &Node) -> String {
    match (node, resource(path).map_or("", |known| &known.unit)) {
        (Node::Empty, _) => "(empty)".to_owned(),
        (Node::Value(Value::Time(seconds)), _) => format!("{seconds} ({})", date(*seconds)),
        (Node::Value(value), "") => value.to_string(),
        // How SenML writes per cent (RFC 8428 12.1, RFC 8798).
        (Node::Value(value), "/100") => format!("{value} %"),
        (Node::Value(value), unit) => format!("{value} {unit}"),
    }
}

fn link(link: &LinkInfo) -> String {
    let mut text = format!("  {}", link.path);
    for (name, value) in &link.parameters {
        match value {
            Some(value) => {
                let _ = write!(text, " {name}={value}");
            }
            None => {
                let _ = write!(text, " {name}");
            }
        }
    }
    text.push('\n');
    text
}

fn problem(problem: Option<&str>) -> String {
    problem.map(|problem| format!("  problem: {problem}\n")).unwrap_or_default()
}

/// Unix seconds as a date in UTC, by the civil calendar of eras of 400 years.
fn date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Counted from 1 March of the year 0, leap days come last in their year.
    let days = i128::from(days) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!(
        "{:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        era * 400 + year + carry,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_columns_with_name_unit_and_date() {
        let shown = entries(&[
            Entry::new(Path::resource(3, 0, 0), Value::String("ACME".into())),
            Entry::new(Path::resource(3, 0, 9), Value::Integer(77)),
            Entry::new(Path::resource(3, 0, 13), Value::Time(951_782_400)),
            Entry::empty(Path::resource(3, 0, 11)),
            Entry::new(Path::resource(1, 0, 1), Value::Integer(60)),
        ]);
        assert_eq!(
            shown,
            "  /3/0/0   Manufacturer   \"ACME\"\n  \
             /3/0/9   Battery Level  77 %\n  \
             /3/0/13  Current Time   951782400 (2000-02-29 00:00:00 UTC)\n  \
             /3/0/11  Error Code     (empty)\n  \
             /1/0/1   Lifetime       60 s\n"
        );
    }

    #[test]
    fn dates_before_and_after_1970() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
        assert!(!date(i64::MAX).is_empty() && !date(i64::MIN).is_empty());
    }
}
