//! Firmware Update (5) on the bus: consent, causes and progress for people on the device.

use std::fs;

use lwm2m_bus::{AgentError, Firmware1Proxy, FirmwareStatus};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_test_server::{Server, ServerConfig};
use nix::sys::signal::Signal;

use crate::support::{
    Bus, Daemon, ENDPOINT, LIMIT, Lab, Link, configuration, next, server_with, soon,
};

/// A device at its server, and its bus.
struct World {
    lab: Lab,
    bus: Bus,
    daemon: Daemon,
    server: Server,
    update: Firmware1Proxy<'static>,
}

impl World {
    /// `firmware` is what is configured besides the back end that puts packages into a
    /// file.
    async fn start(firmware: &str) -> Option<Self> {
        let block_size = "1024".parse().unwrap();
        let (server, address) =
            server_with(ServerConfig { block_size, ..ServerConfig::default() }).await;
        let lab = Lab::new("");
        let (path, text) = (lab.path("installed"), configuration(&[Link::nosec(101, address)]));
        let firmware = format!("{{backend: file, path: {}{firmware}}}", path.display());
        lab.write("lwm2md.yaml", format!("{text}objects:\n  firmware: {firmware}\n"));
        let bus = Bus::start(&lab)?;
        let (daemon, update) = serve(&lab, &bus).await;
        Some(Self { lab, bus, daemon, server, update })
    }

    async fn push(&self, bytes: &[u8]) -> Code {
        let package = [Entry::new(resource(0), Value::Opaque(bytes.to_vec()))];
        let (path, format) = (resource(0), ContentFormat::OPAQUE);
        let written = self.server.write(ENDPOINT, &path, WriteMode::Replace, format, &package);
        written.await.unwrap().code
    }

    async fn execute(&self, id: u16) -> Code {
        self.server.execute(ENDPOINT, &resource(id), None).await.unwrap().code
    }
}

async fn serve(lab: &Lab, bus: &Bus) -> (Daemon, Firmware1Proxy<'static>) {
    let mut daemon = lab.start_on(&Bus::address(lab));
    daemon.shows("info: D-Bus: org.lwm2md is on").await;
    daemon.shows("info: server 101: ").await;
    let agent = bus.client().await;
    let update = Firmware1Proxy::new(agent.inner().connection()).await.unwrap();
    (daemon, update)
}

fn resource(id: u16) -> Path {
    Path::resource(5, 0, id)
}

fn numbers(status: &FirmwareStatus) -> (u32, u32) {
    (status.state, status.result)
}

/// OBJ-86
#[tokio::test]
async fn an_update_that_was_put_off_is_installed_once_somebody_agrees() {
    let Some(mut world) = World::start(", defer: 3600").await else { return };
    let update = world.update.clone();
    world.server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let early = update.accept().await.unwrap_err();
    assert!(matches!(early, AgentError::MethodNotAllowed(_)), "{early:?}");

    assert_eq!(world.push(&[7; 3000]).await, Code::CHANGED);
    assert_eq!(world.execute(2).await, Code::CHANGED);
    let status = update.status().await.unwrap();
    assert_eq!(numbers(&status), (2, 11));
    let left = status.consent_within.unwrap();
    assert!((3500..=3600).contains(&left), "{left}");
    assert!(!world.lab.path("installed").exists());
    world.daemon.shows("info: firmware update: Downloaded, result 11 (deferred)").await;

    let mut changes = update.receive_firmware_changed().await.unwrap();
    update.accept().await.unwrap();
    assert_eq!(numbers(&update.status().await.unwrap()), (3, 0));
    loop {
        let status = next(&mut changes).await.args().unwrap().status;
        assert_eq!(status.consent_within.is_some(), numbers(&status) == (2, 11), "{status:?}");
        if numbers(&status) == (0, 1) {
            break;
        }
    }
    assert_eq!(fs::read(world.lab.path("installed")).unwrap(), [7; 3000]);
    world.daemon.stop().await;
}

