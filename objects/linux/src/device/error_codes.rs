//! Error Code (11) and its five rules (Objects 5, OBJ-61, OBJ-62).
//!
//! 1. At the start there is one instance, `0: 0`.
//! 2. The first error takes that instance.
//! 3. Each further error is a new instance.
//! 4. An error that is over takes its instance with it; the others keep theirs.
//! 5. When the last is over, `0: 0` is there again.

use std::collections::BTreeMap;

/// What may be wrong with the device, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Condition {
    LowBattery = 1,
    ExternalSupplyOff = 2,
    OutOfMemory = 5,
    PeripheralMalfunction = 8,
}

/// The errors that hold, each with the instance that shows it.
#[derive(Debug, Default)]
pub(super) struct ErrorCodes(BTreeMap<u16, Condition>);

impl ErrorCodes {
    /// Takes over which conditions hold now.
    pub(super) fn update(&mut self, holding: &[Condition]) {
        self.0.retain(|_, shown| holding.contains(shown));
        for condition in holding {
            if !self.0.values().any(|shown| shown == condition) {
                self.add(*condition);
            }
        }
    }

    /// Reset Error Code (12): forgets all, then shows what still holds.
    pub(super) fn reset(&mut self, holding: &[Condition]) {
        self.0.clear();
        self.update(holding);
    }

    /// Instances and their codes, ascending; never empty.
    pub(super) fn instances(&self) -> Vec<(u16, i64)> {
        if self.0.is_empty() {
            return vec![(0, NO_ERROR)];
        }
        self.0.iter().map(|(id, condition)| (*id, *condition as i64)).collect()
    }

    /// A new error takes the lowest instance that is free: 0 again if that one
    /// was deleted.
    fn add(&mut self, condition: Condition) {
        if let Some(id) = (0..=u16::MAX).find(|id| !self.0.contains_key(id)) {
            self.0.insert(id, condition);
        }
    }
}

const NO_ERROR: i64 = 0;

#[cfg(test)]
mod tests {
    use super::Condition::{ExternalSupplyOff, LowBattery, OutOfMemory, PeripheralMalfunction};
    use super::*;

    /// OBJ-61.
    #[test]
    fn the_five_rules_hold_in_turn() {
        let mut codes = ErrorCodes::default();
        assert_eq!(codes.instances(), [(0, 0)], "rule 1");
        codes.update(&[LowBattery]);
        assert_eq!(codes.instances(), [(0, 1)], "rule 2");
        codes.update(&[LowBattery, ExternalSupplyOff, OutOfMemory]);
        assert_eq!(codes.instances(), [(0, 1), (1, 2), (2, 5)], "rule 3");
        codes.update(&[LowBattery, OutOfMemory]);
        assert_eq!(codes.instances(), [(0, 1), (2, 5)], "rule 4");
        codes.update(&[]);
        assert_eq!(codes.instances(), [(0, 0)], "rule 5");
    }

    #[test]
    fn instance_0_is_used_again_while_others_keep_theirs() {
        let mut codes = ErrorCodes::default();
        codes.update(&[LowBattery, ExternalSupplyOff]);
        codes.update(&[ExternalSupplyOff]);
        assert_eq!(codes.instances(), [(1, 2)]);
        codes.update(&[ExternalSupplyOff, PeripheralMalfunction]);
        assert_eq!(codes.instances(), [(0, 8), (1, 2)]);
    }

    #[test]
    fn a_code_comes_once() {
        let mut codes = ErrorCodes::default();
        codes.update(&[LowBattery, LowBattery]);
        codes.update(&[LowBattery]);
        assert_eq!(codes.instances(), [(0, 1)]);
    }

    /// OBJ-62.
    #[test]
    fn reset_keeps_only_what_still_holds() {
        let mut codes = ErrorCodes::default();
        codes.update(&[LowBattery, ExternalSupplyOff]);
        codes.reset(&[ExternalSupplyOff]);
        assert_eq!(codes.instances(), [(0, 2)]);
        codes.reset(&[]);
        assert_eq!(codes.instances(), [(0, 0)]);
    }
}
