//! Configurations, right and wrong, with the exact words of every error.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lwm2m_engine::SecurityMode;
use lwm2m_firmware::Downgrade;
use tempfile::TempDir;

use super::*;

/// Loads files of one directory and gives the errors with the directory cut off.
fn errors(files: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    match load(&write(&directory, files)) {
        Ok(_) => String::new(),
        Err(errors) => told(&errors, directory.path()),
    }
}

fn told(errors: &[ConfigError], directory: &Path) -> String {
    let prefix = format!("{}/", directory.display());
    errors.iter().map(|error| format!("{error}\n").replace(&prefix, "")).collect()
}

fn write(directory: &TempDir, files: &[(&str, &str)]) -> Vec<PathBuf> {
    let write = |(name, text): &(&str, &str)| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    files.iter().map(write).collect()
}

fn config(text: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    load(&write(&directory, &[("c.yaml", text)])).unwrap()
}

/// A server without fault, to which a test adds what it is about.
const SERVER: &str = "\
servers:
  - short_server_id: 101
    uri: coap://lwm2m.example.org
    security: {mode: nosec}
";

/// The example of the documentation without what is not built yet.
pub(crate) const EXAMPLE: &str = r#"
endpoint: urn:dev:ops:0A1B2C-GW100-4711
lwm2m_version: "1.2"
min_lwm2m_version: "1.1"
deregister_on_stop: false
servers:
  - short_server_id: 101
    uri: coaps://lwm2m.example.org
    lifetime: 86400
    binding: U
    queue_mode: true
    default_pmin: 0
    default_pmax: 3600
    notification_storing: true
    security:
      mode: psk
      identity: gw-4711
      key: {credential: psk}
objects:
  device: {manufacturer: ACME, model: GW-100, serial: {credential: serial}}
  sensors: true
  location: {source: gpsd}
"#;

#[test]
fn the_example_of_the_documentation_is_taken() {
    let config = config(EXAMPLE);
    assert_eq!(config.endpoint.as_deref(), Some("urn:dev:ops:0A1B2C-GW100-4711"));
    assert_eq!((config.version, config.min_version), (Version::V1_2, Version::V1_1));
    assert!(!config.deregister_on_stop);
    let [server] = config.servers.as_slice() else { panic!("one server") };
    let account = &server.account;
    assert_eq!((account.short_server_id, account.lifetime), (101, 86_400));
    assert_eq!(
        (account.uri.as_str(), account.binding.as_str()),
        ("coaps://lwm2m.example.org", "U")
    );
    assert_eq!((account.security, account.identity.as_str()), (SecurityMode::Psk, "gw-4711"));
    assert_eq!((account.default_pmin, account.default_pmax), (Some(0), Some(3600)));
    assert!(account.queue_mode && account.notification_storing);
    let psk = server.psk.as_ref().unwrap();
    assert!(matches!(&psk.source, KeySource::Credential(name) if name == "psk"));
    assert_eq!(config.device.manufacturer.as_deref(), Some("ACME"));
    assert_eq!(config.sensors, Sensors::Shown);
    assert!(
        matches!(&config.device.serial, Some(TextSource::Credential(name, _)) if name == "serial")
    );
    let engine = config.engine_config("ep".into(), BootId([0; 16]), [0; 32]);
    assert_eq!((engine.bindings.as_str(), engine.accounts.len()), ("U", 1));
}

#[test]
fn every_other_key_is_taken_and_the_rest_has_defaults() {
    let text = "\
lwm2m_version: 1.1 # a number is a version too
deregister_on_stop: true
servers:
  - short_server_id: 65534
    uri: COAP://[2001:db8::1]:5693/base
    awake_time: 20
    disable_timeout: 60
    confirmable_notifications: true
    retry: {count: 3, timer: 5, sequence_delay: 30, sequence_count: 4}
    security: {mode: nosec}
  - short_server_id: 1
    uri: coaps://10.0.0.1:5694
    security: {mode: psk, identity: 4711, key: {hex: 00112233}}
objects: {device: {serial: 0042, device_type: gateway, hardware_version: 1.10}, firmware: {backend: rauc, confirm: registered, trial: 120, downgrade: refuse}}
";
    let config = config(text);
    let trial = Duration::from_secs(120);
    let rauc =
        FirmwareSettings { installer: Installer::Rauc(Downgrade::Refuse), defer: None, trial };
    assert_eq!(config.firmware, rauc);
    assert_eq!((config.version, config.min_version), (Version::V1_1, Version::V1_1));
    let [first, second] = config.servers.as_slice() else { panic!("two servers") };
    assert_eq!(first.account.awake_time, Some(Duration::from_secs(20)));
    assert_eq!(first.account.disable_timeout, 60);
    assert!(first.account.confirmable_notifications && first.psk.is_none());
    let retry = first.account.retry;
    assert_eq!(
        (retry.count, retry.timer, retry.sequence_delay, retry.sequence_count),
        (3, 5, 30, 4)
    );
    assert_eq!(second.account.retry, lwm2m_engine::Retry::default());
    assert_eq!((second.account.lifetime, second.account.awake_time), (86_400, None));
    // What YAML takes for a number keeps its spelling where text is wanted.
    let psk = second.psk.as_ref().unwrap();
    assert_eq!(psk.identity, "4711");
    assert_eq!(psk.source.load(None).unwrap().expose(), [0, 0x11, 0x22, 0x33]);
    assert!(matches!(&config.device.serial, Some(TextSource::Text(text)) if text == "0042"));
    assert_eq!(config.device.hardware_version.as_deref(), Some("1.10"));
}

