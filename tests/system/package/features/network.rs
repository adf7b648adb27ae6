//! WLAN (12): what NetworkManager and polkit allow the agent, with the real NetworkManager;
//! then a WLAN, which takes a radio, of a double.

use std::collections::HashMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lwm2m_model::{Code, Path, Value};
use lwm2m_test_bus::{Double, Objects, Properties, properties};
use zbus::message::Message;
use zbus::{OwnedObjectPath, Variant};

use super::{as_agent, without_rule};
use crate::device::Device;
use crate::passed;

/// A wire, whose other end has a carrier. It ends with the network that it is in.
pub(super) struct Link;

impl Link {
    pub(super) fn new() -> Result<Self> {
        ip("link add lan0 type veth peer name far0")?;
        ip("link set far0 up")?;
        Ok(Self)
    }
}

/// Runs `ip` in the network of the container, which is ours.
pub(super) fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {said}");
    Ok(())
}

/// Sends frames from one end of the wire to the other, which nobody takes.
pub(super) fn send_frames(count: usize, length: usize) -> Result<()> {
    let program = format!("{SENDER}\nfor _ in range({count}): wire.send(header + bytes({length}))");
    let output = Command::new("python3").args(["-c", &program]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "send frames: {said}");
    Ok(())
}

/// Before NetworkManager is there.
pub(super) async fn prepare(device: &Device) -> Result<()> {
    device.run("mkdir -p /etc/NetworkManager/conf.d").await?;
    // It would make connections of its own, and touch the way to the server.
    let settings = "[main]\nno-auto-default=*\n[keyfile]\nunmanaged-devices=interface-name:far0\n";
    device.write("/etc/NetworkManager/conf.d/lab.conf", settings)
}

/// Each call that the WLAN object makes, by the user of the agent.
pub(super) async fn network_manager(device: &Device) -> Result<()> {
    device.run("nm-online -q -s && nmcli device set lan0 managed yes").await?;
    let link = device.run(&format!("busctl call {MANAGER} GetDeviceByIpIface s lan0")).await?;
    let link = object(&link)?;
    let call = async |arguments: &str| -> Result<String> {
        match as_agent(device, &format!("busctl {arguments}")).await? {
            (0, said) => Ok(said),
            (code, said) => bail!("busctl {arguments}: exit code {code}: {said}"),
        }
    };
    for state in ["false", "true"] {
        call(&format!("set-property {MANAGER} WirelessEnabled b {state}")).await?;
        let told = device.run(&format!("busctl get-property {MANAGER} WirelessEnabled")).await?;
        ensure!(told == format!("b {state}"), "the radio is {told}");
    }
    let checkpoint = format!("call {MANAGER} CheckpointCreate aouu 1 {link} 300 2");
    let checkpoint = object(&call(&checkpoint).await?)?;
    let settings = "1 connection 3 id s lab type s 802-3-ethernet interface-name s lan0";
    let add =
        format!("call {MANAGER} AddAndActivateConnection a{{sa{{sv}}}}oo {settings} {link} /");
    let profile = object(&call(&add).await?)?;
    let at = format!("{NAME} {profile} {NAME}.Settings.Connection");
    let update = format!("call {at} Update2 a{{sa{{sv}}}}ua{{sv}} {settings} 1 0");
    call(&update.replace(" lab ", " changed ")).await?;
    let activate = format!("call {MANAGER} ActivateConnection ooo {profile} {link} /");
    call(&activate).await?;
    call(&format!("call {MANAGER} CheckpointRollback o {checkpoint}")).await?;
    let checkpoint = format!("call {MANAGER} CheckpointCreate aouu 1 {link} 300 2");
    let checkpoint = object(&call(&checkpoint).await?)?;
    call(&format!("call {MANAGER} CheckpointDestroy o {checkpoint}")).await?;

    let said = device.run("lwm2mctl doctor").await?;
    ensure!(
        said.contains("a server may change WLANs and mobile connections"),
        "lwm2mctl doctor: {said}"
    );
    without_rule(device, RULE, async || {
        for (refused, needed) in [
            (format!("call {MANAGER} CheckpointCreate aouu 1 {link} 300 2"), "checkpoint"),
            (format!("set-property {MANAGER} WirelessEnabled b false"), "WirelessEnabled"),
            (add.clone(), "network"),
        ] {
            let (code, said) = as_agent(device, &format!("busctl {refused}")).await?;
            ensure!(code != 0, "{needed} is allowed without {RULE}: {said}");
        }
        let said = device.run("lwm2mctl doctor").await?;
        ensure!(said.contains(RULE), "lwm2mctl doctor: {said}");
        Ok(())
    })
    .await?;
    passed(
        "NetworkManager and polkit: radio, profile, connection and checkpoint by the agent's \
         user; refused without lwm2md-wlan.rules, which doctor names",
    );
    Ok(())
}

