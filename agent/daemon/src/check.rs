//! `lwm2md --check`: what would happen, without doing it.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use lwm2m_bus::{in_words, lifetime_in_words};
use lwm2m_engine::Account;
use lwm2m_firmware::Downgrade;
use lwm2m_model::objects;
use lwm2m_objects::{Keeping, LocationConfig};
use lwm2m_security::KeySource;

use crate::config::{
    Config, ConfigError, EventLogSource, Installer, Sensors, Server, TextSource, files, load,
};
use crate::service_user::ServiceUser;
use crate::sources::protocols;

/// What a check knows about the system it runs on.
#[derive(Debug, Clone, Copy)]
pub struct System<'a> {
    /// systemd's `CREDENTIALS_DIRECTORY`, if it set one.
    pub credentials: Option<&'a Path>,
    /// The identifier derived from the machine-id.
    pub machine: Option<[u8; 16]>,
    /// Whose rights the service will have, where they are not those of the check.
    pub service: Option<&'a ServiceUser>,
}

/// Validates the configuration whose main file is `main`, fetches its keys as far
/// as they are within reach, and says what the daemon would do with it.
///
/// A credential is out of reach when a person runs the check, since systemd passes
/// it to the service alone; the report says so.
///
/// # Errors
/// Everything that is wrong.
pub fn check(main: &Path, system: System<'_>) -> Result<String, Vec<ConfigError>> {
    let config = load(&files(main).map_err(|error| vec![error])?)?;
    let mut errors = Vec::new();
    let endpoint = config.endpoint(|| system.machine).map_err(|error| errors.push(error));
    for server in &config.servers {
        if !is_out_of_reach(server, system)
            && let Err(error) = server.credentials(system.credentials)
        {
            errors.push(error);
        }
    }
    for source in &config.downloads.sources {
        if !(source.uses_credential() && system.credentials.is_none()) {
            let http = source.http(system.credentials).map(drop);
            let psk =
                source.psk.as_ref().map_or(Ok(()), |it| it.load(system.credentials).map(drop));
            errors.extend(http.err().or_else(|| psk.err()));
        }
    }
    let serial = match (&config.device.serial, system.credentials) {
        (Some(TextSource::Credential(name, _)), None) => {
            Ok(Some(format!("from credential {name:?} ({NOT_CHECKED})")))
        }
        _ => config.device.serial(system.credentials),
    };
    let serial = serial.map_err(|error| errors.push(error));
    if let Some(user) = system.service {
        errors.extend(user.faults(&config));
    }
    match (endpoint, serial) {
        (Ok(endpoint), Ok(serial)) if errors.is_empty() => {
            Ok(report(&config, &endpoint, serial, system))
        }
        _ => {
            ConfigError::sort(&mut errors);
            Err(errors)
        }
    }
}

fn is_out_of_reach(server: &Server, system: System<'_>) -> bool {
    let is_credential =
        server.psk.as_ref().is_some_and(|psk| matches!(psk.source, KeySource::Credential(_)));
    is_credential && system.credentials.is_none()
}