/// CORE-08; TRN-110.
#[test]
fn wrong_files_give_place_key_and_remedy() {
    let no_server = "no server is configured, and this version cannot bootstrap: add one below \
                     servers";
    let server_keys = "short_server_id, uri, lifetime, binding, queue_mode, awake_time, \
                       default_pmin, default_pmax, disable_timeout, notification_storing, \
                       confirmable_notifications, retry, security";
    let location = |keys: &str| format!("{SERVER}objects:\n  location: {{{keys}}}\n");
    let lock_and_wipe = |keys: &str| format!("{SERVER}objects:\n  lock_and_wipe: {{{keys}}}\n");
    let cases: Vec<(String, String)> = vec![
        // Files without keys.
        (String::new(), format!("c.yaml:1:1: servers: {no_server}")),
        ("# nothing\n".into(), format!("c.yaml:1:1: servers: {no_server}")),
        ("servers: []\n".into(), format!("c.yaml:1:10: servers: {no_server}")),
        ("endpoint: e\n".into(), format!("c.yaml:1:1: servers: {no_server}")),
        // No YAML.
        ("servers: [\n".into(), "c.yaml:1:10: unclosed bracket '['".into()),
        ("a: b: c\n".into(), "c.yaml:1:5: mapping values are not allowed in this context".into()),
        (format!("{SERVER}---\na: 1\n"), "c.yaml:6:1: more than one YAML document".into()),
        ("~: 1\n".into(), "c.yaml:1:1: a key must be text".into()),
        ("- 1\n".into(), "c.yaml:1:1: expected a mapping, got a list".into()),
        // Keys.
        (format!("endpont: x\n{SERVER}"), "c.yaml:1:1: endpont: unknown key; did you mean `endpoint`? Allowed are endpoint, lwm2m_version, min_lwm2m_version, deregister_on_stop, servers, objects".into()),
        (format!("{SERVER}    shortServerId: 1\n"), format!("c.yaml:5:5: servers[0].shortServerId: unknown key; did you mean `short_server_id`? Allowed are {server_keys}")),
        (format!("{SERVER}    queue-mode: true\n"), format!("c.yaml:5:5: servers[0].queue-mode: unknown key; did you mean `queue_mode`? Allowed are {server_keys}")),
        (format!("{SERVER}    colour: red\n"), format!("c.yaml:5:5: servers[0].colour: unknown key; allowed are {server_keys}")),
        (format!("{SERVER}    \"a\\nb\": red\n"), format!("c.yaml:5:5: servers[0].a\\nb: unknown key; allowed are {server_keys}")),
        (format!("{SERVER}    lifetime: 1\n    lifetime: 2\n"), "c.yaml:6:5: servers[0].lifetime: given twice, first in line 5".into()),
        ("servers:\n  - uri: coap://a\n".into(), "c.yaml:2:5: servers[0].short_server_id: missing\nc.yaml:2:5: servers[0].security: missing".into()),
        // Known, not built.
        (format!("bootstrap: {{uri: coaps://b}}\n{SERVER}"), "c.yaml:1:1: bootstrap: not built into this version".into()),
        (format!("plugins: {{manifests: /x}}\n{SERVER}"), "c.yaml:1:1: plugins: not built into this version".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: swupdate}}\n"), "c.yaml:6:23: objects.firmware.backend: expected rauc, script, file or none, got \"swupdate\"".into()),
        (lock_and_wipe("lock: [../usb]"), "c.yaml:6:26: objects.lock_and_wipe.lock[0]: expected letters, digits and any of _.- , got \"../usb\"".into()),
        (lock_and_wipe("lock: [usb, usb]"), "c.yaml:6:31: objects.lock_and_wipe.lock[1]: usb is there already".into()),
        (lock_and_wipe("wipe: data"), "c.yaml:6:25: objects.lock_and_wipe.wipe: expected a list, got text".into()),
        (format!("{SERVER}objects: {{portfolio: [a, '', b]}}\n"), "c.yaml:5:26: objects.portfolio[1]: must not be empty".into()),
        (format!("{SERVER}objects: {{portfolio: [{}x]}}\n", "x,".repeat(32)), "c.yaml:5:87: objects.portfolio[32]: 32 identities are the most".into()),
        (format!("{SERVER}objects: {{binary_app_data: {{limit: 61441}}}}\n"), "c.yaml:5:36: objects.binary_app_data.limit: expected a number from 1 to 61440, got 61441".into()),
        (format!("{SERVER}objects: {{event_log: syslog}}\n"), "c.yaml:5:22: objects.event_log: expected journal or none, got \"syslog\"".into()),
        (location("source: loran"), "c.yaml:6:22: objects.location.source: expected gpsd, fixed, modemmanager or geoclue, got \"loran\"".into()),
        (location("source: loran, latitude: 1"), "c.yaml:6:22: objects.location.source: expected gpsd, fixed, modemmanager or geoclue, got \"loran\"".into()),
        (location("address: a:1"), "c.yaml:6:13: objects.location.source: missing".into()),
        (location("source: fixed, latitude: 1"), "c.yaml:6:13: objects.location: the source fixed needs a longitude".into()),
        (location("source: fixed, latitude: 90.5, longitude: 8"), "c.yaml:6:39: objects.location.latitude: expected a number from -90 to 90, got 90.5".into()),
        (location("source: fixed, latitude: 1, longitude: -181"), "c.yaml:6:53: objects.location.longitude: expected a number from -180 to 180, got -181".into()),
        (location("source: fixed, latitude: .nan, longitude: 8"), "c.yaml:6:39: objects.location.latitude: expected a number from -90 to 90, got \".nan\"".into()),
        (location("source: fixed, latitude: 1, longitude: 2, altitude: .inf"), "c.yaml:6:66: objects.location.altitude: expected a number from -100000 to 100000, got \".inf\"".into()),
        (location("source: gpsd, latitude: 1"), "c.yaml:6:38: objects.location.latitude: the source gpsd takes no latitude".into()),
        (location("source: modemmanager, address: a:1"), "c.yaml:6:45: objects.location.address: the source modemmanager takes no address".into()),
        (location("source: gpsd, address: localhost"), "c.yaml:6:37: objects.location.address: expected host:port, got \"localhost\"".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: script}}\n"), "c.yaml:6:13: objects.firmware: the back end script needs a name".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: script, name: ../x}}\n"), "c.yaml:6:37: objects.firmware.name: expected letters, digits and any of _.-, at most 64 and no dot first".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, name: x}}\n"), "c.yaml:6:35: objects.firmware.name: the back end rauc takes no name".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: script, path: /x}}\n"), "c.yaml:6:13: objects.firmware: the back end script needs a name\nc.yaml:6:37: objects.firmware.path: the back end script takes no path".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauk, path: /x}}\n"), "c.yaml:6:23: objects.firmware.backend: expected rauc, script, file or none, got \"rauk\"; did you mean rauc?".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: file}}\n"), "c.yaml:6:13: objects.firmware: the back end file needs a path".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: file, path: image}}\n"), "c.yaml:6:35: objects.firmware.path: expected a path that starts with a slash".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, path: /image}}\n"), "c.yaml:6:35: objects.firmware.path: the back end rauc takes no path".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, downgrade: never}}\n"), "c.yaml:6:40: objects.firmware.downgrade: expected allow or refuse, got \"never\"".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: file, path: /x, downgrade: refuse}}\n"), "c.yaml:6:50: objects.firmware.downgrade: the back end file takes no downgrade".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: file, path: /x, streaming: true}}\n"), "c.yaml:6:50: objects.firmware.streaming: the back end file takes no streaming".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, streaming: often}}\n"), "c.yaml:6:40: objects.firmware.streaming: expected true or false, got \"often\"".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, confirm: installed}}\n"), "c.yaml:6:38: objects.firmware.confirm: expected registered, got \"installed\"".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, trial: 59}}\n"), "c.yaml:6:36: objects.firmware.trial: expected a number from 60 to 86400, got 59".into()),
        (format!("{SERVER}objects:\n  firmware: {{backend: rauc, defer: 0}}\n"), "c.yaml:6:36: objects.firmware.defer: expected a number from 1 to 4294967295, got 0".into()),
        (format!("{SERVER}objects:\n  firmware: {{path: /image}}\n"), "c.yaml:6:13: objects.firmware.backend: missing".into()),
        (SERVER.replace("nosec", "x509"), "c.yaml:4:22: servers[0].security.mode: x509 is not built into this version; it has psk, nosec".into()),
        (psk("key: {pkcs11: {}}"), "c.yaml:4:46: servers[0].security.key.pkcs11: not built into this version".into()),
        // Types and ranges.
        (format!("{SERVER}    lifetime: now\n"), "c.yaml:5:15: servers[0].lifetime: expected a number from 0 to 4294967295, got \"now\"".into()),
        (format!("{SERVER}    lifetime: -1\n"), "c.yaml:5:15: servers[0].lifetime: expected a number from 0 to 4294967295, got -1".into()),
        (format!("{SERVER}    lifetime: 1.5\n"), "c.yaml:5:15: servers[0].lifetime: expected a number from 0 to 4294967295, got 1.5".into()),
        (format!("{SERVER}    lifetime: 4294967296\n"), "c.yaml:5:15: servers[0].lifetime: expected a number from 0 to 4294967295, got 4294967296".into()),
        (format!("{SERVER}    lifetime: .inf\n"), "c.yaml:5:15: servers[0].lifetime: expected a number from 0 to 4294967295, got \".inf\"".into()),
        (format!("{SERVER}    lifetime: [1]\n"), "c.yaml:5:15: servers[0].lifetime: expected a number from 0 to 4294967295, got a list".into()),
        (format!("{SERVER}    queue_mode: yes\n"), "c.yaml:5:17: servers[0].queue_mode: expected true or false, got \"yes\"".into()),
        (format!("{SERVER}    awake_time: 0\n"), "c.yaml:5:17: servers[0].awake_time: expected a number from 1 to 4294967295, got 0".into()),
        (format!("{SERVER}    retry: {{count: 0}}\n"), "c.yaml:5:20: servers[0].retry.count: expected a number from 1 to 4294967295, got 0".into()),
        (format!("{SERVER}    retry: 5\n"), "c.yaml:5:12: servers[0].retry: expected a mapping, got a number".into()),
        ("servers:\n".into(), "c.yaml:1:8: servers: expected a list, got nothing".into()),
        ("servers: {a: 1}\n".into(), "c.yaml:1:10: servers: expected a list, got a mapping".into()),
        (format!("endpoint: {{a: 1}}\n{SERVER}"), "c.yaml:1:11: endpoint: expected text, got a mapping".into()),
        (format!("endpoint: ''\n{SERVER}"), "c.yaml:1:11: endpoint: must not be empty".into()),
        (format!("endpoint: \"a\\tb\"\n{SERVER}"), "c.yaml:1:11: endpoint: must not hold control characters".into()),
        (format!("endpoint: {}\n{SERVER}", "e".repeat(256)), "c.yaml:1:11: endpoint: longer than 255 bytes (256)".into()),
        (SERVER.replace("101", "0"), "c.yaml:2:22: servers[0].short_server_id: expected a number from 1 to 65534, got 0".into()),
        (SERVER.replace("101", "65535"), "c.yaml:2:22: servers[0].short_server_id: expected a number from 1 to 65534, got 65535".into()),
        (SERVER.replace("nosec", "nosecc"), "c.yaml:4:22: servers[0].security.mode: expected psk or nosec, got \"nosecc\"; did you mean nosec?".into()),
        // What does not fit together.
        (format!("lwm2m_version: 1.3\n{SERVER}"), "c.yaml:1:16: lwm2m_version: expected 1.0, 1.1 or 1.2, got 1.3".into()),
        (format!("lwm2m_version: '1.1'\nmin_lwm2m_version: '1.2'\n{SERVER}"), "c.yaml:2:20: min_lwm2m_version: 1.2 is above lwm2m_version, which is 1.1".into()),
        (format!("{SERVER}{}", SERVER.replace("servers:\n", "")), "c.yaml:5:22: servers[1].short_server_id: 101 is taken by the server at c.yaml:2:22".into()),
        (SERVER.replace("coap:", "coaps:"), "c.yaml:3:10: servers[0].uri: security mode nosec needs coap://, got coaps://".into()),
        (psk("key: {hex: 00}").replace("coaps:", "coap:"), "c.yaml:3:10: servers[0].uri: security mode psk needs coaps://, got coap://".into()),
        (SERVER.replace("coap:", "coap+tcp:"), "c.yaml:3:10: servers[0].uri: scheme coap+tcp needs the TCP binding, which this build does not have".into()),
        (SERVER.replace("coap:", "gopher:"), "c.yaml:3:10: servers[0].uri: scheme \"gopher\" is none of LwM2M: write coap://HOST or coaps://HOST".into()),
        (uri("lwm2m.example.org"), "c.yaml:3:10: servers[0].uri: server URI \"lwm2m.example.org\" has no scheme: write coap://HOST or coaps://HOST".into()),
        (uri("coap://h:0"), "c.yaml:3:10: servers[0].uri: server URI \"coap://h:0\": port \"0\" is not a number from 1 to 65535".into()),
        (uri("coap://[fe80::1%eth0]"), "c.yaml:3:10: servers[0].uri: server URI \"coap://[fe80::1%eth0]\": what stands in brackets must be an IPv6 address without a zone".into()),
        (uri("coap://h/%4"), "c.yaml:3:10: servers[0].uri: server URI \"coap://h/%4\": the path has a % without two hex digits, or is not UTF-8".into()),
        (format!("{SERVER}    binding: UT\n"), "c.yaml:5:14: servers[0].binding: binding T is not built into this version; it has U".into()),
        (format!("{SERVER}    binding: UQ\n"), "c.yaml:5:14: servers[0].binding: Q is no binding any more; use queue_mode: true".into()),
        (format!("{SERVER}    binding: UU\n"), "c.yaml:5:14: servers[0].binding: U is given twice".into()),
        (format!("{SERVER}    binding: X\n"), "c.yaml:5:14: servers[0].binding: unknown binding 'X'; expected U".into()),
        (SERVER.replace("nosec}", "nosec, identity: i, key: {file: f}}"), "c.yaml:4:39: servers[0].security.identity: security mode nosec uses none\nc.yaml:4:47: servers[0].security.key: security mode nosec uses none".into()),
        (psk("mode2: 1").replace(", mode2: 1", ""), "c.yaml:4:15: servers[0].security.key: missing; security mode psk needs it".into()),
        (psk("key: {}"), "c.yaml:4:45: servers[0].security.key: expected one of {credential: ...}, {file: ...}, {hex: ...}, {base64: ...}, got 0 keys".into()),
        (psk("key: {hex: 00, file: f}"), "c.yaml:4:45: servers[0].security.key: expected one of {credential: ...}, {file: ...}, {hex: ...}, {base64: ...}, got 2 keys".into()),
        (psk("key: {hex: 000}"), "c.yaml:4:45: servers[0].security.key: key in hex: the number of hex digits is odd".into()),
        (psk("key: {base64: '='}"), "c.yaml:4:45: servers[0].security.key: key in base64: not base64".into()),
        (psk("key: {hex: 00}").replace("identity: i", &format!("identity: {}", "i".repeat(129))), "c.yaml:4:37: servers[0].security.identity: longer than 128 bytes (129)".into()),
        (psk("key: {hex: 00}").replace("identity: i", "identity: ''"), "c.yaml:4:37: servers[0].security.identity: must not be empty".into()),
    ];
    let mut wrong = String::new();
    for (text, expected) in cases {
        let told = errors(&[("c.yaml", &text)]);
        if told != format!("{expected}\n") {
            wrong += &format!("{text}expected {expected}\n     got {told}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn psk(key: &str) -> String {
    SERVER
        .replace("coap:", "coaps:")
        .replace("mode: nosec", &format!("mode: psk, identity: i, {key}"))
}

fn uri(uri: &str) -> String {
    SERVER.replace("coap://lwm2m.example.org", uri)
}

#[test]
fn more_servers_than_the_engine_takes_are_refused_at_the_first_too_many() {
    let servers = |count: usize| {
        let entry = |id: usize| {
            format!("  - {{short_server_id: {id}, uri: \"coap://a\", security: {{mode: nosec}}}}\n")
        };
        format!("servers:\n{}", (1..=count).map(entry).collect::<String>())
    };
    assert_eq!(errors(&[("c.yaml", &servers(16))]), "");
    assert_eq!(
        errors(&[("c.yaml", &servers(18))]),
        "c.yaml:18:5: servers[16]: 16 servers are the most that one device may have\n"
    );
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    let text = "\
lwm2m_version: 2.0
servers:
  - short_server_id: 0
    uri: coap://a
    securty: {mode: nosec}
  - short_server_id: 7
    uri: coaps://a
    lifetime: soon
    security: {mode: nosec}
";
    let told = errors(&[("c.yaml", text)]);
    let places: Vec<&str> = told.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        places,
        ["c.yaml:1:16", "c.yaml:3:5", "c.yaml:3:22", "c.yaml:5:5", "c.yaml:7:10", "c.yaml:8:15"],
        "{told}"
    );
}

/// OBJ-30.
#[test]
fn key_material_is_in_no_message_wherever_it_stands() {
    let secret = "c0ffee11c0ffee22";
    let cases = [
        psk(&format!("key: {secret}")),
        psk(&format!("key: {{{secret}}}")),
        psk(&format!("key: {{{secret}: 1}}")),
        psk(&format!("key: {{hexx: {secret}}}")),
        psk(&format!("key: {{hex: [{secret}]}}")),
        psk(&format!("key: {{hex: {{a: {secret}}}}}")),
        psk(&format!("key: {{hex: {secret}x}}")),
        psk(&format!("key: {{base64: '{secret}!'}}")),
        psk(&format!("kee: {{hex: {secret}}}")),
        psk(&format!("key: {{hex: {secret}, hex: {secret}}}")),
        psk(&format!("key: {{hex: {secret}")),
        psk(&format!("key: {{hex: *{secret}}}")),
        psk(&format!("key: {{hex: !!int {secret}}}")),
        psk(&format!("key: {{hex: \"\\{secret}\"}}")),
        psk(&format!("key: {{hex: {secret}}}")) + "    lifetime: : x\n",
        psk(&format!("key: {{hex: {secret}}}")) + "    lifetime: x\n",
    ];
    for text in cases {
        let told = errors(&[("c.yaml", &text)]);
        assert!(!told.is_empty(), "{text}");
        assert!(!told.contains(secret) && !told.contains("c0ffee"), "{text}\n{told}");
    }
    let config = config(&psk(&format!("key: {{hex: {secret}}}")));
    assert!(!format!("{config:?}").contains("c0ffee"));
}

#[test]
fn later_files_are_merged_over_earlier_ones() {
    let directory = tempfile::tempdir().unwrap();
    let main = directory.path().join("lwm2md.yaml");
    write(
        &directory,
        &[
            (
                "lwm2md.yaml",
                &format!(
                    "endpoint: a\nderegister_on_stop: true\n{SERVER}objects: {{device: {{model: M, manufacturer: A}}}}\n"
                ),
            ),
            ("conf.d/20-b.yaml", "endpoint: c\n"),
            ("conf.d/10-a.yaml", "endpoint: b\nobjects: {device: {manufacturer: B}}\n"),
            ("conf.d/30-c.yaml", "# nothing\n"),
            ("conf.d/.hidden.yaml", "rubbish: 1\n"),
            ("conf.d/README", "rubbish: 1\n"),
        ],
    );
    let paths = files(&main).unwrap();
    let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).collect();
    assert_eq!(names, ["lwm2md.yaml", "10-a.yaml", "20-b.yaml", "30-c.yaml"]);
    let config = load(&paths).unwrap();
    assert_eq!(config.endpoint.as_deref(), Some("c"));
    assert!(config.deregister_on_stop);
    assert_eq!(config.device.manufacturer.as_deref(), Some("B"));
    assert_eq!(config.device.model.as_deref(), Some("M"));

    // A list is replaced as a whole, and errors name the file that is wrong.
    let other = SERVER.replace("101", "7");
    let list = load(&write(&directory, &[("a.yaml", SERVER), ("b.yaml", &other)])).unwrap();
    assert_eq!(list.servers.iter().map(|s| s.account.short_server_id).collect::<Vec<_>>(), [7]);
    assert_eq!(
        errors(&[("a.yaml", SERVER), ("b.yaml", "servers: 1\n")]),
        "b.yaml:1:10: servers: expected a list, got a number\n"
    );
    assert_eq!(
        errors(&[("z.yaml", "endpoint: [1]\n"), ("a.yaml", &SERVER.replace("nosec", "psk"))]),
        "z.yaml:1:11: endpoint: expected text, got a list\n\
         a.yaml:3:10: servers[0].uri: security mode psk needs coaps://, got coap://\n\
         a.yaml:4:15: servers[0].security.identity: missing; security mode psk needs it\n\
         a.yaml:4:15: servers[0].security.key: missing; security mode psk needs it\n"
    );
    assert_eq!(files(Path::new("/nowhere/c.yaml")).unwrap(), [Path::new("/nowhere/c.yaml")]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("latin1.yaml"), b"endpoint: \xe9\n").unwrap();
    fs::write(path("long.yaml"), "#".repeat(1024 * 1024 + 1)).unwrap();
    let paths = [path("none.yaml"), path("latin1.yaml"), path("long.yaml"), path("")];
    assert_eq!(
        told(&load(&paths).unwrap_err(), directory.path()),
        format!(
            "none.yaml: cannot be read: No such file or directory (os error 2)\n\
             latin1.yaml: is no UTF-8 text\n\
             long.yaml: longer than 1048576 bytes\n\
             : is no file\n"
        )
    );
}

