//! Objects 0 and 1: the accounts as resources (Objects 2 and 3).
//!
//! Security is for the operator on the device, without keys. Server is for
//! servers too: what they write counts once it is stored, and Update tells them so.

use std::collections::BTreeMap;

use lwm2m_model::record::{self, Change, Key, Record};
use lwm2m_model::{
    Arguments, Code, Entry, Operation, Path, RequestError, Value, Version, objects::id,
};

use crate::dispatch::Job;
use crate::engine::Engine;
use crate::server::Then;
use crate::{Account, Call, CallOperation, CallReply, CallResult};

impl Engine {
    /// A call of Object 0.
    pub(crate) fn security_object(&self, call: &Call) -> CallResult {
        let all = self.servers.values().flat_map(|server| {
            let account = &server.account;
            let at = |resource| Path::resource(id::SECURITY, server.instance, resource);
            let mode = account.security.number();
            let mut entries = vec![
                Entry::new(at(0), Value::String(account.uri.clone())),
                Entry::new(at(1), Value::Boolean(false)),
                Entry::new(at(2), Value::Integer(mode)),
            ];
            if !account.identity.is_empty() {
                let identity = account.identity.clone().into_bytes();
                entries.push(Entry::new(at(3), Value::Opaque(identity)));
            }
            entries.push(Entry::new(at(10), Value::Integer(account.short_server_id.into())));
            entries
        });
        answer(call, all.collect(), &[])
    }

    /// A call of Object 1.
    pub(crate) fn server_object(&mut self, call: &Call) -> CallResult {
        match &call.operation {
            CallOperation::Write { entries, .. } => self.write_account(&call.path, entries),
            CallOperation::Execute(arguments) => self.execute_account(call, arguments),
            CallOperation::Read | CallOperation::Discover => {
                let all = self
                    .servers
                    .values()
                    .flat_map(|server| resources(&server.account, server.instance, server.version))
                    .collect();
                let executable: Vec<Path> = self
                    .servers
                    .values()
                    .flat_map(|server| {
                        EXECUTABLE.map(|id| Path::resource(id::SERVER, server.instance, id))
                    })
                    .collect();
                answer(call, all, &executable)
            }
            CallOperation::Create { .. }
            | CallOperation::Delete
            | CallOperation::Stream { .. }
            | CallOperation::StreamEnd
            | CallOperation::Proceed => Err(by_bootstrap_only()),
        }
    }

    fn write_account(&mut self, path: &Path, entries: &[Entry]) -> CallResult {
        let (id, account) = self.account_after(path, entries)?;
        let Some(server) = self.servers.get_mut(&id) else {
            return Err(no_account());
        };
        server.account = account;
        self.tell_what_changed(id); // CORE-100, CORE-103
        self.changed(path);
        self.rearm_observations_of(id);
        Ok(CallReply::Done)
    }

    /// An account as it is after a Write to `/1`.
    fn account_after(
        &self,
        path: &Path,
        entries: &[Entry],
    ) -> Result<(u16, Account), RequestError> {
        let id = self.account_at(path)?;
        let server = self.servers.get(&id).ok_or_else(no_account)?;
        let mut account = server.account.clone();
        for entry in entries {
            write(&mut account, server.version, &self.config.bindings, entry)?;
        }
        Ok((id, account))
    }

    // What is remembered of an account.

    /// What a Write to `/1` changes on the medium; `None` if that is so already.
    ///
    /// # Errors
    /// What the Write is refused with.
    pub(crate) fn account_change(
        &self,
        path: &Path,
        entries: &[Entry],
    ) -> Result<Option<Change>, RequestError> {
        let (id, account) = self.account_after(path, entries)?;
        let server = self.servers.get(&id).filter(|server| server.account != account);
        Ok(server.map(|server| match record_of(&account, &server.configured) {
            Some(record) => Change::Put(record),
            None => Change::Remove(Key::Account(id)),
        }))
    }