fn report(config: &Config, endpoint: &str, serial: Option<String>, system: System<'_>) -> String {
    let mut out = String::from("the configuration is valid\n\n");
    let derived = if config.endpoint.is_none() { " (from the machine-id)" } else { "" };
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name:<14} {value}");
    };
    line("endpoint", format!("{endpoint}{derived}"));
    line("LwM2M", format!("{}, down to {}", config.version, config.min_version));
    let stop = if config.deregister_on_stop { "de-registers" } else { "keeps its registrations" };
    line("when stopped", stop.into());
    for server in &config.servers {
        let account = &server.account;
        line("", String::new());
        line(&format!("server {}", account.short_server_id), account.uri.clone());
        line("  security", security(server, system));
        line("  lifetime", lifetime_in_words(account.lifetime));
        line("  binding", binding(account));
        if let Some(periods) = periods(account) {
            line("  notifies", periods);
        }
        line("  retries", retries(account));
    }
    line("", String::new());
    for definition in [&objects::SECURITY, &objects::SERVER, &objects::DEVICE] {
        line(
            &format!("object {}", definition.id),
            format!("{} {}", definition.name, definition.version),
        );
    }
    let device = &config.device;
    for (name, value) in [
        ("manufacturer", &device.manufacturer),
        ("model", &device.model),
        ("serial", &serial),
        ("device type", &device.device_type),
        ("hardware", &device.hardware_version),
        ("software", &device.software_version),
    ] {
        if let Some(value) = value {
            line(&format!("  {name}"), value.clone());
        }
    }
    for object in [&objects::CONNECTIVITY_MONITORING, &objects::CONNECTIVITY_STATISTICS] {
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
    }
    let position = config.location.as_ref().map(|location| match location {
        LocationConfig::Fixed(place) => format!("{} {}", place.latitude(), place.longitude()),
        LocationConfig::GeoClue => "GeoClue".to_owned(),
        LocationConfig::Gpsd(address) => format!("gpsd at {address}"),
        LocationConfig::ModemManager => "ModemManager".to_owned(),
    });
    if let Some(position) = position {
        let object = &objects::LOCATION;
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
        line("  position", position);
    }
    if config.sensors == Sensors::Shown {
        line("sensors", "those of the system, as objects of IPSO".to_owned());
    }
    if let Some(targets) = &config.lock_and_wipe {
        let object = &objects::LOCK_AND_WIPE;
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
        for (name, targets) in [("lock", &targets.lock), ("wipe", &targets.wipe)] {
            if !targets.is_empty() {
                line(&format!("  {name}"), targets.join(", "));
            }
        }
    }
    if !config.portfolio.is_empty() {
        let object = &objects::PORTFOLIO;
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
        line("  identities", config.portfolio.join(", "));
    }
    if let Some(data) = &config.binary_app_data {
        let object = &objects::BINARY_APP_DATA_CONTAINER;
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
        let kept = match data.keeping {
            Keeping::Disk => "kept on the disk",
            Keeping::Memory => "gone with the agent",
        };
        line("  data", format!("{} bytes at most, {kept}", data.limit));
    }
    if config.event_log == EventLogSource::Journal {
        let object = &objects::EVENT_LOG;
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
        line("  source", "the journal of the system".to_owned());
    }
    let installs = match &config.firmware.installer {
        Installer::None => None,
        Installer::Rauc(_) => Some("RAUC installs packages".to_owned()),
        Installer::Script(name, _) => {
            Some(format!("the script {} installs packages", name.as_str()))
        }
        Installer::File(path) => Some(format!("packages go to {}", path.display())),
    };
    if let Some(installs) = installs {
        let object = &objects::FIRMWARE_UPDATE;
        line(&format!("object {}", object.id), format!("{} {}", object.name, object.version));
        line("  back end", installs);
        if let Installer::Rauc(downgrade) | Installer::Script(_, downgrade) =
            config.firmware.installer
        {
            let older = match downgrade {
                Downgrade::Allow => "allowed",
                Downgrade::Refuse => "refused",
            };
            line("  downgrades", older.to_owned());
        }
        if !matches!(config.firmware.installer, Installer::File(_)) {
            let trial = config.firmware.trial.as_secs();
            line("  trial", format!("{trial} s from the boot, for a server to answer"));
        }
        if let Some(defer) = config.firmware.defer {
            line("  deferral", format!("{} unless the server says otherwise", in_words(defer)));
        }
        let has_coaps = config.servers.iter().any(|server| server.psk.is_some())
            || config.downloads.sources.iter().any(|source| source.psk.is_some());
        let names: Vec<&str> = protocols(has_coaps).iter().map(|it| it.scheme()).collect();
        let patience = in_words(config.downloads.patience);
        if config.downloads.streaming {
            line("  streaming", "http and https, by RAUC 1.9 or later".to_owned());
        }
        line("  fetches by", format!("{}, given up after {patience}", names.join(", ")));
        for source in &config.downloads.sources {
            let is_out_of_reach = source.uses_credential() && system.credentials.is_none();
            let state = if is_out_of_reach { NOT_CHECKED } else { "readable" };
            line("  source", format!("{} ({state})", source.origin));
        }
    }
    line("", String::new());
    for (place, file) in config.files.iter().enumerate() {
        line(if place == 0 { "files read" } else { "" }, file.display().to_string());
    }
    out.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn security(server: &Server, system: System<'_>) -> String {
    match &server.psk {
        None => "none (NoSec)".into(),
        Some(psk) => {
            let state = if is_out_of_reach(server, system) { NOT_CHECKED } else { "readable" };
            let file = psk.at.file();
            let is_open = is_written_there(&psk.source)
                && fs::metadata(file).is_ok_and(|file| file.mode() & OTHERS_READ != 0);
            let state = match is_open {
                true => format!("readable by everybody: run chmod o-r {}", file.display()),
                false => state.to_owned(),
            };
            format!("PSK, identity {:?}, {} ({state})", psk.identity, psk.source)
        }
    }
}

