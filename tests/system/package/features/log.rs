//! Event Log (20) from the journal of a running system, which takes a group.

use anyhow::{Result, ensure};
use lwm2m_model::{Path, Value};

use crate::device::Device;
use crate::passed;

/// Without the group, and then with the drop-in of lwm2md.yaml(5).
pub(super) async fn test(device: &Device) -> Result<()> {
    let status = Path::resource(20, 0, STATUS);
    ensure!(
        device.read(&status).await? == Value::Integer(ERROR),
        "the journal is read without the group"
    );
    let said = device.run("journalctl --no-pager -u lwm2md -n 1 -o cat").await?;
    ensure!(said.contains("systemd-journal"), "without the group it says: {said}");

    let place = "/etc/systemd/system/lwm2md.service.d";
    device.run(&format!("mkdir -p {place}")).await?;
    device.write(&format!("{place}/journal.conf"), DROP_IN)?;
    let before = device.registration().await;
    device.run("systemctl daemon-reload && systemctl restart lwm2md").await?;
    device.registers(before).await?;
    device.execute_at(&Path::resource(20, 0, START)).await?;
    device.run(&format!("logger --tag lab '{LINE}' && journalctl --sync")).await?;
    device.execute_at(&Path::resource(20, 0, STOP)).await?;
    device.run("logger --tag lab 'after the end' && journalctl --sync").await?;
    ensure!(device.read(&status).await? == Value::Integer(STOPPED | VALID), "its status");
    let Value::Opaque(data) = device.read(&Path::resource(20, 0, DATA)).await? else {
        anyhow::bail!("LogData is not opaque");
    };
    let data = String::from_utf8_lossy(&data);
    ensure!(data.contains(LINE) && !data.contains("after the end"), "LogData: {data}");
    passed(
        "Event Log: a line that was logged between LogStart and LogStop; without the drop-in for \
         systemd-journal the log says what is missing",
    );
    Ok(())
}

const DROP_IN: &str = "[Service]\nSupplementaryGroups=systemd-journal\n";
const LINE: &str = "a line of the lab, number 4711";
const START: u16 = 4011;
const STOP: u16 = 4012;
const STATUS: u16 = 4013;
const DATA: u16 = 4014;
/// Bits of the status.
const STOPPED: i64 = 1;
const VALID: i64 = 2;
const ERROR: i64 = 4;
