//! Room for a `struct timeval` of either width.
//!
//! On 32-bit systems libssl may be built with 64-bit time while the `libc`
//! crate still describes 32-bit time (Debian 13 armhf is such a system). A
//! `libc::timeval` would then be half as long as what the library writes.

use std::time::Duration;

/// Memory for the longer form, and the decision which form was written.
#[repr(C, align(8))]
pub(crate) struct Timeval {
    words: [i32; 4],
}

impl Timeval {
    /// A form that no library writes: both halves hold the mark.
    pub(crate) const fn unwritten() -> Self {
        Self { words: [UNWRITTEN; 4] }
    }

    /// The time span written; nothing below zero or above `u32` seconds.
    pub(crate) fn duration(&self) -> Duration {
        let [a, b, c, d] = self.words;
        let wide = cfg!(target_pointer_width = "64") || [c, d] != [UNWRITTEN; 2];
        let (seconds, micros) = match (wide, cfg!(target_endian = "big")) {
            (false, _) => (a, b),
            (true, false) => (a, c),
            (true, true) => (b, d),
        };
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let micros = u64::try_from(micros).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    }
}

/// Bytes of a time that libssl cannot mean: spans are short and not negative.
const UNWRITTEN: i32 = i32::MIN;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_widths_are_read() {
        let wide = if cfg!(target_endian = "big") { [0, 3, 0, 250] } else { [3, 0, 250, 0] };
        assert_eq!(Timeval { words: wide }.duration(), Duration::from_micros(3_000_250));
        if cfg!(target_pointer_width = "32") {
            let narrow = [3, 250, UNWRITTEN, UNWRITTEN];
            assert_eq!(Timeval { words: narrow }.duration(), Duration::from_micros(3_000_250));
        }
    }

    #[test]
    fn a_negative_time_is_no_time() {
        assert_eq!(Timeval { words: [-1; 4] }.duration(), Duration::ZERO);
    }

    #[test]
    fn a_timeval_of_this_system_fits() {
        assert!(size_of::<Timeval>() >= size_of::<libc::timeval>());
        assert!(align_of::<Timeval>() >= align_of::<libc::timeval>());
    }
}
