//! The one evaluator of notification attributes (Core 3.6).
//!
//! It judges values: has one changed in a way that the attributes ask for? When
//! a notification goes out is [`crate::notify`]'s.

use lwm2m_model::{Attributes, Entry, Path, Value};

/// What an observation compares with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    /// Values of the last notification, sorted by path; gt, lt, st and plain
    /// change are judged against them.
    pub(crate) sent: Box<[Entry]>,
    /// Booleans at the last evaluation where they differ from `sent`; edge is
    /// judged against them, since it means real transitions.
    sampled: Box<[Entry]>,
}

impl Reference {
    /// The values of an answer to Observe, or of a notification: from now on
    /// everything is compared with them.
    pub(crate) fn sent(&mut self, entries: Vec<Entry>) {
        self.sent = entries.into_boxed_slice();
        self.sampled = Box::default();
    }

    /// True if values at the `changed` paths differ from the last in a way that
    /// makes a notification due. `current` holds all observed values, sorted.
    ///
    /// What is not said to have changed is not compared: a clock always differs.
    pub(crate) fn judge(
        &mut self,
        attributes: &Attributes,
        current: &[Entry],
        changed: &[Path],
    ) -> bool {
        let conditions = Conditions::of(attributes);
        let concerned = |entry: &&Entry| {
            changed.iter().any(|path| path.contains(&entry.path) || entry.path.contains(path))
        };
        let mut due = false;
        let mut known = self.sent.iter().filter(concerned).peekable();
        for entry in current.iter().filter(concerned) {
            while known.next_if(|last| last.path < entry.path).is_some() {
                due = true; // something is gone
            }
            match known.next_if(|last| last.path == entry.path) {
                Some(last) => due |= conditions.hold(entry, last, &self.sampled),
                None => due = true, // something is new
            }
        }
        due |= known.next().is_some();
        if conditions.edge.is_some() {
            self.sampled = current.into();
        }
        due
    }
}

/// The value conditions that count, already checked against each other.
#[derive(Debug, Clone, Copy)]
struct Conditions {
    gt: Option<f64>,
    lt: Option<f64>,
    st: Option<f64>,
    edge: Option<bool>,
}

impl Conditions {
    /// Thresholds that contradict each other, built up by several writes, are
    /// left out: then any change notifies (Core 3.4).
    fn of(attributes: &Attributes) -> Self {
        let Attributes { gt, lt, st, edge, .. } = *attributes;
        if attributes.thresholds_fit() {
            Self { gt, lt, st, edge }
        } else {
            Self { gt: None, lt: None, st: None, edge }
        }
    }

    fn hold(&self, current: &Entry, last: &Entry, sampled: &[Entry]) -> bool {
        let thresholds = self.gt.is_some() || self.lt.is_some() || self.st.is_some();
        match (current.value(), last.value()) {
            (Some(Value::Boolean(now)), Some(Value::Boolean(sent))) if self.edge.is_some() => {
                let before = sampled
                    .binary_search_by(|entry| entry.path.cmp(&current.path))
                    .ok()
                    .and_then(|place| sampled.get(place))
                    .and_then(Entry::value);
                let before = match before {
                    Some(Value::Boolean(before)) => before,
                    _ => sent,
                };
                before != now && self.edge == Some(*now)
            }
            (Some(now), Some(last)) if thresholds => match (now.as_number(), last.as_number()) {
                (Some(now), Some(last)) => self.cross(now, last),
                _ => now != last,
            },
            _ => current.node != last.node,
        }
    }

    /// gt and lt in both directions, strictly; st at or beyond; any of them is enough.
    fn cross(&self, now: f64, last: f64) -> bool {
        self.gt.is_some_and(|gt| (now > gt) != (last > gt))
            || self.lt.is_some_and(|lt| (now < lt) != (last < lt))
            || self.st.is_some_and(|st| (now - last).abs() >= st)
    }
}

#[cfg(test)]
mod tests {
    use lwm2m_model::AttributeUpdate;

    use super::*;

    const PATH: Path = Path::resource(3303, 0, 5700);

    fn judge_all(query: &str, values: &[Value]) -> Vec<bool> {
        let attributes = if query.is_empty() {
            Attributes::default()
        } else {
            AttributeUpdate::parse(query.split('&')).unwrap().as_attributes().unwrap()
        };
        let entry = |value: &Value| vec![Entry::new(PATH, value.clone())];
        let mut reference = Reference::default();
        let (first, rest) = values.split_first().unwrap();
        reference.sent(entry(first));
        rest.iter()
            .map(|value| {
                let current = entry(value);
                let due = reference.judge(&attributes, &current, &[PATH]);
                if due {
                    reference.sent(current);
                }
                due
            })
            .collect()
    }