#[test]
fn aliases_are_told_where_they_are_used() {
    let text = format!("endpoint: &name soon\n{SERVER}    lifetime: *name\n");
    assert_eq!(
        errors(&[("c.yaml", &text)]),
        "c.yaml:6:15: servers[0].lifetime: expected a number from 0 to 4294967295, got \"soon\"\n"
    );
}

#[test]
fn the_endpoint_is_derived_where_none_is_configured() {
    let config = config(SERVER);
    let id = *b"\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8";
    assert_eq!(
        config.endpoint(|| Some(id)).unwrap(),
        "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    );
    let error = config.endpoint(|| None).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "c.yaml: endpoint: missing, and this system has no machine-id to derive one from"
        ),
        "{error}"
    );
    assert_eq!(self::config(EXAMPLE).endpoint(|| None).unwrap(), "urn:dev:ops:0A1B2C-GW100-4711");
}

#[test]
fn random_text_is_refused_without_panic() {
    // A generator of its own, so that the same texts come each time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let pieces = [
        "servers", ":", " ", "\n", "- ", "{", "}", "[", "]", "'", "\"", "&a ", "*a", "101", "uri",
        "security", "mode", "psk", "é", "\t", "|", ">", "!!int ", "<<", "~", ",", "#", "---\n",
        "\\",
    ];
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..500 {
        let mut text = String::new();
        for _ in 0..30 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(pieces[(state % pieces.len() as u64) as usize]);
        }
        let paths = write(&directory, &[("c.yaml", &text)]);
        assert!(load(&paths).is_err(), "{text}");
    }
}

