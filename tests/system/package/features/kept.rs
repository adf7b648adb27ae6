//! Portfolio (16), BinaryAppDataContainer (19), Connectivity Statistics (7) and sensors:
//! what lies in the state directory, and what is read below `/proc` and `/sys`.

use anyhow::{Context, Result, bail, ensure};
use lwm2m_model::{Path, Value};

use crate::device::{Device, MAIN_PROCESS};
use crate::passed;

/// What servers have written is there again after the agent was killed.
pub(super) async fn killed(device: &Device) -> Result<()> {
    let identity = Path::resource(16, 0, 0).child(0)?;
    let data = Path::resource(19, 0, 0).child(0)?;
    let written = Value::String("written by a server".into());
    let some = [(identity.clone(), written.clone())];
    let answer = device.set_some(&Path::resource(16, 0, 0), &some).await?;
    ensure!(answer.code.is_success(), "write {identity}: {:?}", answer.code);
    let bytes = Value::Opaque(b"\x00a state\xff".to_vec());
    device.create(&Path::instance(19, 0), &[(data.clone(), bytes.clone())]).await?;

    let process = device.run(MAIN_PROCESS).await?;
    let before = device.registration().await;
    device.run("systemctl kill --signal=KILL lwm2md").await?;
    device.registers(before).await?;
    ensure!(device.run(MAIN_PROCESS).await? != process, "it was not killed");
    for (path, value) in [(&identity, &written), (&data, &bytes)] {
        let told = device.read(path).await?;
        ensure!(told == *value, "{path}: {told:?}");
    }
    passed("Portfolio and BinaryAppDataContainer: as they were written, after SIGKILL");
    Ok(())
}

/// Frames on the wire of the laboratory are what is counted, by the kernel and the agent.
pub(super) async fn statistics(device: &Device) -> Result<()> {
    let resource = |id| Path::resource(7, 0, id);
    device.run("ip link set lan0 up 2>/dev/null || true").await?;
    device.execute_at(&resource(START)).await?;
    let before = carried(device).await?;
    super::network::send_frames(FRAMES, FRAME)?;
    let kilobytes = i64::try_from(FRAMES * FRAME / 1000)?;
    let mut told = Vec::new();
    for id in [SENT, RECEIVED] {
        let Value::Integer(value) = device.read(&resource(id)).await? else {
            bail!("{}: no number", resource(id));
        };
        // The session of the server itself is carried as well.
        let is_it = (kilobytes..kilobytes + kilobytes / 20).contains(&value);
        ensure!(is_it, "{}: {value} kB, of {kilobytes} kB", resource(id));
        told.push(value);
    }
    let after = carried(device).await?;
    ensure!(after - before >= kilobytes, "the kernel has counted {} kB", after - before);
    device.execute_at(&resource(STOP)).await?;
    let stopped = device.read(&resource(SENT)).await?;
    super::network::send_frames(FRAMES, FRAME)?;
    ensure!(device.read(&resource(SENT)).await? == stopped, "it counts after its stop");
    passed(&format!(
        "Connectivity Statistics: {} and {} kB for {kilobytes} kB on the wire, and no more after \
         the stop",
        told[0], told[1]
    ));
    Ok(())
}

/// What the kernel has sent on the wire, in kB.
async fn carried(device: &Device) -> Result<i64> {
    let bytes = device.run("sed -n 's/ *lan0: *//p' /proc/net/dev").await?;
    let sent = bytes.split_whitespace().nth(8).context("no lan0")?;
    Ok(sent.parse::<i64>()? / 1000)
}

/// A thermal zone; made up where the machine has none.
pub(super) async fn sensors(device: &Device) -> Result<()> {
    let real = device.run("ls /sys/class/thermal /sys/class/hwmon 2>/dev/null || true").await?;
    let is_real = real.lines().any(|line| line.starts_with("thermal_zone"));
    if !is_real {
        let zone = "/sys/class/thermal/thermal_zone0";
        device
            .run(&format!(
                "mount -t tmpfs none /sys/class/thermal && mkdir {zone} && \
                 echo lab >{zone}/type && echo 48500 >{zone}/temp"
            ))
            .await?;
        let before = device.registration().await;
        device.run("systemctl restart lwm2md").await?;
        device.registers(before).await?;
    }
    device.lists(&Path::object(3303), true).await?;
    let value = device.read(&Path::resource(3303, 0, 5700)).await?;
    ensure!(is_real || value == Value::Float(48.5), "/3303/0/5700: {value:?}");
    let zone = if is_real { "of this machine" } else { "made up, since this machine has none" };
    passed(&format!("sensors: the temperature of a thermal zone, {zone}"));
    Ok(())
}

const SENT: u16 = 2;
const RECEIVED: u16 = 3;
const START: u16 = 6;
const STOP: u16 = 7;
/// So many frames of so many bytes above the header of Ethernet.
const FRAMES: usize = 4000;
const FRAME: usize = 1000;
