//! Connectivity Monitoring (4), Location (6), Cellular (10) and APN profiles (11) of a
//! modem. The real ModemManager says what its rights are; the modem is that of a double.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lwm2m_model::{Path, Value};
use lwm2m_test_bus::ModemManager;
use zbus::Variant;

use super::network::ip;
use super::{as_agent, without_rule};
use crate::device::Device;
use crate::passed;

/// Before ModemManager is there.
pub(super) async fn prepare(device: &Device) -> Result<()> {
    let place = "/etc/systemd/system/ModemManager.service.d";
    device.run(&format!("mkdir -p {place}")).await?;
    // Its unit does not start in containers.
    device.write(&format!("{place}/lab.conf"), "[Unit]\nConditionVirtualization=\n")
}

/// What polkit grants the user of the agent, of the actions of the real ModemManager.
pub(super) async fn modem_manager(device: &Device) -> Result<()> {
    device.run("systemctl start ModemManager").await?;
    let granted = async |action: &str| -> Result<bool> {
        // The process is the shell's, whose user is the agent's; systemd makes `$` of `$$`.
        let check = format!("sh -c 'pkcheck --action-id {ACTIONS}.{action} --process $$$$'");
        let (code, said) = as_agent(device, &check).await?;
        ensure!([0, 1, 2, 3].contains(&code), "pkcheck {action}: exit code {code}: {said}");
        Ok(code == 0)
    };
    for (action, expected) in
        [("Device.Control", true), ("Location", true), ("Control", false), ("Messaging", false)]
    {
        ensure!(granted(action).await? == expected, "{action} is not as it should be");
    }
    let objects = "org.freedesktop.DBus.ObjectManager GetManagedObjects";
    let call = format!("busctl call {ACTIONS} /org/freedesktop/ModemManager1 {objects}");
    let (code, said) = as_agent(device, &call).await?;
    ensure!(code == 0, "{call}: exit code {code}: {said}");
    without_rule(device, RULE, async || {
        for action in ["Device.Control", "Location"] {
            ensure!(!granted(action).await?, "{action} is granted without {RULE}");
        }
        let said = device.run("lwm2mctl doctor").await?;
        ensure!(said.contains(RULE), "lwm2mctl doctor: {said}");
        Ok(())
    })
    .await?;
    passed(
        "ModemManager and polkit: control and location for the agent's user, and nothing else of \
         it; denied without lwm2md-modem.rules, which doctor names",
    );
    Ok(())
}

/// The objects, at a double that asks polkit as ModemManager does.
pub(super) async fn modem(device: &Device) -> Result<()> {
    device.run("systemctl mask --runtime --now ModemManager").await?;
    let modem = ModemManager::start(&device.bus().await?).await;
    let denied = "org.freedesktop.ModemManager1.Error.Core.Unauthorized";
    for method in ["Setup", "Enable", "Connect", "Disconnect"] {
        modem.guard(method, "org.freedesktop.ModemManager1.Device.Control", denied);
    }
    modem.guard("GetLocation", "org.freedesktop.ModemManager1.Location", denied);
    for arguments in [
        "link set lan0 up",
        "address add 10.64.0.2/30 dev lan0",
        "route add default via 10.64.0.1 dev lan0",
    ] {
        ip(arguments)?;
    }
    modem.plug_in("lan0").await;
    for instance in [[10, 0], [11, 0]] {
        device.lists(&Path::instance(instance[0], instance[1]), true).await?;
    }
    #[rustfmt::skip] // a table: one row a resource
    let told = [
        (4, 0, Value::Integer(6)), (4, 2, Value::Integer(-98)), (4, 8, Value::Integer(0x01b2_c3d4)),
        (4, 9, Value::Integer(1)), (4, 10, Value::Integer(262)), (10, 1, Value::Integer(0)),
        (11, 1, Value::String("internet".into())), (11, 3, Value::Boolean(true)),
    ];
    for (object, id, value) in told {
        device.reads(&Path::resource(object, 0, id), &value).await?;
    }
    modem.set_location(place()).await;
    device.lists(&Path::instance(6, 0), true).await?;
    device.reads(&Path::resource(6, 0, 0), &Value::Float(48.5)).await?;
    passed("cellular values of /4, a place of the modem in /6, /10 and /11, each with its right");

    // What carries the session would not be disconnected.
    ip("route delete default")?;
    let enable = Path::resource(11, 0, 3);
    without_rule(device, RULE, async || {
        let said = device.refused(&enable, Value::Boolean(false)).await?;
        ensure!(said.contains("Device.Control") && said.contains(RULE), "refused: {said}");
        let rest = Path::resource(10, 0, 1);
        let said = device.refused(&rest, Value::Integer(1)).await;
        ensure!(said.is_ok(), "{rest}: {said:?}");
        Ok(())
    })
    .await?;
    for (to, method) in [(false, "Disconnect"), (true, "Connect")] {
        device.set(&enable, Value::Boolean(to)).await?;
        called(&modem, &format!("{} {method}", ModemManager::BEARER)).await?;
        device.reads(&enable, &Value::Boolean(to)).await?;
    }
    let rest = Path::resource(10, 0, 1);
    device.set(&rest, Value::Integer(1)).await?;
    called(&modem, &format!("{} Enable false", ModemManager::MODEM)).await?;
    // A rest that is ended before its time.
    device.set(&rest, Value::Integer(0)).await?;
    device.reads(&rest, &Value::Integer(0)).await?;
    modem.pull_out().await;
    device.lists(&Path::instance(10, 0), false).await?;
    ip("address delete 10.64.0.2/30 dev lan0")?;
    passed("a bearer is switched, the radio rests; without the rule the refusal names it");
    Ok(())
}

async fn called(modem: &ModemManager, call: &str) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while !modem.calls().iter().any(|known| known == call) {
        ensure!(Instant::now() < end, "{call} was not called: {:?}", modem.calls());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// What its receiver of satellites says (MM_MODEM_LOCATION_SOURCE_GPS_NMEA).
fn place() -> HashMap<u32, Variant<'static>> {
    let text = "GPRMC,120000.0,A,4830.0,N,01130.0,E,019.4,090.0,150126,,,A";
    let sum = text.bytes().fold(0, |sum: u8, byte| sum ^ byte);
    HashMap::from([(4, Variant::from(format!("${text}*{sum:02X}\r\n")))])
}

/// The name of the service, with which its polkit actions begin.
const ACTIONS: &str = "org.freedesktop.ModemManager1";
const RULE: &str = "lwm2md-modem.rules";
const LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
