//! A package comes and is checked (Objects 7.2, the columns Idle and Downloading).

use lwm2m_engine::{CallId, CallReply};
use lwm2m_model::{Code, Now, RequestError};

use crate::event::{Action, Delivery, Failure, PackageInfo, Reason, Settings, Ticket};
use crate::machine::{ANSWER_LIMIT, INSTALL_DELAY, Machine, Phase, Refusal};
use crate::record::{Progress, Record, State, UpdateResult};
use crate::rules::{is_supported, not_allowed, refusal_of, result_of, scheme};

/// A part of a package, as it comes.
pub(crate) struct Chunk {
    pub(crate) call: CallId,
    pub(crate) server: Option<u16>,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) last: bool,
    pub(crate) size: Option<u64>,
}

/// A part that is being stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Storing {
    call: CallId,
    len: u64,
    last: bool,
}

impl Machine {
    pub(crate) fn chunk(&mut self, now: &Now, chunk: Chunk, out: &mut Vec<Action>) -> Refusal {
        let is_whole = chunk.offset == 0 && chunk.last;
        if is_whole && chunk.bytes.is_empty() {
            return Err(RequestError::new(Code::BAD_REQUEST, "the package is empty"));
        }
        if is_whole && chunk.bytes == [0] {
            self.check_not_updating()?;
            self.reset(now, UpdateResult::Initial, out);
            out.push(Action::Reply(chunk.call, Ok(CallReply::Done)));
            return Ok(());
        }
        let starts = chunk.offset == 0;
        match (self.record.state, &self.phase) {
            (State::Idle, _) if starts => {
                self.commit(now, None, out, |record| {
                    record.state = State::Downloading;
                    record.result = UpdateResult::Initial;
                });
            }
            (State::Downloading, _)
                if starts && (self.record.fetch.is_some() || self.record.streamed) =>
            {
                return Err(not_allowed("a package is fetched from Package URI"));
            }
            (
                State::Downloading,
                Phase::Receiving { server, .. } | Phase::Checking { server, .. },
            ) if starts && *server != chunk.server => {
                return Err(not_allowed("the package of another server is under way"));
            }
            // Also when all of it is there already: the same once more does no harm.
            (State::Downloading, _) if starts => self.abandon_check(out),
            (State::Downloading, Phase::Receiving { server, next, .. })
                if *server == chunk.server && *next == chunk.offset => {}
            (State::Downloaded, _) if starts => {
                return Err(not_allowed("a package is there already"));
            }
            (State::Updating, _) if starts => return Err(not_allowed("an update is under way")),
            _ => {
                let reason = "what came before this part is no longer here";
                return Err(RequestError::new(Code::REQUEST_ENTITY_INCOMPLETE, reason));
            }
        }
        let Chunk { call, server, offset, bytes, last, size } = chunk;
        let storing = Some(Storing { call, len: bytes.len() as u64, last });
        self.phase = Phase::Receiving { server, next: offset, storing };
        out.push(Action::Store { offset, bytes, last, size });
        Ok(())
    }

    pub(crate) fn stored(
        &mut self,
        now: &Now,
        result: Result<u64, Failure>,
        out: &mut Vec<Action>,
    ) {
        let Phase::Receiving { server, next, storing } = &mut self.phase else {
            return self.fetched_is_stored(now, result, out);
        };
        let server = *server;
        let Some(Storing { call, len, last }) = storing.take() else { return };
        match result {
            Ok(_) if last => {
                let ticket = self.next_ticket();
                let answer = Some((call, now.boot + ANSWER_LIMIT));
                self.phase = Phase::Checking { server, ticket, answer };
                out.push(Action::Inspect(ticket));
            }
            Ok(_) => {
                *next += len;
                out.push(Action::Reply(call, Ok(CallReply::Done)));
            }
            Err(failure) => {
                // After the last part only the result tells of it (Objects 7.1).
                let reply = if last { Ok(CallReply::Done) } else { Err(refusal_of(&failure)) };
                self.end(now, result_of(failure.reason), Some(failure.cause), out);
                out.push(Action::Reply(call, reply));
            }
        }
    }

