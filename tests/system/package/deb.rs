//! The .deb in a clean Debian, from its installation to its purge.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use lwm2m_interop::setup::target_directory;
use lwm2m_model::Value;

use crate::device::{APT, CONFIGURATION, Device, MAIN_PROCESS, WORST_SCORE};
use crate::{Packages, passed};

pub(crate) async fn test(base: &Path, packages: &Packages) -> Result<()> {
    let console = target_directory().with_file_name("package-console.log");
    let device = Device::start(base, &console).await?;
    device.copy(&packages.first, "first.deb")?;
    device.copy(&packages.second, "second.deb")?;
    install(&device).await?;
    start(&device).await?;
    rights(&device).await?;
    restart(&device).await?;
    upgrade(&device).await?;
    remove(&device).await
}

async fn install(device: &Device) -> Result<()> {
    // polkitd is what it recommends; what that recommends is for desktops.
    device.run(&format!("{APT} install /root/first.deb polkitd")).await?;
    let depends = device.run("dpkg-query -W -f '${db:Status-Status}' libsqlite3-0").await?;
    ensure!(depends == "installed", "libsqlite3-0 is {depends}");
    for unit in ["lwm2md.service", "lwm2md-trial.timer"] {
        let enabled = device.run(&format!("systemctl is-enabled {unit}")).await?;
        ensure!(enabled == "enabled", "{unit} is {enabled}");
    }
    device.run("systemctl is-active lwm2md-trial.timer").await?;
    let (_, state) = device.status("systemctl is-active lwm2md").await?;
    ensure!(state == "inactive", "without a configuration it is {state}");
    let (code, said) = device.status("lwm2mctl status").await?;
    ensure!(code == 3, "lwm2mctl without the service: exit code {code}: {said}");
    let log = device.run("journalctl -u lwm2md -o cat --no-pager").await?;
    ensure!(log.contains("nothing is configured: edit /etc/lwm2md/lwm2md.yaml"), "{log}");
    nothing_failed(device).await?;
    let size = device.run("dpkg-query -W -f '${Installed-Size}' lwm2md").await?;
    passed(&format!(
        "installed by apt with what it depends on, {size} KiB; inactive while nothing is configured"
    ));
    Ok(())
}

async fn start(device: &Device) -> Result<()> {
    device.write_key().await?;
    device.write(CONFIGURATION, &device.configuration(300)?)?;
    device.run("lwm2md --check").await?;
    device.run("systemctl start lwm2md").await?;
    device.registers(None).await?;
    let micros = "systemctl show lwm2md --value -p ";
    let begun = number(&device.run(&format!("{micros} InactiveExitTimestampMonotonic")).await?)?;
    let main = number(&device.run(&format!("{micros} ExecMainStartTimestampMonotonic")).await?)?;
    let ready = number(&device.run(&format!("{micros} ActiveEnterTimestampMonotonic")).await?)?;
    passed(&format!(
        "registered over DTLS; ready {} ms after its start, of which {} ms are the program's",
        (ready - begun) / 1000,
        (ready - main) / 1000
    ));

    let total =
        number(&device.run("sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo").await?)?;
    let told = device.value(21).await?;
    // The kernel's unit is 1024 bytes, that of the object is 1000.
    let total = total * 1024 / 1000;
    ensure!(told == Value::Integer(total), "memory: {told:?}, not {total} kB");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    match device.value(13).await? {
        Value::Time(time) if (time - i64::try_from(now)?).abs() <= 5 => {}
        other => anyhow::bail!("current time: {other:?}, not {now}"),
    }
    let zone = "Europe/Berlin";
    device.set_text(15, zone).await?;
    let told = device.value(15).await?;
    ensure!(told == Value::String(zone.into()), "time zone: {told:?}");
    let link = device.run("readlink /etc/localtime").await?;
    ensure!(link.ends_with(zone), "the time zone of the system is {link}");
    let system = device.run(". /etc/os-release && echo \"$VERSION\"").await?;
    let told = device.value(19).await?;
    ensure!(told == Value::String(system.clone()), "system: {told:?}, not {system}");
    passed("memory, clock, system are those of the device; the server sets its time zone");

    let said = device.run("lwm2mctl doctor").await?;
    ensure!(said.ends_with("all is well"), "lwm2mctl doctor: {said}");
    // polkit notices by itself, some time later.
    let rule = "/usr/share/polkit-1/rules.d/lwm2md-clock.rules";
    device.run(&format!("mv {rule} /root && systemctl restart polkit")).await?;
    let refused = device.refused_text(15, "Asia/Tokyo").await?;
    ensure!(refused.contains("org.freedesktop.timedate1.set-timezone"), "refused: {refused}");
    let (code, said) = device.status("lwm2mctl doctor").await?;
    ensure!(code == 0 && said.contains("lwm2md-clock.rules"), "lwm2mctl doctor: {code}: {said}");
    device.run(&format!("mv /root/lwm2md-clock.rules {rule} && systemctl restart polkit")).await?;
    passed("without the rule of polkit the zone is refused, and the reason names what is missing");
    Ok(())
}

