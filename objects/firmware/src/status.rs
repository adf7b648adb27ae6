//! How an update stands, for people on the device: the record, how far a download or an
//! installation is, and until when somebody may agree.

use lwm2m_model::Instant;
use tokio::sync::watch;

use crate::text::one_line;
use crate::{Record, State};

/// How an update stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateStatus {
    /// What is recorded; why the last update failed is in it.
    pub record: Record,
    /// How far what is under way is, as far as that is known.
    pub progress: Option<UpdateProgress>,
    /// Why a download was interrupted that is to be tried again: one line.
    pub interruption: Option<String>,
    /// An update waits for somebody's consent, and begins by itself then.
    pub deadline: Option<Instant>,
}

/// How far a download or an installation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpdateProgress {
    /// A package comes in.
    Download {
        /// Bytes that are stored.
        bytes: u64,
        /// Bytes of the whole, as far as the sender has said: an estimate.
        size: Option<u64>,
    },
    /// A package is installed.
    Installation {
        /// 0 to 100.
        percent: u8,
        /// What is done, in the words of the installer: one line of at most 255 bytes,
        /// may be empty.
        message: String,
    },
}

impl UpdateStatus {
    /// What is known at the start.
    pub(crate) fn of(record: Record) -> Self {
        Self { record, ..Self::default() }
    }

    /// Follows the machine; true if anything differs then.
    pub(crate) fn follow(
        &mut self,
        record: &Record,
        deadline: Option<Instant>,
        interruption: Option<String>,
    ) -> bool {
        let keeps_progress = match &self.progress {
            None => true,
            // A download that begins anew leaves the State as it is, and starts at 0.
            Some(UpdateProgress::Download { .. }) => record.state == State::Downloading,
            Some(UpdateProgress::Installation { .. }) => record.state == State::Updating,
        };
        let is_as_before = self.record == *record
            && self.deadline == deadline
            && self.interruption == interruption;
        if keeps_progress && is_as_before {
            return false;
        }
        if !keeps_progress {
            self.progress = None;
        }
        self.record.clone_from(record);
        self.deadline = deadline;
        self.interruption = interruption;
        true
    }

    /// A part of a package is stored. The size of the whole comes with the first part
    /// alone, most often.
    pub(crate) fn stored(&mut self, offset: u64, len: u64, size: Option<u64>) {
        let known = match self.progress {
            Some(UpdateProgress::Download { size, .. }) if offset > 0 => size,
            Some(_) | None => None,
        };
        let bytes = offset.saturating_add(len);
        self.progress = Some(UpdateProgress::Download { bytes, size: size.or(known) });
    }
}

/// Where a back end says how far an installation is.
#[derive(Debug, Clone)]
pub struct ProgressSink(watch::Sender<UpdateStatus>);

impl ProgressSink {
    pub(crate) fn new(shown: watch::Sender<UpdateStatus>) -> Self {
        Self(shown)
    }

    /// One that nobody listens to: for whoever calls a back end without the object.
    pub fn nowhere() -> Self {
        Self(watch::Sender::default())
    }

    /// `percent` are done, 100 at most; `message` says what is done now, and is cut to
    /// one line of 255 bytes.
    pub fn tell(&self, percent: u8, message: &str) {
        let progress =
            UpdateProgress::Installation { percent: percent.min(100), message: one_line(message) };
        self.0.send_if_modified(|status| {
            let counts = status.record.state == State::Updating
                && status.progress.as_ref() != Some(&progress);
            if counts {
                status.progress = Some(progress);
            }
            counts
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_state(state: State) -> Record {
        Record { state, ..Record::default() }
    }

    #[test]
    fn the_size_of_the_first_part_holds_until_a_download_begins_anew() {
        let mut status = UpdateStatus::of(in_state(State::Downloading));
        let progress = |bytes, size| Some(UpdateProgress::Download { bytes, size });
        status.stored(0, 64, Some(200));
        status.stored(64, 64, None);
        assert_eq!(status.progress, progress(128, Some(200)));
        status.stored(0, 256, None);
        assert_eq!(status.progress, progress(256, None));
    }

    #[test]
    fn progress_goes_with_its_state() {
        let mut status = UpdateStatus::of(in_state(State::Downloading));
        status.stored(0, 64, None);
        assert!(!status.follow(&in_state(State::Downloading), None, None));
        assert!(status.progress.is_some());
        assert!(status.follow(&in_state(State::Downloaded), None, None));
        assert_eq!(status.progress, None);
    }

    /// What an installer says is not trusted, nor is what it says too late.
    #[test]
    fn an_installer_is_heard_while_it_installs() {
        let (shown, status) = watch::channel(UpdateStatus::of(in_state(State::Updating)));
        let sink = ProgressSink::new(shown.clone());
        sink.tell(200, "a\nb");
        let told = UpdateProgress::Installation { percent: 100, message: "a b".into() };
        assert_eq!(status.borrow().progress, Some(told));
        shown.send_modify(|status| *status = UpdateStatus::of(in_state(State::Idle)));
        sink.tell(7, "late");
        assert_eq!(status.borrow().progress, None);
    }
}
