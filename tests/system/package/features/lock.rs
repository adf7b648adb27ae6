//! Lock and Wipe (8) by a script of the operator's, which runs as root.

use anyhow::{Result, ensure};
use lwm2m_model::{Code, Path, Value};

use crate::device::Device;
use crate::passed;

pub(super) async fn test(device: &Device) -> Result<()> {
    device.write("/root/lab", SCRIPT)?;
    device.run("install -D /root/lab /usr/lib/lwm2md/locks.d/lab").await?;
    let resource = |id| Path::resource(8, 0, id);
    for (state, verb) in [(FULLY_LOCKED, "lock"), (UNLOCKED, "unlock")] {
        device.set(&resource(STATE), Value::Integer(state)).await?;
        device.reads(&resource(STATE), &Value::Integer(state)).await?;
        let ran = device.run("cat /run/lab-lock").await?;
        ensure!(ran == format!("{verb} by 0 in lwm2md-lock@lab:{verb}.service"), "it ran: {ran}");
    }
    let target = Path::resource(8, 0, WIPE_TARGET);
    let lab = [(target.child(0)?, Value::String("lab".into()))];
    let answer = device.set_some(&target, &lab).await?;
    ensure!(answer.code == Code::CHANGED, "write {target}: {:?}", answer.code);
    device.execute_at(&resource(WIPE)).await?;
    device.reads(&resource(RESULT), &Value::Integer(WIPED)).await?;
    let ran = device.run("cat /run/lab-lock").await?;
    ensure!(ran.starts_with("wipe by 0"), "it ran: {ran}");

    super::without_rule(device, "lwm2md.rules", async || {
        device.set(&resource(STATE), Value::Integer(FULLY_LOCKED)).await?;
        device.reads(&resource(RESULT), &Value::Integer(NOT_LOCKED)).await?;
        ensure!(device.read(&resource(STATE)).await? == Value::Integer(UNLOCKED), "it is locked");
        let said = device.run("journalctl --no-pager -u lwm2md -n 3 -o cat").await?;
        ensure!(said.contains("lwm2md.rules"), "without the rule it says: {said}");
        Ok(())
    })
    .await?;
    passed("Lock and Wipe: a script of the operator ran as root in lwm2md-lock@lab");
    Ok(())
}

/// Says what it was run for, by whom and in which unit.
const SCRIPT: &str = "#!/bin/sh\nunit=$(cat /proc/self/cgroup)\n\
                      echo \"$1 by $(id -u) in ${unit##*/}\" >/run/lab-lock\n";
const STATE: u16 = 0;
const WIPE: u16 = 3;
const WIPE_TARGET: u16 = 4;
const RESULT: u16 = 5;
/// Values of the state.
const UNLOCKED: i64 = 0;
const FULLY_LOCKED: i64 = 2;
/// Values of the result.
const WIPED: i64 = 4;
const NOT_LOCKED: i64 = 6;