/// OBJ-86: the period of the server counts, from Update on, also through a restart.
#[tokio::test]
async fn the_server_says_how_long_an_update_may_be_put_off() {
    let Some(world) = World::start(", defer: 3600").await else { return };
    world.server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let period = [Entry::new(resource(13), Value::Unsigned(100))];
    let (path, format) = (resource(13), ContentFormat::TLV);
    let written = world.server.write(ENDPOINT, &path, WriteMode::Replace, format, &period);
    assert_eq!(written.await.unwrap().code, Code::CHANGED);
    assert_eq!(world.push(&[7; 3000]).await, Code::CHANGED);
    assert_eq!(world.execute(2).await, Code::CHANGED);
    let left = world.update.status().await.unwrap().consent_within.unwrap();
    assert!((50..=100).contains(&left), "{left}");
    world.daemon.stop().await;
    let (daemon, update) = serve(&world.lab, &world.bus).await;
    let again = soon("the deferral", async {
        loop {
            if let Some(left) = update.status().await.unwrap().consent_within {
                return left;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    assert!(again.await <= left);
    daemon.stop().await;
}

/// Only Update Result tells the server of a failure (Objects 7.1); the operator reads
/// why, in the log and on the bus, also after a restart.
#[tokio::test]
async fn the_cause_of_a_failed_update_is_kept() {
    let Some(mut world) = World::start("").await else { return };
    world.server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    // Nothing can be put there.
    fs::create_dir_all(world.lab.path("installed")).unwrap();
    assert_eq!(world.push(&[7; 3000]).await, Code::CHANGED);
    assert_eq!(world.execute(2).await, Code::CHANGED);
    world.daemon.shows("result 8 (update failed): ").await;
    let status = world.update.status().await.unwrap();
    assert_eq!(numbers(&status), (2, 8));
    let cause = status.cause.unwrap();
    assert!(cause.contains("installed"), "{cause}");
    world.daemon.stop().await;

    let (daemon, update) = serve(&world.lab, &world.bus).await;
    assert_eq!(update.status().await.unwrap().cause, Some(cause));
    world.server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let cancel = world.server.execute(ENDPOINT, &resource(10), None).await.unwrap();
    assert_eq!(cancel.code, Code::CHANGED);
    let status = update.status().await.unwrap();
    assert_eq!((numbers(&status), status.cause), ((0, 10), None));
    daemon.stop().await;
}

/// A download changes with each of its parts; the bus hears of it now and then.
#[tokio::test]
async fn progress_is_signalled_but_not_for_each_part() {
    let Some(world) = World::start("").await else { return };
    world.server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
    let mut changes = world.update.receive_firmware_changed().await.unwrap();
    let begin = std::time::Instant::now();
    assert_eq!(world.push(&vec![7; PACKAGE]).await, Code::CHANGED);
    let mut heard = Vec::new();
    loop {
        let status = next(&mut changes).await.args().unwrap().status;
        if status.state == 2 {
            break;
        }
        assert_eq!(status.state, 1);
        heard.extend(status.bytes);
    }
    // One a quarter of a second, and the first at once.
    let most = begin.elapsed().as_millis() / 250 + 2;
    assert!((heard.len() as u128) <= most, "{heard:?} in {:?}", begin.elapsed());
    assert!(heard.is_sorted() && heard.iter().all(|bytes| *bytes <= PACKAGE as u64), "{heard:?}");
    assert!(heard.iter().any(|bytes| *bytes < PACKAGE as u64), "{heard:?}");
    world.daemon.stop().await;
}

/// Who asks for what is not there, and a bus that comes back.
#[tokio::test]
async fn without_the_object_each_method_says_so() {
    let (_server, address) = server_with(ServerConfig::default()).await;
    let lab = Lab::new(&configuration(&[Link::nosec(101, address)]));
    let Some(bus) = Bus::start(&lab) else { return };
    let (daemon, update) = serve(&lab, &bus).await;
    let refusals = [update.status().await.map(drop), update.accept().await];
    for refused in refusals {
        let error = refused.unwrap_err();
        let AgentError::NotFound(reason) = &error else { panic!("{error:?}") };
        assert_eq!(reason, "object 5 does not exist on this device");
    }
    let wrong = update.inner().call::<_, _, ()>("Accept", &("too much",)).await;
    assert!(wrong.is_err());
    bus.signal(Signal::SIGKILL);
    daemon.stop().await;
}

/// Some hundred blocks, which takes longer than a quarter of a second.
const PACKAGE: usize = 1024 * 1024;