    pub(crate) fn inspected(
        &mut self,
        now: &Now,
        ticket: Ticket,
        result: Result<PackageInfo, Failure>,
        out: &mut Vec<Action>,
    ) {
        match self.phase.clone() {
            Phase::Checking { ticket: own, .. } if own == ticket => match result {
                Ok(info) => {
                    self.commit(now, None, out, |record| {
                        record.state = State::Downloaded;
                        record.result = UpdateResult::Initial;
                        record.package = Some(info);
                        record.fetch = None;
                    });
                    self.abandon_check(out);
                    if self.record.automatic {
                        self.phase = Phase::Automatic(now.boot + INSTALL_DELAY);
                    }
                }
                Err(Failure { reason: Reason::NotStreamed, cause }) if self.record.streamed => {
                    self.fetch_instead(now, Some(cause), out);
                }
                Err(failure) => {
                    self.abandon_check(out);
                    let replies = std::mem::take(out);
                    self.end(now, result_of(failure.reason), Some(failure.cause), out);
                    // The record first, also of what is bad.
                    out.extend(replies);
                }
            },
            Phase::Rechecking(own) if own == ticket => {
                self.phase = Phase::Rest;
                match result {
                    Ok(info) => self.commit(now, None, out, |record| record.package = Some(info)),
                    Err(Failure { reason: Reason::Integrity, cause }) => {
                        return self.end(now, UpdateResult::Integrity, Some(cause), out);
                    }
                    // It was good once: the installer will look at it again.
                    Err(_) => {}
                }
                if self.record.automatic && self.record.result == UpdateResult::Initial {
                    self.phase = Phase::Automatic(now.boot + INSTALL_DELAY);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn write(
        &mut self,
        now: &Now,
        uri: Option<String>,
        settings: Settings,
        out: &mut Vec<Action>,
    ) -> Refusal {
        if settings.severity.is_some_and(|severity| severity > MAX_SEVERITY) {
            return Err(RequestError::new(Code::BAD_REQUEST, "Severity is 0 to 2"));
        }
        if let Some(uri) = &uri {
            self.check_uri(uri)?;
        }
        // One record for both, so that neither is there without the other.
        let set = move |record: &mut Record| {
            record.severity = settings.severity.unwrap_or(record.severity);
            record.max_defer = settings.max_defer.or(record.max_defer);
            record.automatic = settings.automatic.unwrap_or(record.automatic);
        };
        match uri {
            None => self.commit(now, None, out, set),
            Some(uri) if uri.is_empty() => {
                self.abandon_check(out);
                self.go_idle(now, UpdateResult::Initial, None, out, |record| {
                    record.uri.clear();
                    set(record);
                });
            }
            Some(uri) if is_supported(&uri, &self.config.streams) => {
                self.commit(now, None, out, |record| {
                    record.state = State::Downloading;
                    record.result = UpdateResult::Initial;
                    record.uri = uri;
                    record.streamed = true;
                    set(record);
                });
                self.check_fetched(out);
            }
            Some(uri) if is_supported(&uri, &self.config.protocols) => {
                self.commit(now, None, out, |record| {
                    record.state = State::Downloading;
                    record.result = UpdateResult::Initial;
                    record.uri = uri;
                    record.fetch = Some(Progress::default());
                    set(record);
                });
                self.fetch(now, 0, out);
            }
            Some(uri) => {
                let (result, cause) = match scheme(&uri) {
                    None => (UpdateResult::InvalidUri, "Package URI is no URI with a host".into()),
                    Some(scheme) => {
                        let cause = format!("Package URI has the scheme {scheme}");
                        (UpdateResult::UnsupportedScheme, cause)
                    }
                };
                self.commit(now, Some(cause), out, |record| {
                    record.result = result;
                    record.uri = uri;
                    set(record);
                });
            }
        }
        Ok(())
    }

    /// The rows of Package URI that refuse the Write itself.
    pub(crate) fn check_uri(&self, uri: &str) -> Refusal {
        if uri.len() > MAX_URI {
            return Err(RequestError::new(Code::BAD_REQUEST, "Package URI is too long"));
        }
        if uri.is_empty() {
            return self.check_not_updating();
        }
        match (Delivery::with(&self.config.protocols), self.record.state) {
            (Delivery::Push, _) => Err(not_allowed("packages can only be pushed")),
            (Delivery::Both, State::Idle) => Ok(()),
            (Delivery::Both, _) => Err(not_allowed("another package is under way")),
        }
    }

    pub(crate) fn silent(&mut self, now: &Now, out: &mut Vec<Action>) {
        if let Phase::Receiving { next, .. } = self.phase {
            let cause = format!("no part came after byte {next}");
            self.end(now, UpdateResult::ConnectionLost, Some(cause), out);
        }
    }

    /// Ends a check, if one is under way; its Write has done what it could.
    pub(crate) fn abandon_check(&mut self, out: &mut Vec<Action>) {
        if let Phase::Checking { answer, .. } = self.phase {
            self.phase = Phase::Rest;
            out.extend(answer.map(|(call, _)| Action::Reply(call, Ok(CallReply::Done))));
        }
    }
}

const MAX_SEVERITY: u8 = 2;
/// Bytes of a Package URI.
const MAX_URI: usize = 255;
