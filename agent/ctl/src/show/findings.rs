//! What `doctor` has found: one line an area, and the one thing to fix first.

use lwm2m_bus::{Finding, Verdict, first_to_fix};
use serde_json::json;

use crate::error::CtlError;

use super::text::{Colour, Mood, columns, printable};

/// One line a finding, then what to fix first.
pub(crate) fn readable(findings: &[Finding], colour: Colour) -> String {
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            let text = printable(&finding.text).into_owned();
            [finding.verdict().name().to_owned(), area(finding), text]
        })
        .collect();
    let mut out = String::new();
    for (line, finding) in columns(&rows).lines().zip(findings) {
        let verdict = finding.verdict();
        let rest = line.strip_prefix(verdict.name()).unwrap_or(line);
        out += &format!("{}{rest}\n", colour.paint(mood(verdict), verdict.name()));
    }
    out += &match first_to_fix(findings) {
        None => "\nall is well\n".to_owned(),
        Some(finding) => {
            let what = match finding.verdict() {
                Verdict::Failed => "fix first",
                Verdict::Ok | Verdict::Warning => "nothing has failed; worth a look",
            };
            let advice = finding.advice.as_deref().unwrap_or(&finding.text);
            format!("\n{what}: {}: {}\n", area(finding), printable(advice))
        }
    };
    out
}

/// An object with all findings and the one to fix first, null if there is none.
pub(crate) fn json(findings: &[Finding]) -> serde_json::Value {
    json!({
        "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
        "fix_first": first_to_fix(findings).map(finding_json),
    })
}

/// What can be said while the daemon is not there, for `reason`: the bus, and nothing
/// behind it.
pub(crate) fn without_daemon(reason: &CtlError) -> Vec<Finding> {
    let first = match reason {
        // Nothing is known of the daemon then.
        CtlError::Bus { bus, .. } => Finding::failed("bus", reason.to_string(), bus.advice()),
        _ => Finding::failed(
            "daemon",
            reason.to_string(),
            "systemctl status lwm2md says whether it runs, lwm2md --check what is wrong with its \
             configuration",
        ),
    };
    vec![
        first,
        Finding::warning(
            "configuration",
            "not looked at: only the daemon reads it with its keys",
            "lwm2md --check",
        ),
    ]
}

fn finding_json(finding: &Finding) -> serde_json::Value {
    json!({
        "area": finding.area,
        "server": finding.server,
        "verdict": finding.verdict().name(),
        "text": finding.text,
        "advice": finding.advice,
    })
}

fn area(finding: &Finding) -> String {
    let area = printable(&finding.area);
    match finding.server {
        Some(id) => format!("server {id} {area}"),
        None => area.into_owned(),
    }
}

fn mood(verdict: Verdict) -> Mood {
    match verdict {
        Verdict::Ok => Mood::Good,
        Verdict::Warning => Mood::Waiting,
        Verdict::Failed => Mood::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 3] {
        [
            Finding::ok("configuration", "it is valid"),
            Finding::warning("clock", "not set", "start a time service"),
            Finding::failed("DNS", "cannot resolve \u{1b}x", "correct the name").of_server(101),
        ]
    }

    #[test]
    fn each_area_has_a_line_and_the_end_is_what_to_fix_first() {
        let screen = "\
ok       configuration   it is valid
warning  clock           not set
failed   server 101 DNS  cannot resolve \\u{1b}x

fix first: server 101 DNS: correct the name
";
        assert_eq!(readable(&findings(), Colour::No), screen);
        let ends = |count, end: &str| {
            let screen = readable(&findings()[..count], Colour::No);
            assert!(screen.ends_with(end), "{screen}");
        };
        ends(1, "\n\nall is well\n");
        ends(2, "\n\nnothing has failed; worth a look: clock: start a time service\n");
        let painted = readable(&findings()[2..], Colour::Yes);
        assert!(painted.starts_with("\u{1b}[31mfailed\u{1b}[0m  server 101 DNS  "), "{painted:?}");
    }

    #[test]
    fn programs_get_the_same() {
        let all = json(&findings());
        assert_eq!(all["findings"].as_array().unwrap().len(), 3);
        assert_eq!(all["fix_first"], all["findings"][2]);
        assert_eq!(
            (&all["fix_first"]["server"], &all["fix_first"]["area"]),
            (&json!(101), &json!("DNS"))
        );
        assert_eq!(json(&findings()[..1])["fix_first"], serde_json::Value::Null);
    }
}
