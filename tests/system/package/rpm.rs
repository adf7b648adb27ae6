//! The .rpm: judged, and installed into a Debian with a database of its own. That shows
//! files, scripts, configuration and removal; not that the names of a distribution's own
//! packages satisfy it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lwm2m_interop::program;
use lwm2m_system_tests::Container;

use crate::{Packages, passed};

pub(crate) fn test(base: &Path, packages: &Packages) -> Result<()> {
    let first = packages.first.display().to_string();
    let second = packages.second.display().to_string();
    let checked = run("rpm", &["--checksig", &first])?;
    ensure!(checked.contains("digests OK"), "rpm --checksig: {checked}");
    let reasons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/rpm/rpmlint.toml");
    run("rpmlint", &["--strict", "--config", &reasons.display().to_string(), &first])?;
    passed("the .rpm is whole, and rpmlint finds nothing without a reason");

    let system = Container::unpack(base)?;
    let root = system.root().display().to_string();
    let rpm = |arguments: &[&str]| run("rpm", &[&["--root", &root], arguments].concat());
    rpm(&["--initdb"])?;
    // Its names are those of other distributions.
    rpm(&["--install", "--nodeps", &first])?;
    rpm(&["--verify", "--nodeps", "lwm2md"])?;
    let users = fs::read_to_string(system.root().join("etc/passwd"))?;
    ensure!(users.contains("lwm2md:"), "no user was made");
    let version = run("chroot", &[&root, "lwm2mctl", "--version"])?;
    ensure!(version.starts_with("lwm2mctl "), "lwm2mctl --version: {version}");
    let sqlite = "dpkg -i /var/cache/apt/archives/libsqlite3-0_*.deb";
    run("chroot", &[&root, "sh", "-c", sqlite])?;
    run("chroot", &[&root, "lwm2md", "--schema"])?;
    let enabled = run("chroot", &[&root, "systemctl", "is-enabled", "lwm2md.service"])?;
    ensure!(enabled.trim() == "enabled", "by the presets of Debian: {enabled}");
    passed("installed with its user, its files are as they were built, both programs run");

    let configuration = "/etc/lwm2md/lwm2md.yaml";
    system.write(configuration, "endpoint: mine\n")?;
    rpm(&["--upgrade", "--nodeps", &second])?;
    let kept = fs::read_to_string(system.root().join(configuration.trim_start_matches('/')))?;
    ensure!(kept == "endpoint: mine\n", "the upgrade has changed the configuration: {kept}");
    ensure!(rpm(&["--query", "lwm2md"])?.contains("-2."), "the version is not the higher one");
    passed("upgraded; the configuration is as the operator left it");

    rpm(&["--erase", "lwm2md"])?;
    for gone in ["usr/bin/lwm2md", "usr/lib/systemd/system/lwm2md.service", "usr/lib/lwm2md/trial"]
    {
        ensure!(!system.root().join(gone).exists(), "{gone} is left");
    }
    let wants = "etc/systemd/system/multi-user.target.wants/lwm2md.service";
    ensure!(system.root().join(wants).symlink_metadata().is_err(), "it is still enabled");
    let saved = system.root().join("etc/lwm2md/lwm2md.yaml.rpmsave");
    ensure!(saved.exists(), "the changed configuration was not saved");
    passed("removed; the changed configuration is saved");
    Ok(())
}

fn run(name: &str, arguments: &[&str]) -> Result<String> {
    let output = program::run(Command::new(name).args(arguments), LIMIT)?;
    if !output.status.is_some_and(|status| status.success()) {
        bail!("{name} {}: {}{}", arguments.join(" "), output.stdout, output.stderr);
    }
    Ok(output.stdout)
}

const LIMIT: Duration = Duration::from_secs(60);
