//! What `Diagnose` finds: one line for each thing that a registration needs.

use zbus::{DeserializeDict, SerializeDict, Type};

/// How one area fares. A reader ignores keys that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "dict", rename_all = "PascalCase")]
pub struct Finding {
    /// What was looked at, in one or two words: `clock`, `DNS`, `handshake`.
    pub area: String,
    /// Short Server ID, if it concerns one server.
    pub server: Option<u16>,
    /// [`Verdict::name`].
    pub verdict: String,
    /// What was seen, one line.
    pub text: String,
    /// What to do about it, one line; absent where nothing has to be done.
    pub advice: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(area: &str, text: impl Into<String>) -> Self {
        Self::new(area, Verdict::Ok, text.into(), None)
    }

    /// It works, or may work yet, but not as it should.
    pub fn warning(area: &str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(area, Verdict::Warning, text.into(), Some(advice.into()))
    }

    /// It does not work.
    pub fn failed(area: &str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(area, Verdict::Failed, text.into(), Some(advice.into()))
    }

    /// The same, of one server.
    #[must_use]
    pub fn of_server(mut self, id: u16) -> Self {
        self.server = Some(id);
        self
    }

    /// How it fares; a word of a newer daemon is a warning.
    pub fn verdict(&self) -> Verdict {
        match self.verdict.as_str() {
            "ok" => Verdict::Ok,
            "failed" => Verdict::Failed,
            _ => Verdict::Warning,
        }
    }

    fn new(area: &str, verdict: Verdict, text: String, advice: Option<String>) -> Self {
        let verdict = verdict.name().to_owned();
        Self { area: area.to_owned(), server: None, verdict, text, advice }
    }
}

/// How something fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is well.
    Ok,
    /// It deserves a look.
    Warning,
    /// It does not work.
    Failed,
}

impl Verdict {
    /// One word: `ok`, `warning`, `failed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What to fix first. Findings come in the order in which one thing rests on the other,
/// so it is the first that failed, else the first that deserves a look.
pub fn first_to_fix(findings: &[Finding]) -> Option<&Finding> {
    let first = |verdict| findings.iter().find(|finding| finding.verdict() == verdict);
    first(Verdict::Failed).or_else(|| first(Verdict::Warning))
}

#[cfg(test)]
mod tests {
    use zbus::wire::{LE, serialized::Context, to_bytes};

    use super::*;

    #[test]
    fn a_failure_comes_before_a_warning_and_the_cause_before_what_follows() {
        let (ok, warning) = (Finding::ok("a", "x"), Finding::warning("b", "x", "y"));
        let failed = ["c", "d"].map(|area| Finding::failed(area, "x", "y"));
        let all = [&[ok.clone(), warning.clone()][..], &failed].concat();
        assert_eq!(first_to_fix(&all), Some(&failed[0]));
        assert_eq!(first_to_fix(&all[..2]), Some(&warning));
        assert_eq!(first_to_fix(&[ok]), None);
    }

    #[test]
    fn a_finding_survives_the_bus_and_an_unknown_verdict_is_a_warning() {
        let mut finding = Finding::failed("DNS", "no such name", "mend it").of_server(101);
        finding.verdict = "puzzling".into();
        let bytes = to_bytes(Context::new(LE, 0), &finding).unwrap();
        let (back, _): (Finding, usize) = bytes.deserialize().unwrap();
        assert_eq!((back.verdict(), &back), (Verdict::Warning, &finding));
        assert_eq!(Vec::<Finding>::SIGNATURE, "aa{sv}");
    }
}
