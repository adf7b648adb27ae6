//! Firmware Update (5) of the real agent with the real service of RAUC: a server pushes
//! bundles, and each ends in the State and the Result of Objects 7.2, with one line in
//! the log that says why.

mod web;

use std::fs;
use std::time::{Duration, Instant};

use lwm2m_interop::{Agent, AgentConfig, scenario};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value, WriteMode};
use lwm2m_system_tests::{RaucLab, Slots};
use lwm2m_test_server::{Server, ServerConfig};
use rauc_dbus::{InstallOptions, Installer};
use serde_json::{Value as Json, json};
use zbus::Connection;
use zbus::connection::Builder;

/// An agent with RAUC, and the server that it is registered at.
struct Device {
    /// Where what stands for logind is.
    bus: Connection,
    agent: Agent,
    server: Server,
    lab: RaucLab,
}

/// Runs a scenario and keeps a record of it; where RAUC cannot run it only says so.
fn with_device(name: &str, slots: Slots, run: impl AsyncFnOnce(Device)) {
    with_settings(name, slots, json!({ "backend": "rauc" }), run);
}

/// The same with these settings of the object.
fn with_settings(name: &str, slots: Slots, firmware: Json, run: impl AsyncFnOnce(Device)) {
    let Some(lab) = RaucLab::start(slots).unwrap() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Builder::address(lab.bus()).build().await.unwrap();
        bus.object_server().at(Logind::PATH, Logind { grants: true }).await.unwrap();
        bus.request_name("org.freedesktop.login1").await.unwrap();
        let config =
            ServerConfig { block_size: "1024".parse().unwrap(), ..ServerConfig::default() };
        let server = Server::start(config).await.unwrap();
        let address = server.coap_addr().unwrap();
        let config = AgentConfig::nosec(ENDPOINT, address)
            .bus(lab.bus())
            .general("objects", json!({ "firmware": firmware }));
        // Building it may take long, and its threads are its own.
        let agent = tokio::task::spawn_blocking(move || config.start()).await.unwrap().unwrap();
        server.wait_registered(ENDPOINT, LIMIT).await.unwrap();
        run(Device { bus, agent, server, lab }).await;
    });
    scenario::ran("rauc", name).unwrap();
}

impl Device {
    async fn push(&self, bytes: &[u8]) -> Code {
        let package = [Entry::new(resource(0), Value::Opaque(bytes.to_vec()))];
        let (path, format) = (resource(0), ContentFormat::OPAQUE);
        let written = self.server.write(ENDPOINT, &path, WriteMode::Replace, format, &package);
        written.await.unwrap().code
    }

    async fn push_bundle(&self, name: &str) -> Code {
        self.push(&fs::read(self.lab.bundle(name)).unwrap()).await
    }

    async fn write_uri(&self, uri: &str) {
        let entry = [Entry::new(resource(1), Value::String(uri.into()))];
        let (path, format) = (resource(1), ContentFormat::TEXT);
        let written = self.server.write(ENDPOINT, &path, WriteMode::Replace, format, &entry);
        assert_eq!(written.await.unwrap().code, Code::CHANGED);
    }

    async fn update(&self) -> Code {
        self.server.execute(ENDPOINT, &resource(2), None).await.unwrap().code
    }

    async fn value(&self, id: u16) -> Value {
        let read = self.server.read(ENDPOINT, &resource(id), None).await.unwrap();
        read.value(&resource(id)).unwrap().clone()
    }

    /// State and Update Result.
    async fn numbers(&self) -> (Value, Value) {
        (self.value(3).await, self.value(5).await)
    }

