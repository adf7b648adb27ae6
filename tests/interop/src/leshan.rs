//! Leshan 2.0: a whole LwM2M server for versions 1.0 and 1.1, with and without DTLS.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::setup::{Setup, source_directory, target_directory};
use crate::{PeerError, Server, program};

/// A Leshan server to start.
#[derive(Debug, Clone, Default)]
pub struct Leshan {
    models: Option<PathBuf>,
    awake: Option<Duration>,
    coap_port: Option<u16>,
}

/// True if this machine has a Java compiler and Maven; Java 17 is the least that works.
pub fn java_available() -> bool {
    ["java", "javac", "mvn"].iter().all(|name| program::find(name).is_some())
}

impl Leshan {
    /// A server with Leshan's own object definitions and awake time (93 s).
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the object definitions of a directory; they take the place of Leshan's own.
    #[must_use]
    pub fn models(mut self, directory: impl Into<PathBuf>) -> Self {
        self.models = Some(directory.into());
        self
    }

    /// How long a device in queue mode is taken to stay awake.
    #[must_use]
    pub fn awake(mut self, time: Duration) -> Self {
        self.awake = Some(time);
        self
    }

    /// Takes CoAP at this port and not at a free one; for a server that comes back.
    #[must_use]
    pub fn coap_port(mut self, port: u16) -> Self {
        self.coap_port = Some(port);
        self
    }

    /// Builds the Java program if it is not built, starts it, and waits until it listens.
    ///
    /// # Errors
    /// [`PeerError::Setup`] with the output of Maven, or what starting a process can give.
    pub fn start(&self) -> Result<Server, PeerError> {
        Server::start("Leshan", &mut self.command(&build()?))
    }

    fn command(&self, target: &Path) -> Command {
        let mut class_path = OsString::from(target.join("classes"));
        class_path.push(":");
        class_path.push(target.join("lib/*"));
        let mut command = Command::new("java");
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        // Starts in half the time; the server never runs long enough to need the second compiler.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
        command.arg(class_path).arg("lwm2md.leshan.Main");
        if let Some(directory) = &self.models {
            command.arg("--models").arg(directory);
        }
        if let Some(time) = self.awake {
            command.arg("--awake").arg(time.as_millis().to_string());
        }
        if let Some(port) = self.coap_port {
            command.arg("--coap-port").arg(port.to_string());
        }
        command
    }
}

/// The directory with `classes` and `lib`.
fn build() -> Result<PathBuf, PeerError> {
    let project = source_directory().join("leshan");
    let target = target_directory().join("leshan");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "compile", "dependency:copy-dependencies"]).current_dir(&project);
    for (property, directory) in [("target", &target), ("outputDirectory", &target.join("lib"))] {
        let mut definition = OsString::from(format!("-D{property}="));
        definition.push(directory);
        maven.arg(definition);
    }
    let sources = [project.join("pom.xml"), project.join("src")];
    Setup { name: "leshan", sources: &sources, result: &target }.ensure(&mut [maven])?;
    Ok(target)
}
