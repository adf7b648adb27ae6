//! The firmware update in a few lines, in one, and as a bar (Objects 7).

use std::time::Duration;

use lwm2m_bus::{FirmwareStatus, in_words};
use lwm2m_model::firmware;
use serde_json::json;

use super::text::{Colour, Mood, columns, printable, utc};

/// State, result and its cause, package, how far it is, and who waits for whom.
pub(crate) fn readable(status: &FirmwareStatus, colour: Colour) -> String {
    let numbered = |number: u32, word: Option<&str>| match word {
        Some(word) => format!("{number}, {word}"),
        None => number.to_string(),
    };
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: Option<String>| {
        rows.extend(value.map(|value| [name.to_owned(), value]));
    };
    let meaning = firmware::result_meaning(status.result.into());
    row("state", Some(numbered(status.state, state_name(status))));
    row("result", Some(numbered(status.result, meaning)));
    row("cause", status.cause.as_deref().map(shown));
    row("package", package(status));
    row("URI", status.uri.as_deref().map(shown));
    row("step", step(status));
    row("progress", progress(status));
    row("since", status.last_change.and_then(utc));
    // Painted after the columns are set, since colour has no width.
    let mut out = String::new();
    for (line, [name, _]) in columns(&rows).lines().zip(&rows) {
        match mood(status).filter(|_| name == "result") {
            Some(mood) => out.push_str(&colour.paint(mood, line)),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    if let Some(seconds) = status.consent_within {
        let left = in_words(Duration::from_secs(seconds));
        let line = format!("an update waits for your consent, and begins by itself in {left};");
        out.push_str(&colour.paint(Mood::Waiting, &line));
        out.push_str("\nto have it now: lwm2mctl firmware accept\n");
    }
    out
}

/// The same as an object; absent facts are null.
pub(crate) fn json(status: &FirmwareStatus) -> serde_json::Value {
    json!({
        "state": status.state,
        "state_name": state_name(status),
        "result": status.result,
        "result_meaning": firmware::result_meaning(status.result.into()),
        "cause": status.cause,
        "uri": status.uri,
        "package_name": status.package_name,
        "package_version": status.package_version,
        "changed": status.last_change,
        "severity": status.severity,
        "automatic": status.automatic,
        "consent_within": status.consent_within,
        "step": status.step,
        "bytes": status.bytes,
        "size": status.size,
        "percent": percent(status),
        "message": status.message,
    })
}

/// True if nothing happens before a server or somebody on the device wants it.
pub(crate) fn is_at_rest(status: &FirmwareStatus) -> bool {
    match status.state {
        DOWNLOADING | UPDATING => false,
        // It goes on by itself in a moment.
        DOWNLOADED => !(status.automatic && status.result == 0),
        _ => true,
    }
}

/// How far it is in one line, for `width` columns: what is under way, a bar, and of the
/// rest what there is room for. The bar keeps its place whatever the rest says.
pub(crate) fn bar(status: &FirmwareStatus, width: usize) -> String {
    let name = state_name(status).unwrap_or("firmware");
    let head = match percent(status) {
        Some(percent) => {
            let fixed = format!("{name} [] {percent:>3} %");
            let cells = (width / 4).clamp(MIN_BAR, MAX_BAR).min(width.saturating_sub(fixed.len()));
            let done = cells * percent as usize / 100;
            let bar = format!("{}{}", "#".repeat(done), ".".repeat(cells - done));
            format!("{name} [{bar}] {percent:>3} %")
        }
        None => name.to_owned(),
    };
    let room = width.saturating_sub(head.chars().count() + 2);
    let rest = match (status.bytes, detail(status)) {
        (_, None) => String::new(),
        (_, Some(detail)) if detail.chars().count() <= room => detail,
        // Half a number misleads, half a sentence does not.
        (Some(_), Some(_)) => String::new(),
        (None, Some(detail)) => cut(&detail, room),
    };
    cut(format!("{head}  {rest}").trim_end(), width)
}

/// The same for those who print a line for each step: it changes with each tenth.
pub(crate) fn line(status: &FirmwareStatus) -> String {
    let name = state_name(status).unwrap_or("firmware");
    let far = match (percent(status), status.bytes) {
        (Some(percent), _) => Some(format!("{} %", percent / 10 * 10)),
        (None, Some(bytes)) => Some(with_unit(bytes / LINE_BYTES * LINE_BYTES)),
        (None, None) => None,
    };
    let message = status.message.as_deref().map(shown).or_else(|| step(status));
    let parts: Vec<String> = far.into_iter().chain(message).collect();
    if parts.is_empty() { name.into() } else { format!("{name}: {}", parts.join(", ")) }
}

fn state_name(status: &FirmwareStatus) -> Option<&'static str> {
    firmware::state_name(status.state.into())
}

/// Text of others in a row.
fn shown(text: &str) -> String {
    printable(text).into_owned()
}

fn mood(status: &FirmwareStatus) -> Option<Mood> {
    match status.result {
        0 => None,
        1 => Some(Mood::Good),
        CANCELLED | DEFERRED => Some(Mood::Waiting),
        _ => Some(Mood::Bad),
    }
}

fn package(status: &FirmwareStatus) -> Option<String> {
    let parts: Vec<String> = [&status.package_name, &status.package_version]
        .into_iter()
        .flatten()
        .map(|text| shown(text))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn step(status: &FirmwareStatus) -> Option<String> {
    Some(match status.step.as_deref()? {
        "wanted" => "about to begin".into(),
        "installing" => "the package is being installed".into(),
        "installed" => "installed; the restart is due".into(),
        "on-trial" => "on trial: waits for a server to answer and for checks to pass".into(),
        "confirming" => "the new system is being marked good".into(),
        "rolling-back" => "going back to the old system".into(),
        // What a newer daemon may say.
        other => shown(other),
    })
}

/// 0 to 100, if there is something that it is a part of.
fn percent(status: &FirmwareStatus) -> Option<u32> {
    let of_bytes = || {
        let (bytes, size) = (status.bytes?, status.size.filter(|size| *size > 0)?);
        u32::try_from(u128::from(bytes) * 100 / u128::from(size)).ok()
    };
    // The size is an estimate of the sender.
    status.percent.or_else(of_bytes).map(|percent| percent.min(100))
}

fn progress(status: &FirmwareStatus) -> Option<String> {
    let percent = percent(status).map(|percent| format!("{percent} %"));
    let amount = status.bytes.map(|_| detail(status)).unwrap_or_default();
    let message = status.message.as_deref().map(shown);
    let parts: Vec<String> = percent.into_iter().chain(amount).chain(message).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What stands behind the bar.
fn detail(status: &FirmwareStatus) -> Option<String> {
    match (status.bytes, status.size) {
        (Some(bytes), Some(size)) if bytes <= size => {
            Some(format!("{} of {}", amount(bytes, size).0, with_unit(size)))
        }
        (Some(bytes), _) => Some(with_unit(bytes)),
        (None, _) => status.message.as_deref().map(shown).or_else(|| step(status)),
    }
}

/// Bytes for people, in the unit that fits `scale`, and that unit.
fn amount(bytes: u64, scale: u64) -> (String, &'static str) {
    let tenths = |unit: u64| {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match scale {
        ..KIB => (bytes.to_string(), "bytes"),
        KIB..MIB => (tenths(KIB), "KiB"),
        MIB..GIB => (tenths(MIB), "MiB"),
        GIB.. => (tenths(GIB), "GiB"),
    }
}

fn with_unit(bytes: u64) -> String {
    let (number, unit) = amount(bytes, bytes);
    format!("{number} {unit}")
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

const DOWNLOADING: u32 = 1;
const DOWNLOADED: u32 = 2;
const UPDATING: u32 = 3;
const CANCELLED: u32 = 10;
const DEFERRED: u32 = 11;
const MIN_BAR: usize = 10;
const MAX_BAR: usize = 40;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
/// Without a size there is a line each so many bytes.
const LINE_BYTES: u64 = 10 * MIB;

#[cfg(test)]
mod tests {
    use super::*;

    fn downloading(bytes: u64, size: Option<u64>) -> FirmwareStatus {
        FirmwareStatus { state: 1, bytes: Some(bytes), size, ..FirmwareStatus::default() }
    }

    fn installing() -> FirmwareStatus {
        FirmwareStatus {
            state: 3,
            step: Some("installing".into()),
            percent: Some(40),
            message: Some("Copying image to rootfs.1".into()),
            ..FirmwareStatus::default()
        }
    }

    #[test]
    fn an_update_is_shown_in_words() {
        let status = FirmwareStatus {
            state: 2,
            result: 8,
            cause: Some("no space left\u{1b}[2J".into()),
            uri: Some("coap://h/x".into()),
            package_name: Some("lab-board".into()),
            package_version: Some("2.0".into()),
            last_change: Some(1_795_562_544),
            ..FirmwareStatus::default()
        };
        let expected = "\
state    2, Downloaded
result   8, update failed
cause    no space left\\u{1b}[2J
package  lab-board 2.0
URI      coap://h/x
since    2026-11-24 23:22:24 UTC
";
        assert_eq!(readable(&status, Colour::No), expected);
        let painted = readable(&status, Colour::Yes);
        assert!(painted.contains("\u{1b}[31mresult   8, update failed\u{1b}[0m\n"), "{painted}");
        assert_eq!(json(&status)["result_meaning"], "update failed");
    }

    #[test]
    fn who_is_waited_for_is_told() {
        let status = FirmwareStatus {
            state: 2,
            result: 11,
            consent_within: Some(3120),
            ..FirmwareStatus::default()
        };
        let expected = "\
state   2, Downloaded
result  11, deferred
an update waits for your consent, and begins by itself in 52 min;
to have it now: lwm2mctl firmware accept
";
        assert_eq!(readable(&status, Colour::No), expected);
    }

    /// OBJ-92
    #[test]
    fn a_trial_is_told_with_what_it_waits_for_or_lacked() {
        let status = |step: &str, cause: Option<&str>| FirmwareStatus {
            state: 3,
            step: Some(step.into()),
            cause: cause.map(str::to_owned),
            ..FirmwareStatus::default()
        };
        #[rustfmt::skip] // a table: one row a step
        let cases = [
            (status("on-trial", None), "step    on trial: waits for a server to answer and for checks to pass\n"),
            (status("confirming", None), "step    the new system is being marked good\n"),
            (status("rolling-back", Some("check net: exit code 1")), "cause   check net: exit code 1\nstep    going back to the old system\n"),
        ];
        for (status, expected) in cases {
            let shown = readable(&status, Colour::No);
            assert!(shown.ends_with(expected), "{shown}");
            assert!(!is_at_rest(&status));
        }
    }

    #[test]
    fn numbers_of_a_later_version_are_shown_as_they_are() {
        let status = FirmwareStatus {
            state: 7,
            result: 70,
            step: Some("new".into()),
            ..FirmwareStatus::default()
        };
        assert_eq!(readable(&status, Colour::No), "state   7\nresult  70\nstep    new\n");
        assert!(is_at_rest(&status));
    }

    #[test]
    fn a_bar_fits_its_terminal() {
        #[rustfmt::skip] // a table: one row a width
        let cases = [
            (79, installing(), "Updating [#######............]  40 %  Copying image to rootfs.1"),
            (39, installing(), "Updating [####......]  40 %  Copying im"),
            (24, installing(), "Updating [##.....]  40 %"),
            (5, installing(), "Updat"),
            (0, installing(), ""),
            (79, downloading(5 * MIB, Some(20 * MIB)), "Downloading [####...............]  25 %  5.0 of 20.0 MiB"),
            (39, downloading(5 * MIB, Some(20 * MIB)), "Downloading [##........]  25 %"),
            (60, downloading(2000, None), "Downloading  1.9 KiB"),
            (60, downloading(2000, Some(1000)), "Downloading [###############] 100 %  1.9 KiB"),
        ];
        for (width, status, expected) in cases {
            let bar = bar(&status, width);
            assert!(bar.chars().count() <= width, "{width}: {bar}");
            assert_eq!(bar, expected, "{width}");
        }
    }

    #[test]
    fn a_line_changes_with_each_tenth() {
        let lines = |statuses: &[FirmwareStatus]| statuses.iter().map(line).collect::<Vec<_>>();
        let size = Some(1000);
        assert_eq!(
            lines(&[downloading(0, size), downloading(199, size), downloading(1000, size)]),
            ["Downloading: 0 %", "Downloading: 10 %", "Downloading: 100 %"]
        );
        assert_eq!(
            lines(&[downloading(5, None), downloading(25 * MIB, None), installing()]),
            [
                "Downloading: 0 bytes",
                "Downloading: 20.0 MiB",
                "Updating: 40 %, Copying image to rootfs.1"
            ]
        );
    }

    #[test]
    fn rest_is_where_nothing_happens_by_itself() {
        let status = |state, result, automatic| FirmwareStatus {
            state,
            result,
            automatic,
            ..FirmwareStatus::default()
        };
        for (status, rest) in [
            (status(0, 0, true), true),
            (status(1, 0, false), false),
            (status(2, 0, false), true),
            (status(2, 0, true), false),
            (status(2, 8, true), true),
            (status(2, 11, true), true),
            (status(3, 0, false), false),
        ] {
            assert_eq!(is_at_rest(&status), rest, "{status:?}");
        }
    }
}