/// Lines below `sources`, each an entry.
fn sources(entries: &str) -> String {
    format!("{SERVER}objects:\n  firmware:\n    backend: rauc\n    sources:\n{entries}")
}

/// OBJ-95
#[test]
fn each_origin_has_what_its_scheme_can_use() {
    let config = config(&sources(
        "
      - {origin: 'https://fw.example.org', ca: /ca.pem, user: gw, password: {hex: 7078}}
      - {origin: 'https://fw.example.org:8443', certificate: /gw.pem, key: {file: /gw.key}}
      - {origin: 'http://10.0.0.1', token: {credential: token}}
      - {origin: 'coaps://10.0.0.1', security: {mode: psk, identity: gw, key: {hex: '0011'}}}
    download_patience: 3600
",
    ));
    let DownloadSettings { patience, sources, streaming } = &config.downloads;
    assert!(!streaming);
    assert_eq!(*patience, Duration::from_secs(3600));
    let origins: Vec<String> = sources.iter().map(|source| source.origin.to_string()).collect();
    let expected = [
        "https://fw.example.org",
        "https://fw.example.org:8443",
        "http://10.0.0.1",
        "coaps://10.0.0.1",
    ];
    assert_eq!(origins, expected);
    assert_eq!(sources[0].ca.as_deref(), Some(Path::new("/ca.pem")));
    assert!(
        matches!(&sources[0].authorization, Some(Authorization::Basic { user, .. }) if user == "gw")
    );
    assert!(sources[1].certificate.is_some() && sources[1].authorization.is_none());
    assert!(matches!(sources[2].authorization, Some(Authorization::Bearer(_))));
    assert_eq!(sources[3].psk.as_ref().map(|psk| psk.identity.as_str()), Some("gw"));
    assert!(sources[0].http(None).unwrap().is_some() && sources[3].http(None).unwrap().is_none());
    // A password is text, and not shown.
    assert!(!format!("{:?}", sources[0].http(None)).contains("px"));
    let uses = sources.iter().map(PackageSource::uses_credential).collect::<Vec<_>>();
    assert_eq!(uses, [false, false, true, false]);
    // None is needed, and a day is the default.
    let none = self::config(&format!("{SERVER}objects:\n  firmware: {{backend: rauc}}\n"));
    assert_eq!(none.firmware.installer, Installer::Rauc(Downgrade::Allow));
    assert_eq!(none.downloads, DownloadSettings::default());
    assert_eq!(none.downloads.patience, Duration::from_secs(86_400));
}

