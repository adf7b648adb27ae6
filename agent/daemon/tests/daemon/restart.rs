//! Killed and started again: what servers asked for goes on (Core 8.1), and a store that
//! cannot be used is no reason not to start.

use std::fs;

use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, Version, WriteMode};
use lwm2m_test_server::{Server, ServerConfig};
use nix::sys::signal::Signal;

use crate::support::{Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, configuration, server, server_with};

const LIFETIME: u16 = 1;
const DEFAULT_PMAX: u16 = 3;

/// A server with and one without security, and the account of a device there.
async fn servers() -> [(Server, Link); 2] {
    let plain = server().await;
    let secure = server_with(ServerConfig {
        coap: None,
        coaps: Some(([127, 0, 0, 1], 0).into()),
        psk: vec![(b"gateway".to_vec(), vec![7; 4])],
        ..ServerConfig::default()
    })
    .await;
    let key = "hex: \"07070707\"";
    [(plain.0, Link::nosec(101, plain.1)), (secure.0, Link::psk(101, secure.1, "gateway", key))]
}

async fn write(server: &Server, resource: u16, value: i64) -> Code {
    let path = Path::resource(1, 0, resource);
    let entries = [Entry::new(path.clone(), Value::Integer(value))];
    let (mode, format) = (WriteMode::Replace, ContentFormat::TEXT);
    server.write(ENDPOINT, &path, mode, format, &entries).await.unwrap().code
}

async fn read(server: &Server, resource: u16) -> Option<Value> {
    let path = Path::resource(1, 0, resource);
    server.read(ENDPOINT, &path, None).await.unwrap().value(&path).cloned()
}

/// A daemon that was stopped after a server wrote a lifetime of 7200 s to it.
async fn written() -> (Server, Lab) {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let daemon = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    assert_eq!(write(&server, LIFETIME, 7200).await, Code::CHANGED);
    daemon.stop().await;
    (server, lab)
}

fn start_verbose(lab: &Lab) -> Daemon {
    let mut command = lab.command();
    command.args(["--log-level", "debug"]);
    Daemon::spawn(command)
}

/// Starts the daemon and waits for its Update.
async fn start_again(lab: &Lab) -> Daemon {
    let mut daemon = start_verbose(lab);
    daemon.line("server 101: still registered with LwM2M").await;
    daemon
}

/// A resumed session, or the same address without security, needs no Register, whatever
/// the version.
/// CORE-160; TRN-43.
#[tokio::test]
async fn a_daemon_that_was_killed_goes_on_with_an_update() {
    for version in [Version::V1_2, Version::V1_1] {
        for (server, link) in servers().await {
            let accounts = configuration(&[link]);
            let lab = Lab::new(&format!("lwm2m_version: \"{version}\"\n{accounts}"));
            let daemon = lab.start();
            let before = server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
            assert_eq!(write(&server, LIFETIME, 7200).await, Code::CHANGED);
            let observed = Path::resource(1, 0, DEFAULT_PMAX);
            assert_eq!(write(&server, DEFAULT_PMAX, 3000).await, Code::CHANGED);
            let mut observation = server.observe(ENDPOINT, &observed, &[], None).await.unwrap();
            let attached = Path::instance(1, 0);
            server.write_attributes(ENDPOINT, &attached, &["pmin=1"]).await.unwrap();
            drop(daemon); // SIGKILL

            let daemon = start_again(&lab).await;
            let after = server.registration(ENDPOINT).await.unwrap();
            assert_eq!(after.location, before.location, "{version}");
            assert_eq!(after.lifetime, 7200);
            assert_eq!(read(&server, LIFETIME).await, Some(Value::Integer(7200)));
            let first = observation.next_within(LIMIT).await.unwrap();
            assert!(first.confirmable);
            assert_eq!(write(&server, DEFAULT_PMAX, 2000).await, Code::CHANGED);
            let second = observation.next_within(LIMIT).await.unwrap();
            assert_eq!(second.entries, [Entry::new(observed, Value::Integer(2000))]);
            assert!(second.number > first.number);
            let links = server.discover(ENDPOINT, &attached, None).await.unwrap();
            let text = String::from_utf8(links.payload).unwrap();
            assert!(text.contains("pmin=1"), "{text}");
            daemon.stop().await;
        }
    }
}

/// DESIGN 7.2.
#[tokio::test]
async fn a_stopped_daemon_goes_on_too_and_a_changed_file_wins() {
    let (server, address) = server().await;
    let link = |lifetime: &str| Link::nosec(101, address).with(lifetime);
    let lab = Lab::new(&configuration(&[link("lifetime: 300")]));
    let daemon = lab.start();
    let before = server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    assert_eq!(write(&server, LIFETIME, 7200).await, Code::CHANGED);
    daemon.stop().await;

    lab.write("lwm2md.yaml", configuration(&[link("lifetime: 900")]));
    let daemon = start_again(&lab).await;
    let after = server.registration(ENDPOINT).await.unwrap();
    assert_eq!((after.location, after.lifetime), (before.location, 900));
    assert_eq!(read(&server, LIFETIME).await, Some(Value::Integer(900)));
    daemon.stop().await;
}

