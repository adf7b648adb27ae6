//! Reads the files, merges them, and makes a [`Config`] of the result.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lwm2m_engine::MAX_SERVERS;
use lwm2m_firmware::{Downgrade, ScriptName};
use lwm2m_model::Version;

use super::account;
use super::keys::{BACKENDS, ROOT};
use super::position::{ConfigError, File, Position};
use super::shape::is_among;
use super::source;
use super::tree::{Kind, Node};
use super::{
    Config, DEFAULT_TRIAL, DeviceSettings, DownloadSettings, EventLogSource, FirmwareSettings,
    Installer, Sensors, Server, TextSource,
};
use super::{app_data, location, lock_and_wipe, portfolio};

/// The files of a configuration in the order in which they are merged: `main`,
/// then the `*.yaml` of the directory `conf.d` beside it by name.
///
/// # Errors
/// [`ConfigError::Unreadable`] if `conf.d` is there but cannot be listed.
pub fn files(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let directory = main.parent().unwrap_or_else(|| Path::new("")).join("conf.d");
    let unreadable = |error: io::Error| ConfigError::Unreadable {
        path: directory.clone(),
        message: format!("cannot be listed: {error}"),
    };
    let listing = match fs::read_dir(&directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![main.into()]),
        Err(error) => return Err(unreadable(error)),
    };
    let mut parts = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    let is_part = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && path.extension().is_some_and(|extension| extension == "yaml")
    };
    parts.retain(is_part);
    parts.sort();
    Ok(std::iter::once(main.to_owned()).chain(parts).collect())
}