    /// The record of what was written to an account; `None` if nothing was.
    pub(crate) fn account_record(&self, id: u16) -> Option<Record> {
        let server = self.servers.get(&id)?;
        record_of(&server.account, &server.configured)
    }

    /// Takes over what was written to an account before a restart, unless the
    /// configuration has another account now; false if it is out of date.
    pub(crate) fn restore_account(&mut self, record: &record::Account) -> bool {
        let bindings = &self.config.bindings;
        let Some(server) = self.servers.get_mut(&record.server) else { return false };
        if server.configured.fingerprint() != record.configured {
            return false;
        }
        // A value that is possible no more leaves the others alone.
        let values = record.values.iter().map(|(resource, value)| {
            let path = Path::resource(id::SERVER, server.instance, *resource);
            write(&mut server.account, REMEMBERED, bindings, &Entry::new(path, value.clone()))
        });
        values.fold(true, |all, written| all & written.is_ok())
    }

    /// The account of a server has other values.
    pub(crate) fn account_differs(&mut self, id: u16) {
        let Some(server) = self.servers.get(&id) else { return };
        let instance = Path::instance(id::SERVER, server.instance);
        self.tell_what_changed(id);
        self.changed(&instance);
        self.rearm_observations_of(id);
    }

    fn execute_account(&self, call: &Call, arguments: &Arguments) -> CallResult {
        self.account_at(&call.path)?;
        let takes_none = || RequestError::new(Code::BAD_REQUEST, "this resource takes no argument");
        match call.path.resource_id() {
            Some(DISABLE) if !arguments.is_empty() => Err(takes_none()),
            // Argument 0 names a binding; one that cannot be used is ignored (CORE-105).
            Some(UPDATE_TRIGGER) if arguments.iter().any(|argument| argument.digit != 0) => {
                Err(takes_none())
            }
            Some(DISABLE | UPDATE_TRIGGER) => Ok(CallReply::Done),
            _ => {
                let reason = format!("there is no resource {}", call.path);
                Err(RequestError::new(Code::NOT_FOUND, reason))
            }
        }
    }

    /// A request on Object 1 has been answered: what has to follow the answer.
    pub(crate) fn server_object_done(&mut self, job: &Job) {
        if job.operation != Operation::Execute {
            return;
        }
        let Some(id) = job.path.instance_id().and_then(|instance| self.server_at(instance)) else {
            return;
        };
        match job.path.resource_id() {
            Some(DISABLE) => self.send_deregister(id, Then::Disable),
            Some(UPDATE_TRIGGER) => self.update_due(id, self.now.boot),
            _ => {}
        }
    }

    pub(crate) fn account_at(&self, path: &Path) -> Result<u16, RequestError> {
        path.instance_id().and_then(|instance| self.server_at(instance)).ok_or_else(no_account)
    }
}