/// DESIGN 4.
#[tokio::test]
async fn a_damaged_store_is_set_aside_and_named() {
    let (server, lab) = written().await;
    fs::write(lab.path("state/lwm2md.db"), [0x55; 9000]).unwrap();
    let _ = fs::remove_file(lab.path("state/lwm2md.db-wal"));

    let mut daemon = lab.start();
    let line = daemon.line("the store is damaged").await;
    assert!(line.contains("lwm2md.db.damaged-1"), "{line}");
    daemon.line("server 101: registered").await;
    assert!(lab.path("state/lwm2md.db.damaged-1").exists());
    assert_eq!(read(&server, LIFETIME).await, Some(Value::Integer(300)), "as configured");
    assert_eq!(write(&server, LIFETIME, 600).await, Code::CHANGED, "and stored anew");
    daemon.stop().await;
}

/// DESIGN 4.
#[tokio::test]
async fn a_store_that_opens_later_gives_back_what_servers_wrote() {
    let (server, lab) = written().await;
    fs::rename(lab.path("state/lwm2md.db"), lab.path("state/away")).unwrap();
    lab.write("state/lwm2md.db/in-the-way", "");

    let mut daemon = start_verbose(&lab);
    daemon.line("what servers write will be refused until it opens").await;
    daemon.line("server 101: registered").await;
    assert_eq!(read(&server, LIFETIME).await, Some(Value::Integer(300)), "as configured");
    fs::remove_dir_all(lab.path("state/lwm2md.db")).unwrap();
    fs::rename(lab.path("state/away"), lab.path("state/lwm2md.db")).unwrap();
    daemon.line("can be used again").await; // after 10 s
    daemon.line("server 101: registration updated").await;
    assert_eq!(server.registration(ENDPOINT).await.unwrap().lifetime, 7200);
    assert_eq!(read(&server, LIFETIME).await, Some(Value::Integer(7200)));
    assert_eq!(write(&server, LIFETIME, 600).await, Code::CHANGED, "and stored");
    daemon.stop().await;
}

/// DESIGN 3.
#[tokio::test]
async fn without_a_store_writes_are_refused_and_the_status_says_why() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let Some(bus) = Bus::start(&lab) else { return };
    // No file can be made where a directory is.
    lab.write("state/lwm2md.db/in-the-way", "");
    let mut daemon = lab.start_on(&Bus::address(&lab));
    daemon.line("what servers write will be refused").await;
    daemon.shows("org.lwm2md is on").await;
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    assert_eq!(write(&server, LIFETIME, 7200).await, Code::INTERNAL_SERVER_ERROR);
    let path = Path::resource(3, 0, 16);
    assert!(server.read(ENDPOINT, &path, None).await.unwrap().code.is_success());
    let status = bus.client().await.status().await.unwrap();
    let error = status.store_error.unwrap();
    assert!(error.contains("lwm2md.db"), "{error}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_agent_in_the_same_directory_does_not_start() {
    let (server, address) = server().await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let first = lab.start();
    server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let (code, log) = lab.start().ended().await;
    assert_eq!(code, 1);
    assert!(log.contains("in use by another process"), "{log}");
    first.signal(Signal::SIGTERM);
    assert_eq!(first.ended().await.0, 0);
}

/// DESIGN 4.
#[tokio::test]
async fn a_system_on_trial_writes_to_a_copy_that_is_kept_once_it_is_confirmed() {
    if lwm2m_firmware::system_identity("/proc".as_ref()).is_empty() {
        eprintln!("skipped: this system cannot be told from another");
        return;
    }
    let (server, lab) = written().await;
    let store = lab.path("state/lwm2md.db");
    let original = fs::read(&store).unwrap();

    let marker = lab.write("state/firmware/trial", "system=root=old\nboot=1\nlimit=900\n");
    for lifetime in [600, 900] {
        let mut daemon = start_verbose(&lab);
        daemon.line("the system is on trial").await;
        daemon.line("server 101: still registered with LwM2M").await;
        assert_eq!(write(&server, LIFETIME, lifetime).await, Code::CHANGED);
        drop(daemon); // SIGKILL
        assert_eq!(fs::read(&store).unwrap(), original, "as the old system knows it");
    }
    fs::remove_file(marker).unwrap();
    let daemon = start_again(&lab).await;
    assert_eq!(read(&server, LIFETIME).await, Some(Value::Integer(900)));
    daemon.stop().await;
    let files = fs::read_dir(lab.path("state")).unwrap();
    let mut names = files.map(|file| file.unwrap().file_name());
    assert!(!names.any(|name| name.to_string_lossy().contains("trial")));
}