/// TRN-110
#[test]
fn a_source_that_contradicts_itself_is_told_with_its_place() {
    let psk = "security: {mode: psk, identity: gw, key: {hex: '0011'}}";
    for (entry, wanted) in [
        ("origin: 'ftp://h', token: {hex: '00'}", "18: objects.firmware.sources[0].origin: the URI scheme \"ftp\" is not supported: coap, coaps, http and https are".to_owned()),
        ("origin: 'https://h/path', ca: /x", "18: objects.firmware.sources[0].origin: an origin is scheme://host or scheme://host:port, without a path".into()),
        ("origin: 'https://u:s3cret@h', ca: /x", "18: objects.firmware.sources[0].origin: the URI has credentials before its host, where every server could read them".into()),
        ("ca: /x", "9: objects.firmware.sources[0].origin: missing".into()),
        ("origin: 'https://h'", "9: objects.firmware.sources[0]: a source of https without credentials needs no entry".into()),
        ("origin: 'coap://h'", "9: objects.firmware.sources[0]: a source of coap without credentials needs no entry".into()),
        ("origin: 'http://h', ca: /x, token: {hex: 61}", "34: objects.firmware.sources[0].ca: a source of http uses none".into()),
        (&format!("origin: 'https://h', ca: /x, {psk}"), "49: objects.firmware.sources[0].security: a source of https uses none".into()),
        (&format!("origin: 'coaps://h', user: u, {psk}"), "37: objects.firmware.sources[0].user: a source of coaps uses none\nc.yaml:9:37: objects.firmware.sources[0].password: missing; user and password go together".into()),
        ("origin: 'coaps://h'", "9: objects.firmware.sources[0].security: missing; a source of coaps needs it".into()),
        ("origin: 'coaps://h', security: {mode: nosec}", "41: objects.firmware.sources[0].security: security mode nosec is not for coaps://".into()),
        ("origin: 'coaps://h', security: {mode: psk, identity: gw}", "41: objects.firmware.sources[0].security.key: missing; security mode psk needs it".into()),
        ("origin: 'https://h', user: u", "37: objects.firmware.sources[0].password: missing; user and password go together".into()),
        ("origin: 'https://h', certificate: /c", "44: objects.firmware.sources[0].key: missing; certificate and key go together".into()),
        ("origin: 'https://h', user: u, password: {hex: 61}, token: {hex: 61}", "68: objects.firmware.sources[0].token: either a user and a password, or a token".into()),
        ("origin: 'https://h', user: u, password: s3cret", "50: objects.firmware.sources[0].password: expected one of {credential: ...}, {file: ...}, {hex: ...}, {base64: ...}, got text".into()),
        ("origin: 'https://h', token: {hex: 61}}\n      - {origin: 'HTTPS://H:443', ca: /x", "X".into()),
    ] {
        let told = errors(&[("c.yaml", &sources(&format!("      - {{{entry}}}\n")))]);
        let wanted = match wanted.as_str() {
            "X" => "c.yaml:10:18: objects.firmware.sources[1].origin: https://h is taken by the source at c.yaml:9:18\n".to_owned(),
            _ => format!("c.yaml:9:{wanted}\n"),
        };
        assert_eq!(told, wanted, "{entry}");
        assert!(!told.contains("s3cret"));
    }
    let short = format!("{SERVER}objects:\n  firmware: {{backend: rauc, download_patience: 59}}\n");
    assert_eq!(
        errors(&[("c.yaml", &short)]),
        "c.yaml:6:48: objects.firmware.download_patience: expected a number from 60 to 4294967295, got 59\n"
    );
}

