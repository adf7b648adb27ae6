//! Memory of the machine, `/proc/meminfo` (proc(5)).

use std::path::Path;

use super::text;

/// Main memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What programs could get without swapping (MemAvailable).
    pub available: Option<u64>,
    /// What the kernel has to give (MemTotal).
    pub total: Option<u64>,
}

/// Reads `meminfo` below `proc`.
pub fn read(proc: &Path) -> Option<Memory> {
    let content = text::bytes(&proc.join("meminfo"))?;
    Some(parse(std::str::from_utf8(&content).ok()?))
}

fn parse(content: &str) -> Memory {
    let field = |name| {
        let line = content.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.strip_prefix(':')?.strip_suffix("kB")?.trim().parse().ok()?;
        // The kernel writes kB and means 1024 bytes.
        kibibytes.checked_mul(1024)
    };
    Memory { available: field("MemAvailable"), total: field("MemTotal") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_for_1024_bytes_and_garbage_for_nothing() {
        let cases = [
            ("MemTotal:  2000 kB\nMemAvailable: 1000 kB\n", Some(2_048_000), Some(1_024_000)),
            ("MemTotal: 2000 kB\nMemFree: 7 kB\n", Some(2_048_000), None),
            ("MemTotal: many kB\n", None, None),
            ("MemTotal: -5 kB\nMemAvailable: 5\n", None, None),
            ("MemTotal: 18446744073709551615 kB", None, None),
            ("", None, None),
        ];
        for (content, total, available) in cases {
            assert_eq!(parse(content), Memory { available, total }, "{content}");
        }
    }
}