/// Loads a configuration from `paths`, each merged over those before it: mappings
/// key by key, lists and single values as a whole.
///
/// Keys are not fetched; see [`Config::credentials`].
///
/// # Errors
/// Everything that is wrong, in the order of the files.
pub fn load(paths: &[PathBuf]) -> Result<Config, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut tree: Option<Node> = None;
    for (order, path) in paths.iter().enumerate() {
        let file = File::new(path, order);
        match read(path).map_err(|error| vec![error]).and_then(|text| Node::parse(&file, &text)) {
            // An empty file is a file without keys.
            Ok(Node { kind: Kind::Null, .. }) => {}
            Ok(node) => match &mut tree {
                Some(tree) => tree.merge(node),
                None => tree = Some(node),
            },
            Err(wrong) => errors.extend(wrong),
        }
    }
    let start = paths.first().map(|path| File::new(path, 0).start());
    let config = match (&tree, start) {
        // What is missing in a file that could not be read is not missing.
        _ if !errors.is_empty() => None,
        (Some(tree), _) => build(tree, paths, &mut errors),
        (None, Some(start)) => {
            errors.push(ConfigError::new(&start, "servers", NO_SERVER));
            None
        }
        (None, None) => None,
    };
    match config {
        Some(config) if errors.is_empty() => Ok(config),
        _ => {
            ConfigError::sort(&mut errors);
            Err(errors)
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |message: String| ConfigError::Unreadable { path: path.into(), message };
    let cannot = |error: io::Error| unreadable(format!("cannot be read: {error}"));
    let file = fs::File::open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(unreadable("is no file".into()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable(format!("longer than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| unreadable("is no UTF-8 text".into()))
}

fn build(tree: &Node, paths: &[PathBuf], errors: &mut Vec<ConfigError>) -> Option<Config> {
    ROOT.check(tree, "", errors);
    // What single values say is judged although others are wrong: a person mends
    // all at once.
    let (version, min_version) = versions(tree, errors);
    let servers = servers(tree, errors);
    let location = tree.get("objects").and_then(|objects| objects.get("location"));
    let location = location.and_then(|node| location::location(node, errors));
    let lock_and_wipe = tree.get("objects").and_then(|objects| objects.get("lock_and_wipe"));
    let lock_and_wipe = lock_and_wipe.and_then(|node| lock_and_wipe::targets(node, errors));
    let portfolio = tree.get("objects").and_then(|objects| objects.get("portfolio"));
    let portfolio = portfolio.map(|node| portfolio::identities(node, errors)).unwrap_or_default();
    let binary_app_data = tree.get("objects").and_then(|objects| objects.get("binary_app_data"));
    let firmware = firmware(tree, errors);
    let downloads = downloads(tree, errors);
    errors.is_empty().then(|| Config {
        endpoint: text(tree, "endpoint"),
        version,
        min_version,
        deregister_on_stop: tree
            .get("deregister_on_stop")
            .and_then(Node::boolean)
            .unwrap_or_default(),
        servers,
        device: device(tree),
        sensors: sensors(tree),
        location,
        lock_and_wipe,
        portfolio,
        binary_app_data: binary_app_data.map(app_data::app_data),
        event_log: event_log(tree),
        firmware,
        downloads,
        files: paths.to_vec(),
    })
}

fn versions(tree: &Node, errors: &mut Vec<ConfigError>) -> (Version, Version) {
    let read = |key: &str| {
        let node = tree.get(key)?;
        Some((node, node.text()?.parse::<Version>().ok()?))
    };
    let highest = read("lwm2m_version").map_or(Version::V1_2, |(_, version)| version);
    match read("min_lwm2m_version") {
        Some((node, lowest)) if lowest > highest => {
            let message = format!("{lowest} is above lwm2m_version, which is {highest}");
            errors.push(ConfigError::new(&node.at, "min_lwm2m_version", message));
            (highest, lowest)
        }
        Some((_, lowest)) => (highest, lowest),
        None => (highest, Version::V1_1.min(highest)),
    }
}

fn servers(tree: &Node, errors: &mut Vec<ConfigError>) -> Vec<Server> {
    let list = tree.get("servers");
    let nodes = list.map(Node::elements).unwrap_or_default();
    let mut servers: Vec<Server> = Vec::with_capacity(nodes.len());
    let mut ids = Vec::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        let key = format!("servers[{place}]");
        if let Some(id) = node.get("short_server_id")
            && let Some(number) = id.integer()
        {
            match ids.iter().find(|(known, _)| *known == number) {
                Some((_, first)) => errors.push(ConfigError::new(
                    &id.at,
                    &format!("{key}.short_server_id"),
                    format!("{number} is taken by the server at {first}"),
                )),
                None => ids.push((number, &id.at)),
            }
        }
        servers.extend(account::server(node, &key, errors));
    }
    if let Some(node) = nodes.get(MAX_SERVERS) {
        let message = format!("{MAX_SERVERS} servers are the most that one device may have");
        errors.push(ConfigError::new(&node.at, &format!("servers[{MAX_SERVERS}]"), message));
    }
    // A tree or a list that is none is reported by the shape.
    match list {
        None if matches!(tree.kind, Kind::Map(_)) => {
            errors.push(ConfigError::new(&tree.at, "servers", NO_SERVER));
        }
        Some(Node { at, kind: Kind::List(nodes) }) if nodes.is_empty() => {
            errors.push(ConfigError::new(at, "servers", NO_SERVER));
        }
        None | Some(_) => {}
    }
    servers
}

fn device(tree: &Node) -> DeviceSettings {
    let Some(node) = tree.get("objects").and_then(|objects| objects.get("device")) else {
        return DeviceSettings::default();
    };
    DeviceSettings {
        manufacturer: text(node, "manufacturer"),
        model: text(node, "model"),
        serial: node.get("serial").and_then(text_source),
        device_type: text(node, "device_type"),
        hardware_version: text(node, "hardware_version"),
        software_version: text(node, "software_version"),
    }
}

fn sensors(tree: &Node) -> Sensors {
    let sensors = tree.get("objects").and_then(|objects| objects.get("sensors"));
    match sensors.and_then(Node::boolean) {
        Some(true) => Sensors::Shown,
        Some(false) | None => Sensors::Hidden,
    }
}

fn event_log(tree: &Node) -> EventLogSource {
    let source = tree.get("objects").and_then(|objects| text(objects, "event_log"));
    match source.as_deref() {
        Some("journal") => EventLogSource::Journal,
        Some(_) | None => EventLogSource::None,
    }
}

fn firmware(tree: &Node, errors: &mut Vec<ConfigError>) -> FirmwareSettings {
    let Some(node) = tree.get("objects").and_then(|objects| objects.get("firmware")) else {
        return FirmwareSettings::default();
    };
    let seconds = |key: &str| {
        let seconds = node.get(key).and_then(Node::integer);
        seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
    };
    FirmwareSettings {
        installer: installer(node, errors),
        defer: seconds("defer"),
        trial: seconds("trial").unwrap_or(DEFAULT_TRIAL),
    }
}

fn installer(node: &Node, errors: &mut Vec<ConfigError>) -> Installer {
    let backend = text(node, "backend");
    let backend = backend.as_deref();
    let mut wrong = |at: &Position, key: &str, message: &str| {
        errors.push(ConfigError::new(at, &format!("objects.firmware{key}"), message.to_owned()));
    };
    // Each key belongs to some of them.
    let keys: [(&str, &[&str], bool); 4] = [
        ("path", &["file"], true),
        ("name", &["script"], true),
        ("downgrade", &["rauc", "script"], false),
        ("streaming", &["rauc"], false),
    ];
    for (key, of, is_needed) in keys {
        match (node.get(key), backend) {
            // What is no back end was refused by the shape; what it would take nobody knows.
            (Some(value), Some(other)) if is_among(BACKENDS, other) && !of.contains(&other) => {
                let message = format!("the back end {other} takes no {key}");
                wrong(&value.at, &format!(".{key}"), &message);
            }
            (None, Some(backend)) if is_needed && of == [backend] => {
                wrong(&node.at, "", &format!("the back end {backend} needs a {key}"));
            }
            _ => {}
        }
    }
    let downgrade = match text(node, "downgrade").as_deref() {
        Some("refuse") => Downgrade::Refuse,
        Some(_) | None => Downgrade::Allow,
    };
    match backend {
        Some("file") => {
            let Some(path) = node.get("path") else { return Installer::None };
            let text = path.text().unwrap_or_default();
            // Relative to what, nobody would know.
            if !text.starts_with('/') {
                wrong(&path.at, ".path", "expected a path that starts with a slash");
            }
            Installer::File(text.into())
        }
        Some("script") => {
            let Some(name) = node.get("name") else { return Installer::None };
            let Some(script) = ScriptName::new(name.text().unwrap_or_default()) else {
                wrong(&name.at, ".name", SCRIPT_NAME);
                return Installer::None;
            };
            Installer::Script(script, downgrade)
        }
        Some("rauc") => Installer::Rauc(downgrade),
        Some(_) | None => Installer::None,
    }
}

fn downloads(tree: &Node, errors: &mut Vec<ConfigError>) -> DownloadSettings {
    let mut downloads = DownloadSettings::default();
    let Some(node) = tree.get("objects").and_then(|objects| objects.get("firmware")) else {
        return downloads;
    };
    let patience = node.get("download_patience").and_then(Node::integer);
    if let Some(seconds) = patience.and_then(|seconds| u64::try_from(seconds).ok()) {
        downloads.patience = Duration::from_secs(seconds);
    }
    downloads.streaming = node.get("streaming").and_then(Node::boolean).unwrap_or_default();
    if let Some(list) = node.get("sources") {
        downloads.sources = source::sources(list, "objects.firmware.sources", errors);
    }
    if downloads.streaming {
        downloads.sources.iter().for_each(|it| source::check_streaming(it, errors));
    }
    downloads
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::text).map(str::to_owned)
}

fn text_source(node: &Node) -> Option<TextSource> {
    let at = || node.at.clone();
    node.text()
        .map(|value| TextSource::Text(value.to_owned()))
        .or_else(|| text(node, "credential").map(|name| TextSource::Credential(name, at())))
        .or_else(|| text(node, "file").map(|path| TextSource::File(path.into(), at())))
}

/// Longest configuration file in bytes.
const MAX_FILE: u64 = 1024 * 1024;

const SCRIPT_NAME: &str = "expected letters, digits and any of _.-, at most 64 and no dot first";

const NO_SERVER: &str =
    "no server is configured, and this version cannot bootstrap: add one below servers";
