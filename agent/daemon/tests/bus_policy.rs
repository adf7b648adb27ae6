//! Who hears the agent on the system bus: a bus with the policy that is installed, and
//! somebody without rights who listens. Left out where the tools or root are missing.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use lwm2m_test_bus::Bus;
use zbus::Connection;
use zbus::connection::Builder;

/// A process that ends with the test.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Option<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines();
        Some(Self { child, lines })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bus like that of a system, on which root stands for the agent.
fn bus(folder: &Path) -> Option<Bus> {
    let policy =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/dbus-1/system.d/org.lwm2md.conf");
    let policy = fs::read_to_string(policy).unwrap().replace("user=\"lwm2md\"", "user=\"root\"");
    fs::write(folder.join("org.lwm2md.conf"), policy).unwrap();
    let config = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context='default'><allow user='*'/><deny own='*'/>\
         <deny send_type='method_call'/><allow send_type='signal'/>\
         <allow send_requested_reply='true' send_type='method_return'/>\
         <allow receive_type='method_call'/><allow receive_type='method_return'/>\
         <allow receive_type='error'/><allow receive_type='signal'/>\
         <allow send_destination='org.freedesktop.DBus'/></policy>\
         <include>{}</include></busconfig>",
        folder.join("bus").display(),
        folder.join("org.lwm2md.conf").display()
    );
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&config, text).unwrap();
    Bus::start_with(&config)
}

async fn connect(address: &str) -> Connection {
    Builder::address(address).build().await.unwrap()
}

/// Emits a signal that has reached all who listen when this returns.
async fn emit(connection: &Connection, name: &str) {
    let destination: Option<&str> = None;
    connection
        .emit_signal(destination, "/org/lwm2md", "org.lwm2md.Test1", name, &())
        .await
        .unwrap();
    let bus = "org.freedesktop.DBus";
    connection.call_method(Some(bus), "/", Some(bus), "GetId", &()).await.unwrap();
}

#[tokio::test]
async fn what_the_agent_tells_is_for_those_who_may_ask_it() {
    let folder = tempfile::tempdir().unwrap();
    if !nix::unistd::geteuid().is_root() {
        let _ = writeln!(stderr(), "not run: needs root");
        return;
    }
    let Some(bus) = bus(folder.path()) else { return };
    let address = bus.address();
    let agent = connect(address).await;
    agent.request_name("org.lwm2md").await.unwrap();
    let other = connect(address).await;
    for (user, hears) in [("65534", false), ("0", true)] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--clear-groups", "dbus-monitor", "--address", address]);
        let Some(mut listener) = Running::start(command.arg("type='signal'")) else {
            let _ = writeln!(stderr(), "not run: needs setpriv and dbus-monitor");
            return;
        };
        let told = tokio::task::spawn_blocking(move || {
            let (mut of_agent, mut of_other) = (0, 0);
            while of_other < 3 {
                let line = listener.lines.next().unwrap().unwrap();
                of_agent += u32::from(line.contains("member=OfAgent"));
                of_other += u32::from(line.contains("member=OfOther"));
            }
            of_agent
        });
        while !told.is_finished() {
            emit(&agent, "OfAgent").await;
            emit(&other, "OfOther").await;
            tokio::task::yield_now().await;
        }
        assert_eq!(told.await.unwrap() > 0, hears, "user {user}");
    }
}
