//! Firmware Update (5) with the real RAUC of Debian on two slots that are files, up to the
//! restart into the other one.

use anyhow::{Result, ensure};
use lwm2m_model::{Path, Value};
use lwm2m_system_tests::RaucLab;

use crate::device::Device;
use crate::passed;

/// Before RAUC is there: the slots, the boot loader, and the service on them.
pub(super) async fn prepare(device: &Device) -> Result<()> {
    let bundles = tokio::task::spawn_blocking(RaucLab::bundles).await??;
    device.run("mkdir -p /root/pki /etc/systemd/system/rauc.service.d").await?;
    device.copy(&bundles.join("pki/ca.cert.pem"), "pki/ca.cert.pem")?;
    device.copy(&RaucLab::script(), "rauc-lab.sh")?;
    device.run("bash /root/rauc-lab.sh device /srv/rauc /root").await?;
    device.write("/etc/systemd/system/rauc.service.d/lab.conf", SERVICE)?;
    device.write("/etc/systemd/system/boot-loader.service", BOOT_LOADER)?;
    device.run("systemctl daemon-reload && systemctl enable boot-loader").await?;
    Ok(())
}

pub(super) async fn test(device: &Device) -> Result<()> {
    let resource = |id| Path::resource(5, 0, id);
    let bundles = tokio::task::spawn_blocking(RaucLab::bundles).await??;
    let bundle = std::fs::read(bundles.join("good-plain.raucb"))?;
    let size = bundle.len();
    // A container has no nodes of devices of its own.
    device.run(LOOP_DEVICES).await?;
    ensure!(device.run("rauc status").await?.contains("Booted from: rootfs.0"), "rauc status");
    device.set(&resource(PACKAGE), Value::Opaque(bundle)).await?;
    device.reads(&resource(STATE), &Value::Integer(DOWNLOADED)).await?;
    passed(&format!("a signed bundle of {} KiB is pushed, and RAUC has inspected it", size / 1024));

    let before = device.registration().await;
    let boot = device.run("cat /proc/sys/kernel/random/boot_id").await?;
    device.execute_at(&resource(UPDATE)).await?;
    device.booted(&boot).await?;
    device.registers(before).await?;
    device.reads(&resource(STATE), &Value::Integer(IDLE)).await?;
    device.reads(&resource(RESULT), &Value::Integer(SUCCESS)).await?;
    let slot = device.run("head -n 1 /srv/rauc/slots/b.img").await?;
    ensure!(slot == "LAB-IMAGE version=2.0.0", "the other slot has {slot}");
    let state = device.run("cat /srv/rauc/boot/current /srv/rauc/boot/B.state").await?;
    ensure!(state == "B\ngood", "the boot loader says {state}");
    passed("RAUC has installed it, the device has restarted into it and confirmed it");
    Ok(())
}

/// The boot loader tells RAUC the slot, not a command line of the kernel, which a container
/// does not have for itself.
const SERVICE: &str = "\
[Service]
ExecStart=
ExecStart=/bin/sh -c 'exec rauc --conf=/srv/rauc/etc/system.conf --mount=/run/rauc \
--override-boot-slot=\"$(cat /srv/rauc/boot/current)\" service'
";
/// Boots what is to be booted first.
const BOOT_LOADER: &str = "\
[Unit]
Before=rauc.service lwm2md.service
[Service]
Type=oneshot
ExecStart=cp /srv/rauc/boot/primary /srv/rauc/boot/current
[Install]
WantedBy=multi-user.target
";
const LOOP_DEVICES: &str = "\
[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
for number in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	[ -e /dev/loop$number ] || mknod /dev/loop$number b 7 $number
done";
const PACKAGE: u16 = 0;
const UPDATE: u16 = 2;
const STATE: u16 = 3;
const RESULT: u16 = 5;
/// Values of the state and of the result.
const IDLE: i64 = 0;
const DOWNLOADED: i64 = 2;
const SUCCESS: i64 = 1;