/// OBJ-95: RAUC, another program, is told of files alone.
#[test]
fn what_cannot_be_told_to_rauc_is_not_for_streaming() {
    let log = "with streaming RAUC would write it to its log: use a certificate, or no streaming";
    let file = "with streaming RAUC reads the key itself: expected {file: ...}";
    for (entry, wanted) in [
        ("origin: 'https://h', ca: /ca.pem", String::new()),
        ("origin: 'https://h', certificate: /c, key: {file: /k}", String::new()),
        (
            "origin: 'https://h', certificate: /c, key: {credential: k}",
            format!("c.yaml:9:53: objects.firmware.sources[0].key: {file}\n"),
        ),
        (
            "origin: 'http://h', token: {hex: 73}",
            format!("c.yaml:9:37: objects.firmware.sources[0].token: {log}\n"),
        ),
        (
            "origin: 'https://h', user: u, password: {file: /p}",
            format!("c.yaml:9:50: objects.firmware.sources[0].password: {log}\n"),
        ),
    ] {
        let entry = format!("      - {{{entry}}}\n");
        let text = format!("{}    streaming: true\n", sources(&entry));
        assert_eq!(errors(&[("c.yaml", &text)]), wanted, "{entry}");
        assert_eq!(errors(&[("c.yaml", &sources(&entry))]), "", "{entry}");
    }
}

/// OBJ-86: without `defer` nobody on the device is asked.
#[test]
fn an_update_is_put_off_only_where_that_is_configured() {
    let of = |firmware: &str| {
        config(&format!("{SERVER}objects:\n  firmware: {{{firmware}}}\n")).firmware
    };
    let rauc = FirmwareSettings {
        installer: Installer::Rauc(Downgrade::Allow),
        ..FirmwareSettings::default()
    };
    assert_eq!(of("backend: rauc"), rauc);
    let defer = Some(Duration::from_secs(86_400));
    assert_eq!(of("backend: rauc, defer: 86400"), FirmwareSettings { defer, ..rauc });
    assert_eq!(config(SERVER).firmware, FirmwareSettings::default());
}