/// The object itself, at a double that asks polkit in the place of NetworkManager.
pub(super) async fn wlan(device: &Device) -> Result<()> {
    device.run("systemctl mask --runtime --now NetworkManager").await?;
    let double = Double::start(&device.bus().await?, NAME, PATH).await;
    for (method, action) in [
        ("CheckpointCreate", "org.freedesktop.NetworkManager.checkpoint-rollback"),
        ("CheckpointDestroy", "org.freedesktop.NetworkManager.checkpoint-rollback"),
        ("AddAndActivateConnection", "org.freedesktop.NetworkManager.network-control"),
    ] {
        double.guard(method, action, "org.freedesktop.NetworkManager.PermissionDenied");
    }
    serve(&double).await;
    let instance = Path::instance(12, 0);
    device.lists(&instance, true).await?;
    let plant = [
        (Path::resource(12, 0, 5), Value::String("plant".into())),
        (Path::resource(12, 0, 18), Value::String("a new phrase".into())),
    ];
    without_rule(device, RULE, async || {
        let answer = device.set_some(&instance, &plant).await?;
        ensure!(answer.code == Code::METHOD_NOT_ALLOWED, "write {instance}: {:?}", answer.code);
        let said = device.run("journalctl --no-pager -u lwm2md -n 1 -o cat").await?;
        ensure!(said.contains("checkpoint-rollback") && said.contains(RULE), "refused: {said}");
        Ok(())
    })
    .await?;
    let answer = device.set_some(&instance, &plant).await?;
    ensure!(answer.code == Code::CHANGED, "write {instance}: {:?}", answer.code);
    let end = Instant::now() + LIMIT;
    while !double.calls().iter().any(|call| call.contains("CheckpointDestroy")) {
        ensure!(Instant::now() < end, "no end of the checkpoint: {:?}", double.calls());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    device.reads(&Path::resource(12, 0, 3), &Value::Integer(1)).await?;
    drop(double);
    device.lists(&instance, false).await?;
    passed(
        "WLAN: a server connects it elsewhere below a checkpoint, which ends when the server has \
         answered; without the rule the log names it",
    );
    Ok(())
}

/// A WLAN that is connected by whatever is added for it.
async fn serve(double: &Double) {
    let radios = ["WirelessEnabled", "WirelessHardwareEnabled"].map(|name| (name, true.into()));
    double.add(PATH, interfaces([(NAME, properties(radios))])).await;
    double.method("GetPermissions", |call, _| reply(call, &HashMap::<String, String>::new()));
    double.method("CheckpointCreate", |call, _| reply(call, &path(CHECKPOINT)));
    double.method("CheckpointDestroy", |call, _| reply(call, &()));
    double.method("AddAndActivateConnection", |call, objects| {
        connect(objects);
        reply(call, &(path(PROFILE), path(ACTIVE)))
    });
    let link = properties([
        ("Interface", Variant::from("wlan0")),
        ("State", 30_u32.into()),
        ("ActiveConnection", path("/").into()),
    ]);
    let wireless = properties([
        ("HwAddress", Variant::from("02:00:5e:00:53:0a")),
        ("Mode", 2_u32.into()),
        ("ActiveAccessPoint", path("/").into()),
    ]);
    double.add(WLAN, interfaces([(DEVICE, link), (WIRELESS, wireless)])).await;
    // As NetworkManager tells of a device that has come.
    double.set(PATH, NAME, "Devices", vec![path(WLAN)]).await;
}

fn connect(objects: &mut Objects) {
    let link = objects.get_mut(WLAN).and_then(|link| link.get_mut(DEVICE));
    let now = [("State", Variant::from(100_u32)), ("ActiveConnection", path(ACTIVE).into())];
    link.expect("the WLAN is there").extend(properties(now));
}

fn interfaces<const N: usize>(table: [(&str, Properties); N]) -> HashMap<String, Properties> {
    table.into_iter().map(|(name, properties)| (name.to_owned(), properties)).collect()
}

fn reply<B>(call: &Message, body: &B) -> Result<Message, &'static str>
where
    B: serde::Serialize + zbus::DynamicType,
{
    Message::method_return(&call.header()).build(body).map_err(|_| "org.example.Failed")
}

fn path(path: &str) -> OwnedObjectPath {
    OwnedObjectPath::try_from(path.to_owned()).expect("a path of an object")
}

/// The first object that an answer printed by busctl names.
fn object(answer: &str) -> Result<String> {
    let found = answer.split('"').nth(1);
    found.map(ToOwned::to_owned).with_context(|| format!("no object: {answer}"))
}

const NAME: &str = "org.freedesktop.NetworkManager";
const PATH: &str = "/org/freedesktop/NetworkManager";
/// Service, object and interface, as busctl takes them.
const MANAGER: &str = "org.freedesktop.NetworkManager /org/freedesktop/NetworkManager \
                       org.freedesktop.NetworkManager";
const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
const WIRELESS: &str = "org.freedesktop.NetworkManager.Device.Wireless";
const WLAN: &str = "/org/freedesktop/NetworkManager/Devices/7";
const ACTIVE: &str = "/org/freedesktop/NetworkManager/ActiveConnection/7";
const PROFILE: &str = "/org/freedesktop/NetworkManager/Settings/7";
const CHECKPOINT: &str = "/org/freedesktop/NetworkManager/Checkpoint/7";
const RULE: &str = "lwm2md-wlan.rules";
const LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A socket of packets on one end of the wire, and a header of the protocol for experiments.
const SENDER: &str = "
import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(('lan0', 0))
header = b'\\xff' * 6 + b'\\x02\\x00\\x00\\x00\\x00\\x01' + b'\\x88\\xb5'
";
