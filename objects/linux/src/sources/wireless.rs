//! Signal of a WLAN link from `/proc/net/wireless`.

use std::path::Path;

use super::text;

/// What the driver says of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// In the driver's own scale.
    pub quality: i64,
    /// In dBm.
    pub level: Option<i64>,
}

/// The signal of the link called `name`.
pub fn signal(proc: &Path, name: &str) -> Option<Signal> {
    let content = text::bytes(&proc.join("net/wireless"))?;
    let content = std::str::from_utf8(&content).ok()?;
    let line =
        content.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    let mut fields = line.split_whitespace().skip(1);
    let mut number = || fields.next()?.trim_end_matches('.').parse::<i64>().ok();
    let (quality, level) = (number()?, number());
    // No receiver hears the other values: the driver has another scale, or no value.
    Some(Signal { quality, level: level.filter(|level| (-130..0).contains(level)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_nonsense_is_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("net")).unwrap();
        let signal = |line: &str| {
            let text = format!("Inter-| sta-|\n face | tus |\n{line}\n");
            std::fs::write(root.path().join("net/wireless"), text).unwrap();
            signal(root.path(), "wlan0").map(|signal| (signal.quality, signal.level))
        };
        assert_eq!(signal(" wlan0: 0000   54.  -56.  -256        0"), Some((54, Some(-56))));
        assert_eq!(signal(" wlan0: 0000   54.  200.  0"), Some((54, None)));
        assert_eq!(signal(" wlan0: 0000"), None);
        assert_eq!(signal(" wlan00: 0000   54.  -56."), None);
        assert_eq!(signal("wlan0"), None);
    }
}
