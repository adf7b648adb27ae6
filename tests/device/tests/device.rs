//! The program as a device: real sockets, a real server, objects from definitions.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lwm2m_bus::{Agent1Proxy, AgentError, BusAddress};
use lwm2m_model::{Code, ContentFormat, Entry, Path, Value};
use lwm2m_test_bus::Bus;
use lwm2m_test_server::{Server, ServerConfig};
use tempfile::TempDir;

/// A device that ends with the value.
struct Device {
    child: Child,
    _directory: TempDir,
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lwm2m-test-device"))
}

fn registry(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../registry").join(name)
}

async fn start(server: &Server, arguments: &[&str]) -> Device {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("device.yaml");
    let address = server.coap_addr().unwrap();
    let configuration = format!(
        "endpoint: thing\nservers:\n  - short_server_id: 101\n    uri: coap://{address}\n    \
         security: {{mode: nosec}}\n"
    );
    std::fs::write(&file, configuration).unwrap();
    let child = program()
        .args(arguments)
        .arg("--config")
        .arg(&file)
        .arg("--state-dir")
        .arg(directory.path().join("state"))
        .args(["--log", "stderr"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait_registered("thing", Duration::from_secs(30)).await.unwrap();
    Device { child, _directory: directory }
}

async fn server() -> Server {
    let any = Some(([127, 0, 0, 1], 0).into());
    Server::start(ServerConfig { coap: any, ..ServerConfig::default() }).await.unwrap()
}

#[tokio::test]
async fn objects_of_the_command_line_are_served_beside_the_agents_own() {
    let server = server().await;
    let xml = registry("3442.xml").display().to_string();
    let _device = start(&server, &["--object", &xml, "--instances", "3", "--bus", "none"]).await;
    let known = server.registration("thing").await.unwrap();
    for path in ["/1/0", "/3/0", "/3442/0", "/3442/1", "/3442/2"] {
        assert!(known.has(&path.parse().unwrap()), "{path}");
    }
    let at = Path::resource(3442, 2, 110);
    let read = server.read("thing", &at, None).await.unwrap();
    assert_eq!(read.value(&at), Some(&Value::String("initial value".into())));
    let new = [Entry::new(Path::resource(3442, 3, 110), Value::String("new".into()))];
    let format = ContentFormat::SENML_CBOR;
    let made = server.create("thing", &Path::object(3442), format, &new).await.unwrap();
    assert_eq!((made.code, made.created), (Code::CREATED, Some(Path::instance(3442, 3))));
    let gone = server.delete("thing", &Path::instance(3442, 0)).await.unwrap();
    assert_eq!(gone.code, Code::DELETED);
}

#[test]
fn wrong_definitions_are_named_with_their_file() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.xml");
    std::fs::write(&wrong, "<LWM2M>\n  <Object></Object>\n</LWM2M>").unwrap();
    let own = registry("3.xml");
    let missing = directory.path().join("missing.xml");
    let test = registry("3442.xml");
    for (files, expected) in [
        (vec![&wrong], format!("{}: line 2, column 3: ", wrong.display())),
        (vec![&own], format!("{}: object 3 is one of the agent's own", own.display())),
        (vec![&missing], format!("cannot read {}: ", missing.display())),
        (vec![&test, &test], format!("{}: object 3442 is given twice", test.display())),
    ] {
        let mut command = program();
        for file in files {
            command.arg("--object").arg(file);
        }
        let output = command.output().unwrap();
        let shown = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{shown}");
        assert!(shown.starts_with(&format!("lwm2m-test-device: {expected}")), "{shown}");
    }
}

#[tokio::test]
async fn another_root_shows_another_machine() {
    let root = tempfile::tempdir().unwrap();
    let battery = root.path().join("sys/class/power_supply/BAT0");
    std::fs::create_dir_all(&battery).unwrap();
    for (file, text) in [("type", "Battery"), ("present", "1"), ("capacity", "42")] {
        std::fs::write(battery.join(file), text).unwrap();
    }
    let server = server().await;
    let _device = start(&server, &["--root", &root.path().display().to_string()]).await;
    let at = Path::resource(3, 0, 9);
    let read = server.read("thing", &at, None).await.unwrap();
    assert_eq!(read.value(&at), Some(&Value::Integer(42)));
}

#[test]
fn a_root_that_is_not_there_is_wrong_usage() {
    let output = program().args(["--root", "/nowhere"]).output().unwrap();
    let shown = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{shown}");
    assert_eq!(shown, "lwm2m-test-device: /nowhere is no directory\n");
}

#[tokio::test]
async fn the_operator_creates_and_deletes_over_the_bus() {
    let Some(bus) = Bus::start() else { return };
    let server = server().await;
    let xml = registry("3442.xml").display().to_string();
    let address: BusAddress = bus.address().parse().unwrap();
    let _device = start(&server, &["--object", &xml, "--bus", bus.address()]).await;
    let connection = address.builder().build().await.unwrap();
    let agent = Agent1Proxy::new(&connection).await.unwrap();
    let values = [("110", "seven"), ("1120/3", "-5"), ("150", "00ff")];
    // The daemon may need a moment to take its name.
    let made = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match agent.create("/3442/7", &values).await {
                Err(AgentError::ZBus(_)) => tokio::task::yield_now().await,
                result => break result,
            }
        }
    });
    assert_eq!(made.await.unwrap().unwrap(), "/3442/7");
    let at = |text: &str| text.parse::<Path>().unwrap();
    let read = server.read("thing", &at("/3442/7"), None).await.unwrap();
    assert_eq!(read.value(&at("/3442/7/110")), Some(&Value::String("seven".into())));
    assert_eq!(read.value(&at("/3442/7/1120/3")), Some(&Value::Integer(-5)));
    assert_eq!(agent.create("/3442", &[]).await.unwrap(), "/3442/1");
    assert!(matches!(agent.create("/3442/7", &[]).await, Err(AgentError::BadRequest(_))));
    agent.delete("/3442/7/1120/3").await.unwrap();
    agent.delete("/3442/7").await.unwrap();
    assert!(matches!(agent.delete("/3442/7").await, Err(AgentError::NotFound(_))));
    let has_them = |known: &lwm2m_test_server::Registration| {
        known.has(&at("/3442/1")) && !known.has(&at("/3442/7"))
    };
    let limit = Duration::from_secs(30);
    server.wait_for(has_them, "an Update with the instances".into(), limit).await.unwrap();
}

/// The agent alone has no test object.
#[tokio::test]
async fn without_definitions_it_is_the_agent() {
    let server = server().await;
    let _device = start(&server, &["--bus", "none"]).await;
    let known = server.registration("thing").await.unwrap();
    assert!(!known.has(&Path::object(3442)));
}