async fn rights(device: &Device) -> Result<()> {
    let status = "/proc/$(systemctl show lwm2md --value -p MainPID)/status";
    let status = device.run(&format!("cat {status}")).await?;
    let field = |name: &str| -> Option<Vec<&str>> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().skip(1).collect())
    };
    let user = device.run("id -u lwm2md").await?;
    ensure!(field("Uid:") == Some(vec![&*user; 4]), "not run as {user}: {status}");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        ensure!(field(set) == Some(vec!["0000000000000000"]), "{set} {:?}", field(set));
    }
    let score = device.exposure().await?;
    ensure!(score <= WORST_SCORE, "systemd-analyze security: {score}");

    let said = device.run("lwm2mctl status").await?;
    ensure!(said.contains("registered"), "lwm2mctl status: {said}");
    let as_other = "setpriv --reuid=nobody --clear-groups --regid=";
    let (code, said) = device.status(&format!("{as_other}nogroup lwm2mctl status")).await?;
    ensure!(code == 5, "lwm2mctl of a user without rights: exit code {code}: {said}");
    device.run(&format!("{as_other}lwm2md lwm2mctl status")).await?;
    passed(&format!(
        "its own user, no capability, exposure {score}; root and the group may ask it"
    ));
    Ok(())
}

async fn restart(device: &Device) -> Result<()> {
    device.run("systemctl reload lwm2md").await?;
    let log = device.run("journalctl -u lwm2md -o cat --no-pager").await?;
    ensure!(log.contains("the configuration was read again"), "{log}");
    passed("read its configuration again by systemctl reload");

    let before = device.registration().await;
    device.run("systemctl restart lwm2md").await?;
    device.registers(before).await?;
    passed("registered again after systemctl restart");

    let boot = device.run("cat /proc/sys/kernel/random/boot_id").await?;
    let before = device.registration().await;
    // By the server, so that logind and polkit have to agree.
    device.execute(4).await?;
    device.booted(&boot).await?;
    device.registers(before).await?;
    nothing_failed(device).await?;
    passed("restarted by its server, and registered again");
    Ok(())
}

async fn upgrade(device: &Device) -> Result<()> {
    let configuration = device.configuration(600)?;
    device.write(CONFIGURATION, &configuration)?;
    let process = device.run(MAIN_PROCESS).await?;
    let before = device.registration().await;
    // Without an answer to questions: dpkg fails where it would ask.
    device.run("dpkg -i /root/second.deb </dev/null").await?;
    let version = device.run("dpkg-query -W -f '${Version}' lwm2md").await?;
    ensure!(version.ends_with("-2"), "the version is {version}");
    ensure!(device.run(MAIN_PROCESS).await? != process, "the old program still runs");
    let kept = device.run(&format!("cat {CONFIGURATION}")).await?;
    ensure!(kept == configuration.trim(), "the configuration has changed: {kept}");
    let lifetime = device.registers(before).await?.lifetime;
    ensure!(lifetime == 600, "registered with the lifetime {lifetime}");
    nothing_failed(device).await?;
    // Whoever stops it does not find it started by the next upgrade.
    device.run("systemctl stop lwm2md && dpkg -i /root/second.deb </dev/null").await?;
    let (_, state) = device.status("systemctl is-active lwm2md").await?;
    ensure!(state == "inactive", "stopped by the operator, {state} after an upgrade");
    device.run("systemctl start lwm2md").await?;
    passed("upgraded without a question; the configuration is as the operator left it");
    Ok(())
}

async fn remove(device: &Device) -> Result<()> {
    device.run(&format!("{APT} remove lwm2md")).await?;
    let (code, _) = device.status("pgrep -x lwm2md || test -e /usr/bin/lwm2md").await?;
    ensure!(code != 0, "something of it is left after its removal");
    device.run(&format!("test -s {CONFIGURATION} && test -d /var/lib/lwm2md")).await?;
    nothing_failed(device).await?;
    device.run(&format!("{APT} purge lwm2md")).await?;
    let (code, _) =
        device.status(&format!("test -e {CONFIGURATION} || test -e /var/lib/lwm2md")).await?;
    ensure!(code != 0, "configuration or state are left after the purge");
    let links =
        device.run("find /etc/systemd /var/lib/systemd/deb-systemd-* -name 'lwm2md*'").await?;
    ensure!(links.is_empty(), "left after the purge: {links}");
    device.run("test -f /etc/lwm2md/psk").await?;
    passed("removed, and purged but for the key that the operator has put there");
    Ok(())
}

async fn nothing_failed(device: &Device) -> Result<()> {
    let failed = device.run("systemctl --failed --plain --no-legend").await?;
    ensure!(failed.is_empty(), "failed units: {failed}");
    Ok(())
}

fn number(text: &str) -> Result<i64> {
    text.trim().parse().with_context(|| format!("no number: {text}"))
}