/// Whether the configuration has the key itself.
fn is_written_there(source: &KeySource) -> bool {
    matches!(source, KeySource::Hex(_) | KeySource::Base64(_))
}

fn binding(account: &Account) -> String {
    match (account.queue_mode, account.awake_time) {
        (false, _) => format!("{}, always reachable", account.binding),
        (true, None) => format!("{}, queue mode", account.binding),
        (true, Some(span)) => {
            format!("{}, queue mode, awake for {}", account.binding, in_words(span))
        }
    }
}

fn periods(account: &Account) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(pmin) = account.default_pmin.filter(|pmin| *pmin > 0) {
        parts.push(format!("at most every {}", words(pmin)));
    }
    if let Some(pmax) = account.default_pmax.filter(|pmax| *pmax > 0) {
        parts.push(format!("at least every {}", words(pmax)));
    }
    if account.confirmable_notifications {
        parts.push("confirmable".into());
    }
    if !account.notification_storing {
        parts.push("dropped while the server cannot be reached".into());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn retries(account: &Account) -> String {
    let retry = account.retry;
    let attempts = match retry.count {
        1 => "1 attempt".into(),
        count => format!("{count} attempts, the first two {} apart", words(retry.timer)),
    };
    format!("{attempts}; again after {}", words(retry.sequence_delay))
}

fn words(seconds: u32) -> String {
    in_words(Duration::from_secs(seconds.into()))
}

const OTHERS_READ: u32 = 0o004;
const NOT_CHECKED: &str = "not checked: systemd passes it to the service alone";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    struct Files {
        directory: tempfile::TempDir,
    }

    impl Files {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = directory.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text.replace("DIR", &directory.path().display().to_string()))
                    .unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            Self { directory }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// The report, or the errors, with the directory written as `DIR`.
        fn check(&self, system: System<'_>) -> Result<String, String> {
            let plain =
                |text: String| text.replace(&self.directory.path().display().to_string(), "DIR");
            check(&self.path("lwm2md.yaml"), system)
                .map(plain)
                .map_err(|errors| errors.iter().map(|error| plain(format!("{error}\n"))).collect())
        }
    }

    const MACHINE: System<'_> =
        System { credentials: None, machine: Some([0x11; 16]), service: None };

    const CONFIGURATION: &str = "\
servers:
  - short_server_id: 101
    uri: coaps://lwm2m.example.org
    lifetime: 3600
    queue_mode: true
    awake_time: 20
    default_pmin: 1
    default_pmax: 600
    confirmable_notifications: true
    security: {mode: psk, identity: gw-4711, key: {credential: psk}}
  - short_server_id: 102
    uri: coaps://10.0.0.1:5694
    lifetime: 0
    retry: {count: 1, sequence_delay: 60}
    security: {mode: psk, identity: gw-4711, key: {file: DIR/key}}
  - short_server_id: 103
    uri: coap://10.0.0.2
    security: {mode: nosec}
