//! Numbers for things that come and go: instances of resources and of objects.

use std::collections::BTreeMap;

/// Which thing has which number; things are told apart by a key.
#[derive(Debug, Default)]
pub(crate) struct Slots(BTreeMap<u16, String>);

impl Slots {
    /// Gives a thing that is new, and about to be listed, this number if it is free.
    pub(crate) fn reserve(&mut self, id: u16, key: &str) {
        if !self.0.contains_key(&id) && !self.0.values().any(|known| known == key) {
            self.0.insert(id, key.to_owned());
        }
    }

    /// The number of each thing, ascending. A thing keeps its number as long as it is
    /// listed; a new one takes the lowest free.
    pub(crate) fn assign<'a, T>(
        &mut self,
        things: &'a [T],
        key: impl Fn(&T) -> &str,
    ) -> Vec<(u16, &'a T)> {
        self.0.retain(|_, known| things.iter().any(|thing| key(thing) == known));
        for thing in things {
            if !self.0.values().any(|known| known == key(thing))
                && let Some(id) = (0..u16::MAX).find(|id| !self.0.contains_key(id))
            {
                self.0.insert(id, key(thing).to_owned());
            }
        }
        let named = |known: &String| things.iter().find(|thing| key(thing) == known);
        self.0.iter().filter_map(|(id, known)| Some((*id, named(known)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OBJ-63.
    #[test]
    fn things_keep_their_number_while_others_come_and_go() {
        let mut slots = Slots::default();
        type Case = (&'static [&'static str], &'static [(u16, &'static str)]);
        let cases: [Case; 4] = [
            (&["AC", "BAT0"], &[(0, "AC"), (1, "BAT0")]),
            (&["A", "AC", "BAT0"], &[(0, "AC"), (1, "BAT0"), (2, "A")]),
            (&["A", "BAT0"], &[(1, "BAT0"), (2, "A")]),
            (&["BAT0", "C"], &[(0, "C"), (1, "BAT0")]),
        ];
        for (listed, expected) in cases {
            let assigned = slots.assign(listed, |name| name);
            let assigned: Vec<_> = assigned.into_iter().map(|(id, name)| (id, *name)).collect();
            assert_eq!(assigned, expected);
        }
    }
    /// CORE-143.
    #[test]
    fn a_number_that_was_asked_for_is_given_if_it_is_free() {
        let mut slots = Slots::default();
        for (id, key) in [(5, "A"), (5, "B"), (7, "A")] {
            slots.reserve(id, key);
        }
        let listed = ["A", "B"];
        let assigned = slots.assign(&listed, |name| name);
        let assigned: Vec<_> = assigned.into_iter().map(|(id, name)| (id, *name)).collect();
        assert_eq!(assigned, [(0, "B"), (5, "A")]);
    }
}
