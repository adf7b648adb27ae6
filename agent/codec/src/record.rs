//! What a payload says: one [`Record`] per path, checked as a whole by [`Records`].
//!
//! The rules of Core 10.6 and 10.10 that hold for every format: a path lies inside
//! the target, has the right depth, and comes once (CORE-196).

use lwm2m_model::Path;

use crate::{DecodeError, MAX_RECORDS, Raw};

/// One path of a payload and what stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// Absolute path.
    pub path: Path,
    /// What the payload says of it.
    pub item: Item<'a>,
    /// When the value was sampled, in seconds: Unix time from 2^28 on, below that
    /// relative to the arrival of the message, negative in the past (RFC 8428 4.5.3).
    /// `None` means now. [`Record::unix_time`] resolves it.
    pub time: Option<f64>,
}

impl Record<'_> {
    /// When the value was sampled, Unix seconds, in a message that came at `now`.
    pub fn unix_time(&self, now: f64) -> f64 {
        match self.time {
            None => now,
            Some(time) if time < FIRST_ABSOLUTE_TIME => now + time,
            Some(time) => time,
        }
    }
}

/// What a payload says of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// A value.
    Value(Raw<'a>),
    /// An instance or multiple-instance resource with nothing in it.
    Empty,
    /// The resource instance is to be removed: in a Patch pack alone (RFC 8790 3.2).
    Delete,
}

/// The target of a payload, and the instance that a Create without one stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'t> {
    pub(crate) path: &'t Path,
    /// Takes the place of instance 65535, or of a missing one, in a Create.
    pub(crate) unassigned: Option<u16>,
}

impl Target<'_> {
    /// The path below `parent` for an identifier from the wire.
    pub(crate) fn child(&self, parent: &Path, id: u64) -> Result<Path, DecodeError> {
        let id = u16::try_from(id).map_err(|_| DecodeError::IdTooLarge { id })?;
        let id = match self.unassigned {
            Some(instance) if id == u16::MAX && parent.depth() == 1 => instance,
            _ => id,
        };
        if id == u16::MAX {
            return Err(DecodeError::ReservedId { parent: parent.clone() });
        }
        parent.child(id).map_err(|_| DecodeError::PathTooDeep { parent: parent.clone() })
    }
}

/// True if `target` covers `path`; `/` covers the end devices of a gateway too.
pub(crate) fn covers(target: &Path, path: &Path) -> bool {
    (target.depth() == 0 && target.prefix().is_none()) || target.contains(path)
}

/// The records of a payload while it is read.
#[derive(Debug)]
pub(crate) struct Records<'a, 't> {
    target: Target<'t>,
    list: Vec<Record<'a>>,
}

impl<'a, 't> Records<'a, 't> {
    pub(crate) fn new(target: Target<'t>) -> Self {
        Self { target, list: Vec::new() }
    }

    pub(crate) fn target(&self) -> Target<'t> {
        self.target
    }

    pub(crate) fn value(
        &mut self,
        path: Path,
        value: Raw<'a>,
        time: Option<f64>,
    ) -> Result<(), DecodeError> {
        if path.depth() < 3 {
            return Err(DecodeError::Misplaced { path });
        }
        self.push(Record { path, item: Item::Value(value), time })
    }

    /// Notes an empty container; an object without instances says nothing.
    pub(crate) fn empty(&mut self, path: Path) -> Result<(), DecodeError> {
        match path.depth() {
            0 | 1 => Ok(()),
            2 | 3 => self.push(Record { path, item: Item::Empty, time: None }),
            _ => Err(DecodeError::Misplaced { path }),
        }
    }

    /// Notes that a resource instance is to go.
    pub(crate) fn delete(&mut self, path: Path) -> Result<(), DecodeError> {
        if path.depth() != 4 {
            return Err(DecodeError::Misplaced { path });
        }
        self.push(Record { path, item: Item::Delete, time: None })
    }

    fn push(&mut self, record: Record<'a>) -> Result<(), DecodeError> {
        if self.list.len() >= MAX_RECORDS {
            return Err(DecodeError::TooManyRecords);
        }
        if !covers(self.target.path, &record.path) {
            return Err(DecodeError::OutsideTarget {
                path: record.path,
                target: self.target.path.clone(),
            });
        }
        self.list.push(record);
        Ok(())
    }

    /// The records of a Patch pack, which are steps: a later one may change what an
    /// earlier one set.
    pub(crate) fn in_order(self) -> Vec<Record<'a>> {
        self.list
    }

    /// The records, if no path comes twice.
    pub(crate) fn finish(self) -> Result<Vec<Record<'a>>, DecodeError> {
        // Nearly every payload is sorted, which needs no second list.
        if self.list.windows(2).all(|pair| matches!(pair, [a, b] if a.path < b.path)) {
            apart(self.list.iter())?;
            return Ok(self.list);
        }
        let mut sorted: Vec<_> = self.list.iter().collect();
        sorted.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| moment(a).total_cmp(&moment(b))));
        apart(sorted.into_iter())?;
        Ok(self.list)
    }
}

/// Checks sorted records: no path twice at one time, none inside another.
fn apart<'r, 'a: 'r>(records: impl Iterator<Item = &'r Record<'a>>) -> Result<(), DecodeError> {
    let mut before: Option<&Record> = None;
    for record in records {
        match before {
            Some(last) if last.path == record.path && moment(last) == moment(record) => {
                return Err(DecodeError::DuplicatePath { path: record.path.clone() });
            }
            Some(last) if last.path != record.path && last.path.contains(&record.path) => {
                return Err(DecodeError::Overlap { path: last.path.clone() });
            }
            _ => before = Some(record),
        }
    }
    Ok(())
}

fn moment(record: &Record<'_>) -> f64 {
    record.time.unwrap_or(0.0)
}

/// 2^28 seconds: from here on a SenML time is Unix time (RFC 8428 4.5.3).
const FIRST_ABSOLUTE_TIME: f64 = 268_435_456.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_below_2_28_count_from_now() {
        let at = |time| Record {
            path: Path::resource(3303, 0, 5700),
            item: Item::Value(Raw::Float(1.0)),
            time,
        };
        let now = 1_700_000_000.0;
        let cases = [
            (None, now),
            (Some(-60.0), now - 60.0),
            (Some(268_435_455.0), now + 268_435_455.0),
            (Some(268_435_456.0), 268_435_456.0),
        ];
        for (time, unix) in cases {
            assert_eq!(at(time).unix_time(now), unix);
        }
    }

    #[test]
    fn the_number_of_records_is_bounded() {
        let root = Path::root();
        let mut records = Records::new(Target { path: &root, unassigned: None });
        let mut push = |id: usize| {
            records.value(
                Path::resource(3442, 0, u16::try_from(id).unwrap()),
                Raw::Boolean(true),
                None,
            )
        };
        for id in 0..MAX_RECORDS {
            assert_eq!(push(id), Ok(()));
        }
        assert_eq!(push(MAX_RECORDS), Err(DecodeError::TooManyRecords));
    }
}
