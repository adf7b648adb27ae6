//! A network of its own, whose loopback loses and doubles datagrams by count.
//!
//! A network namespace with nftables in it: `numgen` picks every nth datagram, so that a
//! run can be repeated. This takes root, `ip`, `nft`, and a kernel with `nf_tables`.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value as Json;

use crate::PeerError;
use crate::program::{self, Output};

/// A network namespace with a loopback interface; removed with its last clone.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<Name>);

#[derive(Debug)]
struct Name(String);

/// What happens to datagrams between a device and its server. 0 is never; 1 is no use,
/// since copies are counted too.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disturbance {
    /// Every nth datagram to the server is lost.
    pub lose_to_server: u32,
    /// Every nth datagram from the server is lost.
    pub lose_to_device: u32,
    /// Every nth datagram, of each direction, comes twice.
    pub double: u32,
}

/// How many datagrams something has happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disturbed {
    /// Lost on the way to the server.
    pub lost_to_server: u64,
    /// Lost on the way to the device.
    pub lost_to_device: u64,
    /// Came twice, in both directions together.
    pub doubled: u64,
}

impl Namespace {
    /// Makes one; `None` where this user and machine cannot, with the reason on standard
    /// error.
    ///
    /// # Errors
    /// [`PeerError::System`] if a program cannot be started.
    pub fn new() -> Result<Option<Self>, PeerError> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("lwm2md-{}-{number}", std::process::id());
        if let Some(missing) = ["ip", "nft"].iter().find(|name| program::find(name).is_none()) {
            eprintln!("no network of its own: {missing} is not installed");
            return Ok(None);
        }
        if let Some(reason) = refusal(&run(Command::new("ip").args(["netns", "add", &name]))?) {
            eprintln!("no network of its own: {reason}");
            return Ok(None);
        }
        let made = Self(Arc::new(Name(name)));
        let steps: [&[&str]; 2] = [&["ip", "link", "set", "lo", "up"], &["nft", "list", "ruleset"]];
        for step in steps {
            let mut command = Self::command(Some(&made), step[0]);
            if let Some(reason) = refusal(&run(command.args(&step[1..]))?) {
                eprintln!("no network of its own: {}: {reason}", step.join(" "));
                return Ok(None);
            }
        }
        Ok(Some(made))
    }

    /// A command to run in the namespace, or as any other without one. It stays one
    /// process, so signals and pipes reach `program` itself.
    pub fn command(namespace: Option<&Self>, program: impl AsRef<OsStr>) -> Command {
        let Some(namespace) = namespace else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace.0.0]).arg(program);
        command
    }

    /// Disturbs what the server at UDP port `port` sends and gets, from now on.
    ///
    /// # Errors
    /// [`PeerError::Setup`] if the kernel does not take the rules.
    pub fn disturb(&self, port: u16, disturbance: &Disturbance) -> Result<(), PeerError> {
        let file = tempfile::NamedTempFile::new()
            .and_then(|file| std::fs::write(file.path(), rules(port, disturbance)).map(|()| file))
            .map_err(|e| PeerError::system("write the rules of a network", e))?;
        let mut command = Self::command(Some(self), "nft");
        let output = run(command.arg("-f").arg(file.path()))?;
        match refusal(&output) {
            None => Ok(()),
            Some(output) => Err(PeerError::Setup { program: "nft".to_owned(), output }),
        }
    }

    /// What has happened so far.
    ///
    /// # Errors
    /// [`PeerError::Malformed`] if nothing was ever disturbed.
    pub fn disturbed(&self) -> Result<Disturbed, PeerError> {
        let mut command = Self::command(Some(self), "nft");
        let output = run(command.args(["--json", "list", "counters"]))?;
        let json: Json = serde_json::from_str(&output.stdout).unwrap_or_default();
        let packets = |name: &str| {
            let counters = json["nftables"].as_array().into_iter().flatten();
            let mut counters = counters.map(|object| &object["counter"]);
            counters.find(|counter| counter["name"] == name)?["packets"].as_u64()
        };
        let all = || {
            Some(Disturbed {
                lost_to_server: packets("to_server")?,
                lost_to_device: packets("to_device")?,
                doubled: packets("doubled")?,
            })
        };
        all().ok_or_else(|| PeerError::Malformed {
            what: "no counters of nft".to_owned(),
            line: format!("{output:?}"),
        })
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // One that could not be removed harms nothing but tidiness.
        let _ = run(Command::new("ip").args(["netns", "delete", &self.0]));
    }
}

/// Losses are at the input: at the output the sender would be told of them.
fn rules(port: u16, disturbance: &Disturbance) -> String {
    let rule = |direction: &str, nth: u32, action: &str| match nth {
        0 => String::new(),
        // The last of each n: what is said first is heard.
        _ => format!(
            "udp {direction} {port} numgen inc mod {nth} == {} counter name {action}\n",
            nth - 1
        ),
    };
    let Disturbance { lose_to_server, lose_to_device, double } = *disturbance;
    let double =
        ["dport", "sport"].map(|to| rule(to, double, "doubled dup to 127.0.0.1 device lo"));
    let lose = [
        rule("dport", lose_to_server, "to_server drop"),
        rule("sport", lose_to_device, "to_device drop"),
    ];
    format!(
        "table ip disturbance {{\n\
         counter to_server {{ }}\ncounter to_device {{ }}\ncounter doubled {{ }}\n\
         chain arrive {{\ntype filter hook prerouting priority 0;\n{}}}\n\
         chain input {{\ntype filter hook input priority 0;\n{}}}\n}}\n",
        double.concat(),
        lose.concat(),
    )
}

fn run(command: &mut Command) -> Result<Output, PeerError> {
    program::run(command, LIMIT)
}

/// What a program that failed has printed.
fn refusal(output: &Output) -> Option<String> {
    let failed = output.status.is_none_or(|status| !status.success());
    failed.then(|| format!("{}{}", output.stdout, output.stderr).trim().to_owned())
}

const LIMIT: Duration = Duration::from_secs(20);