/// The resources of an account that hold values.
fn resources(account: &Account, instance: u16, version: Version) -> Vec<Entry> {
    let at = |resource| Path::resource(id::SERVER, instance, resource);
    let integer = |value: u32| Value::Integer(value.into());
    let unsigned = |value: u32| Value::Unsigned(value.into());
    let optional =
        |resource, value: Option<u32>| value.map(|value| Entry::new(at(resource), integer(value)));
    [
        Some(Entry::new(at(SHORT_SERVER_ID), Value::Integer(account.short_server_id.into()))),
        Some(Entry::new(at(LIFETIME), integer(account.lifetime))),
        optional(DEFAULT_PMIN, account.default_pmin),
        optional(DEFAULT_PMAX, account.default_pmax),
        Some(Entry::new(at(DISABLE_TIMEOUT), integer(account.disable_timeout))),
        Some(Entry::new(at(NOTIFICATION_STORING), Value::Boolean(account.notification_storing))),
        Some(Entry::new(at(BINDING), Value::String(account.binding_text(version)))),
        Some(Entry::new(at(RETRY_COUNT), unsigned(account.retry.count))),
        Some(Entry::new(at(RETRY_TIMER), unsigned(account.retry.timer))),
        Some(Entry::new(at(SEQUENCE_DELAY), unsigned(account.retry.sequence_delay))),
        Some(Entry::new(at(SEQUENCE_COUNT), unsigned(account.retry.sequence_count))),
        account.trigger.map(|may| Entry::new(at(TRIGGER), Value::Boolean(may))),
        account
            .preferred_transport
            .map(|letter| Entry::new(at(PREFERRED_TRANSPORT), Value::String(letter.into()))),
        account.mute_send.map(|mute| Entry::new(at(MUTE_SEND), Value::Boolean(mute))),
        Some(Entry::new(
            at(NOTIFICATION_MODE),
            Value::Integer(account.confirmable_notifications.into()),
        )),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The values in which an account differs from the configured one.
fn record_of(account: &Account, configured: &Account) -> Option<Record> {
    let before = resources(configured, 0, REMEMBERED);
    let values: BTreeMap<u16, Value> = resources(account, 0, REMEMBERED)
        .into_iter()
        .filter(|entry| !before.contains(entry))
        .filter_map(|entry| Some((entry.path.resource_id()?, entry.value()?.clone())))
        .collect();
    let server = account.short_server_id;
    let configured = configured.fingerprint();
    let record = record::Account { server, configured, values };
    (!record.values.is_empty()).then_some(Record::Account(record))
}

/// Takes over one written value.
fn write(
    account: &mut Account,
    version: Version,
    bindings: &str,
    entry: &Entry,
) -> Result<(), RequestError> {
    let path = &entry.path;
    let bad = |expected: &str| {
        RequestError::new(Code::BAD_REQUEST, format!("write {path}: expected {expected}"))
    };
    let seconds = || match entry.value() {
        Some(Value::Integer(value)) => u32::try_from(*value).map_err(|_| bad(U32)),
        Some(Value::Unsigned(value)) => u32::try_from(*value).map_err(|_| bad(U32)),
        _ => Err(bad(U32)),
    };
    match (path.resource_id(), entry.value()) {
        (Some(LIFETIME), _) => account.lifetime = seconds()?,
        (Some(DEFAULT_PMIN), _) => account.default_pmin = Some(seconds()?),
        (Some(DEFAULT_PMAX), _) => account.default_pmax = Some(seconds()?),
        (Some(DISABLE_TIMEOUT), _) => account.disable_timeout = seconds()?,
        (Some(NOTIFICATION_STORING), Some(Value::Boolean(storing))) => {
            account.notification_storing = *storing
        }
        (Some(BINDING), Some(Value::String(binding))) => {
            let (letters, queue_mode) = letters_of(binding, version)
                .filter(|(letters, _)| letters.chars().any(|letter| bindings.contains(letter)))
                .ok_or_else(|| bad("binding letters, one of which this device has"))?;
            account.binding = letters;
            account.queue_mode = queue_mode.unwrap_or(account.queue_mode);
        }
        (Some(RETRY_COUNT), _) => account.retry.count = seconds()?.max(1),
        (Some(RETRY_TIMER), _) => account.retry.timer = seconds()?,
        (Some(SEQUENCE_DELAY), _) => account.retry.sequence_delay = seconds()?,
        (Some(SEQUENCE_COUNT), _) => account.retry.sequence_count = seconds()?,
        (Some(TRIGGER), Some(Value::Boolean(may))) => account.trigger = Some(*may),
        (Some(PREFERRED_TRANSPORT), Some(Value::String(text))) => {
            let mut letters = text.chars();
            let letter = letters.next().filter(|letter| BINDINGS.contains(*letter));
            let only = letter.filter(|_| letters.next().is_none());
            account.preferred_transport = Some(only.ok_or_else(|| bad("one binding letter"))?);
        }
        (Some(MUTE_SEND), Some(Value::Boolean(mute))) => account.mute_send = Some(*mute),
        (Some(NOTIFICATION_MODE), Some(Value::Integer(mode))) => {
            account.confirmable_notifications = *mode == 1
        }
        _ => {
            let reason = format!("there is no resource {path}");
            return Err(RequestError::new(Code::NOT_FOUND, reason));
        }
    }
    Ok(())
}

/// The transports that a written binding names, each once, and for LwM2M 1.0 whether
/// it asks for queue mode; `None` if it is no binding.
fn letters_of(binding: &str, version: Version) -> Option<(String, Option<bool>)> {
    let has_queue_mode = version < Version::V1_1;
    let letters: String =
        binding.chars().filter(|letter| !has_queue_mode || *letter != 'Q').collect();
    let legal = letters
        .char_indices()
        .all(|(at, letter)| BINDINGS.contains(letter) && letters.find(letter) == Some(at));
    let queue_mode = has_queue_mode.then(|| binding.contains('Q'));
    (legal && letters.len() + 1 >= binding.len()).then_some((letters, queue_mode))
}

/// Answers Read and Discover from values at hand.
fn answer(call: &Call, all: Vec<Entry>, executable: &[Path]) -> CallResult {
    let path = &call.path;
    let mut entries: Vec<Entry> =
        all.into_iter().filter(|entry| path.contains(&entry.path)).collect();
    let mut executable: Vec<Path> =
        executable.iter().filter(|other| path.contains(other)).cloned().collect();
    if path.depth() >= 3 && entries.is_empty() && executable.is_empty() {
        let reason = format!("there is no resource {path}");
        return Err(RequestError::new(Code::NOT_FOUND, reason));
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    match call.operation {
        CallOperation::Read => Ok(CallReply::Entries(entries)),
        CallOperation::Discover => {
            let mut paths: Vec<Path> = entries.into_iter().map(|entry| entry.path).collect();
            paths.append(&mut executable);
            let instances: Vec<Path> = paths.iter().map(|path| path.truncated(2)).collect();
            paths.extend(instances);
            paths.sort();
            paths.dedup();
            Ok(CallReply::Paths(paths))
        }
        CallOperation::Write { .. }
        | CallOperation::Stream { .. }
        | CallOperation::StreamEnd
        | CallOperation::Execute(_)
        | CallOperation::Create { .. }
        | CallOperation::Proceed
        | CallOperation::Delete => Err(by_bootstrap_only()),
    }
}

fn by_bootstrap_only() -> RequestError {
    let reason = "accounts are made and removed by bootstrap only";
    RequestError::new(Code::METHOD_NOT_ALLOWED, reason)
}

fn no_account() -> RequestError {
    RequestError::new(Code::NOT_FOUND, "there is no such account")
}

/// Accounts are remembered as LwM2M 1.0 has them: its binding tells queue mode too.
const REMEMBERED: Version = Version::V1_0;
const SHORT_SERVER_ID: u16 = 0;
const LIFETIME: u16 = 1;
const DEFAULT_PMIN: u16 = 2;
const DEFAULT_PMAX: u16 = 3;
const DISABLE: u16 = 4;
const DISABLE_TIMEOUT: u16 = 5;
const NOTIFICATION_STORING: u16 = 6;
const BINDING: u16 = 7;
const UPDATE_TRIGGER: u16 = 8;
const RETRY_COUNT: u16 = 17;
const RETRY_TIMER: u16 = 18;
const SEQUENCE_DELAY: u16 = 19;
const SEQUENCE_COUNT: u16 = 20;
const TRIGGER: u16 = 21;
const PREFERRED_TRANSPORT: u16 = 22;
const MUTE_SEND: u16 = 23;
const NOTIFICATION_MODE: u16 = 26;
const EXECUTABLE: [u16; 2] = [DISABLE, UPDATE_TRIGGER];
/// Letters of the transport bindings (Core 5.5).
const BINDINGS: &str = "UTSNMH";
/// What the times and counts of an account can be.
const U32: &str = "a number from 0 to 4294967295";
