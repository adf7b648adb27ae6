//! A made-up machine, and calls of its Device object.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lwm2m_engine::{Call, CallId, CallOperation, CallReply, CallResult};
use lwm2m_model::{Arguments, Entry, Now, Path, Value, WriteMode};
use lwm2m_objects::{BusHandle, Device, DeviceConfig, ObjectHost, ObjectMessage, Roots};

/// Noon of 2026-01-15, UTC: winter in Europe.
pub(crate) const WINTER: i64 = 1_768_478_400;
/// Noon of 2026-07-15, UTC: summer in Europe.
pub(crate) const SUMMER: i64 = 1_784_116_800;

/// A folder with proc, sys, etc and usr, gone when dropped.
pub(crate) struct Tree(PathBuf);

impl Tree {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "lwm2m-objects-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        for folder in ["proc", "sys", "etc", "usr"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        Self(root)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Writes the files of one power supply.
    pub(crate) fn supply(&self, name: &str, files: &[(&str, &str)]) {
        for (file, content) in files {
            self.write(&format!("sys/class/power_supply/{name}/{file}"), format!("{content}\n"));
        }
    }

    /// Makes a zone the one of the system, as systemd does.
    pub(crate) fn zone(&self, name: &str) {
        let link = self.0.join("etc/localtime");
        let _ = std::fs::remove_file(&link);
        let target = FilePath::new("/usr/share/zoneinfo").join(name);
        std::os::unix::fs::symlink(target, link).unwrap();
    }

    /// Installs a zone with a rule in the form of POSIX.
    pub(crate) fn zone_file(&self, name: &str, rule: &str) {
        self.write(&format!("usr/share/zoneinfo/{name}"), zone_bytes(rule));
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::below(&self.0)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A zone file (RFC 8536, version 2) without transitions: only its rule counts.
pub(crate) fn zone_bytes(rule: &str) -> Vec<u8> {
    let mut block = b"TZif2".to_vec();
    block.extend([0; 15]);
    for count in [0_u32, 0, 0, 0, 1, 4] {
        block.extend(count.to_be_bytes());
    }
    // One type: offset 0, no daylight saving, its name at 0.
    block.extend([0; 6]);
    block.extend(b"UTC\0");
    let mut file = block.repeat(2);
    file.extend(format!("\n{rule}\n").bytes());
    file
}

/// A host whose only object is the Device of the tree, at a fixed time.
pub(crate) fn host(
    tree: &Tree,
    config: DeviceConfig,
    bus: BusHandle,
    unix: Option<i64>,
) -> ObjectHost {
    let now = Now { wall: unix.map(|seconds| seconds * 1000), ..Now::default() };
    let mut host = ObjectHost::new(move || now);
    let device = Device::new(config, tree.roots(), bus, host.sender());
    host.add(Box::new(device));
    host
}

/// Gives a call to the host and waits for its result.
pub(crate) async fn call(
    host: &mut ObjectHost,
    path: &str,
    operation: CallOperation,
) -> CallResult {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let id = CallId(NUMBER.fetch_add(1, Ordering::Relaxed));
    let call = Call { id, path: path.parse().unwrap(), operation, server: Some(101) };
    if let Some(result) = host.call(&call) {
        return result;
    }
    loop {
        match host.next().await {
            ObjectMessage::Reply { call, result } if call == id => return result,
            _ => {}
        }
    }
}

/// The values at a path, as text by path; empty containers as `-`.
pub(crate) async fn read(host: &mut ObjectHost, path: &str) -> BTreeMap<String, String> {
    match call(host, path, CallOperation::Read).await {
        Ok(CallReply::Entries(entries)) => {
            assert!(entries.is_sorted_by(|one, next| one.path < next.path), "{entries:?}");
            let text =
                |entry: &Entry| entry.value().map_or_else(|| "-".to_owned(), ToString::to_string);
            entries.iter().map(|entry| (entry.path.to_string(), text(entry))).collect()
        }
        other => panic!("read {path}: {other:?}"),
    }
}

/// Writes one value.
pub(crate) async fn write(host: &mut ObjectHost, path: &str, value: Value) -> CallResult {
    let entries = vec![Entry::new(path.parse().unwrap(), value)];
    call(host, path, CallOperation::Write { mode: WriteMode::Replace, entries }).await
}

/// Executes a resource without arguments.
pub(crate) async fn execute(host: &mut ObjectHost, path: &str) -> CallResult {
    call(host, path, CallOperation::Execute(Arguments::default())).await
}

/// Waits for the news that a resource may differ.
pub(crate) async fn changed(host: &mut ObjectHost, path: &str) {
    let path: Path = path.parse().unwrap();
    loop {
        if host.next().await == ObjectMessage::Changed(path.clone()) {
            return;
        }
    }
}