objects: {device: {manufacturer: ACME, serial: {credential: serial}}}
";

    #[test]
    fn a_report_says_what_would_happen() {
        let files = Files::new(&[
            ("lwm2md.yaml", CONFIGURATION),
            ("conf.d/10.yaml", "lwm2m_version: 1.1\n"),
            ("key", "00112233"),
        ]);
        let report = files.check(MACHINE).unwrap();
        assert_eq!(
            report,
            "\
the configuration is valid

endpoint       urn:uuid:11111111-1111-1111-1111-111111111111 (from the machine-id)
LwM2M          1.1, down to 1.1
when stopped   keeps its registrations

server 101     coaps://lwm2m.example.org
  security     PSK, identity \"gw-4711\", credential \"psk\" (not checked: systemd passes it to the service alone)
  lifetime     1 h
  binding      U, queue mode, awake for 20 s
  notifies     at most every 1 s, at least every 10 min, confirmable
  retries      5 attempts, the first two 60 s apart; again after 1 d

server 102     coaps://10.0.0.1:5694
  security     PSK, identity \"gw-4711\", key file DIR/key (readable)
  lifetime     for ever
  binding      U, always reachable
  retries      1 attempt; again after 60 s

server 103     coap://10.0.0.2
  security     none (NoSec)
  lifetime     1 d
  binding      U, always reachable
  retries      5 attempts, the first two 60 s apart; again after 1 d

object 0       LWM2M Security 1.2
object 1       LwM2M Server 1.2
object 3       Device 1.2
  manufacturer ACME
  serial       from credential \"serial\" (not checked: systemd passes it to the service alone)
object 4       Connectivity Monitoring 1.3
object 7       Connectivity Statistics 1.0

files read     DIR/lwm2md.yaml
               DIR/conf.d/10.yaml
"
        );
    }

    #[test]
    fn keys_and_serial_numbers_are_fetched_where_they_are_within_reach() {
        let files = Files::new(&[
            ("lwm2md.yaml", CONFIGURATION),
            ("key", "00112233"),
            ("credentials/psk", "0011"),
            ("credentials/serial", "0042\n"),
        ]);
        let credentials = files.path("credentials");
        let system = System { credentials: Some(&credentials), ..MACHINE };
        let report = files.check(system).unwrap();
        assert!(report.contains("credential \"psk\" (readable)"), "{report}");
        assert!(report.contains("\n  serial       0042\n"), "{report}");
        let config = load(&[files.path("lwm2md.yaml")]).unwrap();
        let found = config.credentials(Some(&credentials)).unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [101, 102]);
        assert_eq!(config.device.serial(Some(&credentials)).unwrap().as_deref(), Some("0042"));
    }

    /// OBJ-95
    #[test]
    fn it_is_told_what_packages_are_fetched_by() {
        let text = "\
servers:
  - {short_server_id: 103, uri: 'coap://10.0.0.2', security: {mode: nosec}}
objects:
  firmware:
    backend: rauc
    downgrade: refuse
    sources:
      - {origin: 'https://fw.example.org', token: {credential: token}}
      - {origin: 'http://10.0.0.3', token: {file: DIR/token}}
";
        let files = Files::new(&[("lwm2md.yaml", text), ("token", "s3cret")]);
        let report = files.check(MACHINE).unwrap();
        let expected = "
  back end     RAUC installs packages
  downgrades   refused
  trial        900 s from the boot, for a server to answer
  fetches by   coap, http, https, given up after 1 d
  source       https://fw.example.org (not checked: systemd passes it to the service alone)
  source       http://10.0.0.3 (readable)
";
        assert!(report.contains(expected), "{report}");
        fs::remove_file(files.path("token")).unwrap();
        let error = files.check(MACHINE).unwrap_err();
        let place = "DIR/lwm2md.yaml:9:44: objects.firmware.sources[1].token: cannot read key file";
        assert!(error.starts_with(place), "{error}");
    }

    #[test]
    fn it_is_told_that_rauc_reads_packages_itself() {
        let text = "\
servers:
  - {short_server_id: 103, uri: 'coap://10.0.0.2', security: {mode: nosec}}
objects: {firmware: {backend: rauc, streaming: true}}
";
        let report = Files::new(&[("lwm2md.yaml", text)]).check(MACHINE).unwrap();
        let expected = "\n  streaming    http and https, by RAUC 1.9 or later\n  fetches by";
        assert!(report.contains(expected), "{report}");
    }

    #[test]
    fn objects_that_are_off_by_default_are_told() {
        let text = "\
servers:
  - {short_server_id: 103, uri: 'coap://10.0.0.2', security: {mode: nosec}}
objects: {portfolio: [host-1, ACME], binary_app_data: {persistent: false}, event_log: journal}
";
        let report = Files::new(&[("lwm2md.yaml", text)]).check(MACHINE).unwrap();
        let expected = "
object 16      Portfolio 1.0
  identities   host-1, ACME
object 19      BinaryAppDataContainer 1.0
  data         4096 bytes at most, gone with the agent
object 20      Event Log 2.1
  source       the journal of the system
";
        assert!(report.contains(expected), "{report}");
    }

    #[test]
    fn what_cannot_be_fetched_is_told_with_its_place() {
        let files = Files::new(&[("lwm2md.yaml", CONFIGURATION), ("credentials/serial", "a\nb")]);
        let credentials = files.path("credentials");
        let system = System { credentials: Some(&credentials), ..MACHINE };
        assert_eq!(
            files.check(system).unwrap_err(),
            "\
DIR/lwm2md.yaml:10:51: servers[0].security.key: cannot read key file DIR/credentials/psk: No such file or directory (os error 2)
DIR/lwm2md.yaml:15:51: servers[1].security.key: cannot read key file DIR/key: No such file or directory (os error 2)
DIR/lwm2md.yaml:19:48: objects.device.serial: DIR/credentials/serial: has more than one line
"
        );
        let config = load(&[files.path("lwm2md.yaml")]).unwrap();
        assert_eq!(config.credentials(None).unwrap_err().len(), 2);
        let error = config.device.serial(None).unwrap_err().to_string();
        assert!(error.ends_with("add LoadCredential=serial to the unit"), "{error}");

        for (serial, message) in
            [("", "is empty"), ("\n \n", "is empty"), (&"x".repeat(256), "longer than 255 bytes")]
        {
            fs::write(credentials.join("serial"), serial).unwrap();
            let error = config.device.serial(Some(&credentials)).unwrap_err().to_string();
            assert!(error.ends_with(message), "{error}");
        }
    }

    #[test]
    fn a_key_that_everybody_can_read_in_the_configuration_is_told() {
        let inline = CONFIGURATION.replace("{credential: psk}", "{hex: 00112233445566}");
        let files = Files::new(&[("lwm2md.yaml", &inline), ("key", "00112233")]);
        assert!(files.check(MACHINE).unwrap().contains(", key in hex (readable)\n"));
        let main = files.path("lwm2md.yaml");
        fs::set_permissions(&main, fs::Permissions::from_mode(0o644)).unwrap();
        let report = files.check(MACHINE).unwrap();
        let told = "key in hex (readable by everybody: run chmod o-r DIR/lwm2md.yaml)\n";
        assert!(report.contains(told), "{report}");
        assert!(report.contains("key file DIR/key (readable)"), "{report}");
        assert!(!report.contains("00112233445566"), "{report}");
    }

    #[test]
    fn a_wrong_configuration_is_told_and_nothing_else() {
        let files = Files::new(&[("lwm2md.yaml", "servers: 1\n")]);
        assert_eq!(
            files.check(MACHINE).unwrap_err(),
            "DIR/lwm2md.yaml:1:10: servers: expected a list, got a number\n"
        );
    }
}
