//! libcoap-rs 0.2.2: the Rust wrapper of libcoap, as server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::setup::{Setup, source_directory, target_directory};
use crate::{PeerError, Server, program};

/// A libcoap-rs server to start: CoAP without security, one device, no LwM2M formats.
///
/// It knows [`Server::read`] and [`Server::write_payload`]. Such a request leaves with
/// the next Update of the device, and the answer to a Read comes with the Update after
/// that; the answer to a Write is lost in the library, so its response has no code.
#[derive(Debug, Clone, Copy, Default)]
pub struct LibcoapRs;

/// True if this machine has what libcoap-rs builds libcoap with: autotools and libclang.
pub fn available() -> bool {
    let tools = ["autoconf", "automake", "libtoolize", "pkg-config"];
    tools.iter().all(|name| program::find(name).is_some()) && has_libclang()
}

impl LibcoapRs {
    /// Builds the server if it is not built, starts it and waits until it listens.
    ///
    /// # Errors
    /// [`PeerError::Setup`] with the output of cargo, or what starting a process can give.
    pub fn start(self) -> Result<Server, PeerError> {
        Server::start("libcoap-rs", &mut Command::new(build()?))
    }
}

/// The program. What cargo builds it from stays when the program is stale.
fn build() -> Result<PathBuf, PeerError> {
    let project = source_directory().join("libcoap-rs");
    let result = target_directory().join("libcoap-rs");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut install = Command::new(cargo);
    install.args(["install", "--quiet", "--locked", "--debug", "--path"]).arg(&project);
    install.arg("--root").arg(&result);
    install.arg("--target-dir").arg(target_directory().join("libcoap-rs-build"));
    let sources = ["Cargo.toml", "Cargo.lock", "src"].map(|name| project.join(name));
    Setup { name: "libcoap-rs", sources: &sources, result: &result }.ensure(&mut [install])?;
    Ok(result.join("bin/lwm2m-libcoap-rs-server"))
}

/// Where Debian has it, or where the build is told to look.
fn has_libclang() -> bool {
    let holds_it = |directory: &Path| {
        let entries = directory.read_dir().into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|name| {
            let name = name.to_string_lossy();
            name.starts_with("libclang") && name.contains(".so")
        })
    };
    let told = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let versions = Path::new("/usr/lib").read_dir().into_iter().flatten().flatten();
    told.into_iter().chain(versions.map(|entry| entry.path().join("lib"))).any(|at| holds_it(&at))
}
