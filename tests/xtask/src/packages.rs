//! The Debian packages that building and testing need.

use anyhow::{Result, bail};

use crate::run::{is_there, run};

/// What packages are wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building and the demo.
    Build,
    /// All tests too.
    Tests,
    /// Building the packages.
    Packages,
    /// The test of the packages.
    Container,
    /// The virtual machine of the system tests.
    Machine,
}

/// Installs what is missing when that is possible, else says how to.
pub(crate) fn setup(purpose: Purpose) -> Result<()> {
    if !is_there("dpkg-query") {
        eprintln!("setup: not a Debian or Ubuntu system; needed: {}", wanted(purpose).join(" "));
        return Ok(());
    }
    let missing: Vec<&str> =
        wanted(purpose).into_iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        eprintln!("setup: every package is there");
        return Ok(());
    }
    if !is_root() {
        bail!(
            "packages are missing; install them with:\n  sudo apt-get update && sudo apt-get install -y {}",
            missing.join(" ")
        );
    }
    eprintln!("setup: installing {}", missing.join(" "));
    run("apt-get", &["update", "-q"])?;
    let mut install = vec![
        "-o",
        "Dpkg::Options::=--force-confold",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
    ];
    install.extend(&missing);
    let arguments: Vec<&str> =
        ["DEBIAN_FRONTEND=noninteractive", "apt-get"].into_iter().chain(install).collect();
    run("env", &arguments)
}

fn wanted(purpose: Purpose) -> Vec<&'static str> {
    match purpose {
        Purpose::Build => BUILD.to_vec(),
        Purpose::Tests => [BUILD, TESTS].concat(),
        Purpose::Packages => [BUILD, PACKAGES].concat(),
        Purpose::Container => [BUILD, PACKAGES, CONTAINER].concat(),
        Purpose::Machine => [BUILD, MACHINE].concat(),
    }
}

fn is_installed(package: &str) -> bool {
    std::process::Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

fn is_root() -> bool {
    crate::run::output("id", &["-u"]).is_ok_and(|uid| uid.trim() == "0")
}

const BUILD: &[&str] = &["gcc", "libc6-dev", "libsqlite3-dev", "libssl-dev", "pkg-config"];
/// For the tests: a bus and doubles of its services, foreign CoAP and DTLS stacks
/// (libcoap-rs is built with autotools and libclang), network namespaces that lose
/// datagrams, time zones, gpsd, a maker of journals; RAUC with what its laboratory is made from (`gdbus`,
/// `losetup`).
const TESTS: &[&str] = &[
    "autoconf",
    "automake",
    "dbus",
    "gpsd",
    "iproute2",
    "libclang-dev",
    "libcoap3-bin",
    "libglib2.0-bin",
    "libtool",
    "mount",
    "nftables",
    "openssl",
    "python3",
    "python3-dbusmock",
    "python3-venv",
    "rauc",
    "squashfs-tools",
    "strace",
    "systemd-journal-remote",
    "tzdata",
];
/// For the dependencies on shared objects, and to look into an .rpm.
const PACKAGES: &[&str] = &["dpkg-dev", "git", "gzip", "rpm"];
/// To make a Debian and run its systemd, to judge an .rpm, and to make bundles of RAUC.
const CONTAINER: &[&str] = &[
    "iproute2",
    "mmdebstrap",
    "openssl",
    "procps",
    "python3",
    "rauc",
    "rpmlint",
    "squashfs-tools",
    "systemd-container",
];
/// To make the disk of a device with GRUB and two slots, and to run it.
const MACHINE: &[&str] = &[
    "e2fsprogs",
    "fdisk",
    "grub-common",
    "grub-pc-bin",
    "kmod",
    "mmdebstrap",
    "openssl",
    "qemu-system-x86",
    "rauc",
    "seabios",
    "squashfs-tools",
];