    async fn until(&self, state: i64, result: i64) {
        let wanted = (Value::Integer(state), Value::Integer(result));
        let reached = async {
            while self.numbers().await != wanted {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(LIMIT, reached).await;
        in_time.unwrap_or_else(|_| panic!("never {wanted:?}"));
    }

    /// Waits for a line of the agent; what stands for logind works meanwhile.
    async fn logged(&self, text: &str) {
        let has_line = || self.agent.log().iter().any(|line| line.contains(text));
        self.wait(has_line, &format!("{text} in the log")).await;
    }

    /// Waits until so many lines say how an update ended.
    async fn results(&self, count: usize) {
        let is_end =
            |line: &&String| line.contains("firmware update: ") && !line.contains("result 0");
        let has_all = || self.agent.log().iter().filter(is_end).count() == count;
        self.wait(has_all, &format!("{count} results")).await;
    }

    async fn wait(&self, is_so: impl Fn() -> bool, what: &str) {
        let end = Instant::now() + LIMIT;
        while !is_so() {
            assert!(Instant::now() < end, "never {what}:\n{}", self.agent.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether logind grants a restart from now on.
    async fn grant_restart(&self, grants: bool) {
        let logind = self.bus.object_server().interface::<_, Logind>(Logind::PATH).await.unwrap();
        logind.get_mut().await.grants = grants;
    }
}

/// What stands for logind: a restart is granted or not, and never happens.
struct Logind {
    grants: bool,
}

impl Logind {
    const PATH: &str = "/org/freedesktop/login1";
}

#[zbus::interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn can_reboot(&self) -> &'static str {
        if self.grants { "yes" } else { "no" }
    }

    fn reboot(&self, _interactive: bool) {}
}

/// Objects 7.2, 7.3: the restart is all that is missing; the record says so.
#[test]
fn a_good_bundle_is_installed_and_waits_for_the_restart() {
    with_device("good bundle", Slots::Files, async |device| {
        assert_eq!(device.push_bundle("good-plain").await, Code::CHANGED);
        device.until(2, 0).await;
        assert_eq!(device.value(6).await, Value::String("lab-board".into()));
        assert_eq!(device.value(7).await, Value::String("2.0.0".into()));
        assert_eq!(device.update().await, Code::CHANGED);
        device.logged("the update is installed; the system restarts into it").await;
        device.until(3, 0).await;
        assert_eq!(device.lab.boot_state().unwrap().get("primary"), "B");
        // Nothing can come between.
        assert_eq!(device.update().await, Code::METHOD_NOT_ALLOWED);
        assert_eq!(device.push(&[0]).await, Code::METHOD_NOT_ALLOWED);
    });
}

/// The note below the table of Objects 7.2: only the result tells of it.
#[test]
fn bad_bundles_are_refused_before_they_count_as_downloaded() {
    with_device("bad bundles", Slots::Files, async |device| {
        for (count, (bundle, result)) in
            [("badsig-plain", 5), ("truncated-plain", 5), ("incompatible-plain", 6), ("garbage", 6)]
                .into_iter()
                .enumerate()
        {
            assert_eq!(device.push_bundle(bundle).await, Code::CHANGED, "{bundle}");
            device.until(0, result).await;
            device.results(count + 1).await;
            assert_eq!(device.update().await, Code::METHOD_NOT_ALLOWED, "{bundle}");
        }
        device.logged("the bundle is for other-board, and this is lab-board").await;
        assert_eq!(device.lab.boot_state().unwrap().get("primary"), "A");
    });
}

/// Objects 7.2: package type unknown; install failed, image bad. The version that runs is
/// that of the bundle in the booted slot, which a new slot has none of.
#[test]
fn an_older_bundle_is_refused_where_the_policy_says_so() {
    let settings = json!({ "backend": "rauc", "downgrade": "refuse" });
    with_settings("downgrade", Slots::Files, settings, async |device| {
        assert_eq!(device.push_bundle("good-plain").await, Code::CHANGED);
        device.until(2, 0).await;
        device.logged("nothing says which version runs").await;
        // Another system comes to run behind the back of the agent.
        let next = device.lab.bundle("next-plain");
        let rauc = Installer::new(&device.bus);
        let mut next = rauc.install(&next, &InstallOptions::default()).await.unwrap();
        while next.next().await.is_some() {}
        assert_eq!(device.lab.reboot().unwrap(), "B");
        let cause = "the package has version 2.0.0, older than 3.0.0, which runs";
        assert_eq!(device.update().await, Code::CHANGED);
        device.until(0, 8).await;
        device.logged(&format!("result 8 (update failed): {cause}")).await;
        assert_eq!(device.push_bundle("good-plain").await, Code::CHANGED);
        device.until(0, 6).await;
        device.logged(&format!("result 6 (unsupported package): {cause}")).await;
        assert_eq!(device.push_bundle("next-plain").await, Code::CHANGED);
        device.until(2, 0).await;
    });
}

/// Objects 7.2: install failed, image still good.
#[test]
fn an_image_that_is_larger_than_its_slot_fails_and_can_be_tried_again() {
    with_device("image too large", Slots::LoopDevices, async |device| {
        assert_eq!(device.push_bundle("toobig-plain").await, Code::CHANGED);
        device.until(2, 0).await;
        assert_eq!(device.update().await, Code::CHANGED);
        device.until(2, 8).await;
        device.results(1).await;
        assert_eq!(device.update().await, Code::CHANGED);
        device.until(2, 8).await;
    });
}

/// Objects 7.2: install failed, image still good. A service that returns installs it.
#[test]
fn a_service_killed_while_it_installs_is_a_failed_update() {
    with_device("service killed", Slots::Files, async |device| {
        assert_eq!(device.push_bundle("held-plain").await, Code::CHANGED);
        device.until(2, 0).await;
        assert_eq!(device.update().await, Code::CHANGED);
        device.logged("Checking manifest contents").await;
        device.lab.kill_service().unwrap();
        device.until(2, 8).await;
        device.logged("result 8 (update failed): RAUC left the bus during the installation").await;
        // The marker of the trial stays as long.
        device.logged("what is booted next is not known yet").await;
        device.lab.start_service().unwrap();
        device.logged("has changed nothing about the next boot").await;
        device.lab.release().unwrap();
        assert_eq!(device.update().await, Code::CHANGED);
        device.logged("the update is installed; the system restarts into it").await;
        assert_eq!(device.lab.boot_state().unwrap().get("primary"), "B");
    });
}

/// RAUC 1.8 refuses a good bundle in the words of a bad one while it installs another.
#[test]
fn a_bundle_that_comes_while_rauc_is_busy_is_checked_afterwards() {
    with_device("busy", Slots::Files, async |device| {
        let rauc = Installer::new(&device.bus);
        let held = device.lab.bundle("held-plain");
        let mut held = rauc.install(&held, &InstallOptions::default()).await.unwrap();
        assert_eq!(device.push_bundle("good-plain").await, Code::CHANGED);
        // Longer than a check takes.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(device.numbers().await, (Value::Integer(1), Value::Integer(0)));
        device.lab.release().unwrap();
        while held.next().await.is_some() {}
        device.until(2, 0).await;
    });
}

/// RAUC checks a bundle where it is; each end is that of a download. One before 1.9 could
/// not be told of the origin: the bundle is fetched all the same.
#[test]
fn what_rauc_can_stream_is_not_fetched() {
    let settings = json!({ "backend": "rauc", "streaming": true });
    with_settings("streaming", Slots::Files, settings, async |device| {
        let origin = web::serve(device.lab.bundle(""));
        let rauc = Installer::new(&device.bus).capabilities().await.unwrap();
        if !rauc.has_method("InspectBundle") {
            device.write_uri(&format!("{origin}/good-plain.raucb")).await;
            device.until(2, 0).await;
            device.logged("the package is fetched, not streamed: RAUC is older than 1.9").await;
            assert_eq!(device.update().await, Code::CHANGED);
            device.logged("the update is installed; the system restarts into it").await;
            return;
        }
        for (uri, result) in [
            (format!("{origin}/badsig-verity.raucb"), 5),
            (format!("{origin}/incompatible-verity.raucb"), 6),
            (format!("{origin}/good-plain.raucb"), 6),
            ("http://127.0.0.1:9/x".into(), 4),
            (format!("{origin}/missing"), 7),
        ] {
            device.write_uri(&uri).await;
            device.until(0, result).await;
        }
        device.write_uri(&format!("{origin}/good-verity.raucb?key=s3cret")).await;
        device.until(2, 0).await;
        assert_eq!(device.value(7).await, Value::String("2.0.0".into()));
        assert_eq!(device.update().await, Code::CHANGED);
        // Without network block devices that is as far as it comes.
        let has_nbd = std::path::Path::new("/sys/module/nbd").exists() && device.lab.has_verity();
        device.until(if has_nbd { 3 } else { 2 }, if has_nbd { 0 } else { 8 }).await;
        let log = device.agent.log();
        assert!(!log.iter().any(|line| line.contains("fetched, not streamed")), "{log:?}");
        let causes = log.iter().filter(|line| line.contains("firmware update: "));
        assert!(causes.clone().all(|line| !line.contains("s3cret")), "{causes:?}");
    });
}

/// Objects 7.2: an image that could not be booted into is not installed.
#[test]
fn without_the_right_to_restart_nothing_is_installed() {
    with_device("no restart", Slots::Files, async |device| {
        device.grant_restart(false).await;
        assert_eq!(device.push_bundle("good-plain").await, Code::CHANGED);
        device.until(2, 0).await;
        assert_eq!(device.update().await, Code::CHANGED);
        device.until(2, 8).await;
        device.logged("the machine could not be restarted: org.freedesktop.login1 denies").await;
        assert_eq!(device.lab.boot_state().unwrap().get("primary"), "A");
        device.grant_restart(true).await;
        assert_eq!(device.update().await, Code::CHANGED);
        device.logged("the update is installed; the system restarts into it").await;
    });
}

fn resource(id: u16) -> Path {
    Path::resource(5, 0, id)
}

const ENDPOINT: &str = "rauc-device";
/// For anything here, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