    fn floats(values: &[f64]) -> Vec<Value> {
        values.iter().copied().map(Value::Float).collect()
    }

    fn booleans(values: &[bool]) -> Vec<Value> {
        values.iter().copied().map(Value::Boolean).collect()
    }

    /// The examples B and C of Core 3.7 and NOT-01, 06 to 10, 31.
    /// CORE-36, 37, 40.
    #[test]
    fn thresholds_cross_in_both_directions_and_steps_count_from_the_last_sent() {
        let cases: [(&str, &[f64], &[bool]); 12] = [
            ("", &[20.0, 21.0, 21.0], &[true, false]),
            (
                "gt=30&st=5",
                &[28.0, 29.0, 31.0, 33.0, 29.5, 24.5, 24.0],
                &[false, true, false, true, true, false],
            ),
            ("lt=20&gt=85&st=10", &[75.0, 90.0], &[true]),
            ("lt=20&gt=85&st=10", &[50.0, 10.0], &[true]),
            ("lt=20&gt=85&st=10", &[87.0, 99.0], &[true]),
            ("lt=20&gt=85&st=10", &[17.0, 24.0], &[true]),
            ("lt=20&gt=85&st=10", &[40.0, 45.0], &[false]),
            ("gt=45&st=10", &[45.0, 50.0], &[true]),
            ("gt=45&st=10", &[38.0, 49.0], &[true]),
            ("gt=45&st=10", &[48.0, 42.0], &[true]),
            ("gt=45&st=10", &[48.0, 55.0], &[false]),
            ("gt=45", &[45.0, 40.0, 46.0], &[false, true]),
        ];
        for (query, values, due) in cases {
            assert_eq!(judge_all(query, &floats(values)), due, "{query} {values:?}");
        }
    }

    /// NOT-13, NOT-14, NOT-32.
    /// CORE-38.
    #[test]
    fn edge_judges_real_transitions() {
        let (t, f) = (true, false);
        assert_eq!(judge_all("edge=1", &booleans(&[f, t, f, t])), [t, f, t]);
        assert_eq!(judge_all("edge=0", &booleans(&[f, t, f])), [f, t]);
        assert_eq!(judge_all("edge=1", &booleans(&[t, f, t])), [f, t]);
    }

    #[test]
    fn thresholds_built_up_into_a_contradiction_are_left_out() {
        let attributes = Attributes { gt: Some(10.0), lt: Some(20.0), ..Attributes::default() };
        let entry = |value| vec![Entry::new(PATH, Value::Float(value))];
        let mut reference = Reference::default();
        reference.sent(entry(15.0));
        assert!(reference.judge(&attributes, &entry(15.5), &[PATH]));
    }

    #[test]
    fn what_comes_and_goes_is_a_change() {
        let at =
            |instance| Entry::new(Path::resource_instance(3, 0, 11, instance), Value::Integer(1));
        let all = [Path::resource(3, 0, 11)];
        let mut reference = Reference::default();
        reference.sent(vec![at(0), at(2)]);
        let attributes = Attributes { st: Some(5.0), ..Attributes::default() };
        assert!(!reference.judge(&attributes, &[at(0), at(2)], &all));
        assert!(reference.judge(&attributes, &[at(0), at(1), at(2)], &all));
        assert!(reference.judge(&attributes, &[at(2)], &all));
        assert!(reference.judge(&attributes, &[at(0)], &all));
    }

    #[test]
    fn what_is_not_said_to_have_changed_is_not_compared() {
        let entries = |time, free| {
            let memory = Entry::new(Path::resource(3, 0, 10), Value::Integer(free));
            vec![memory, Entry::new(Path::resource(3, 0, 13), Value::Time(time))]
        };
        let mut reference = Reference::default();
        reference.sent(entries(1, 5));
        let attributes = Attributes::default();
        assert!(!reference.judge(&attributes, &entries(2, 5), &[Path::resource(3, 0, 10)]));
        assert!(reference.judge(&attributes, &entries(2, 6), &[Path::resource(3, 0, 10)]));
        assert!(reference.judge(&attributes, &entries(2, 5), &[Path::instance(3, 0)]));
    }
}
