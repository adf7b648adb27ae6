//! Prints the Device object of this machine, without a bus:
//! `cargo run -p lwm2m-objects --example device`.

use std::io::Write;

use lwm2m_engine::{Call, CallId, CallOperation, CallReply};
use lwm2m_model::{Path, objects};
use lwm2m_objects::{BusHandle, Device, DeviceConfig, ObjectHost, Roots, sources::clock};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut host = ObjectHost::new(clock::now);
    let device =
        Device::new(DeviceConfig::new("U"), Roots::default(), BusHandle::absent(), host.sender());
    host.add(Box::new(device));
    let call = Call {
        id: CallId(1),
        path: Path::instance(objects::DEVICE.id, 0),
        operation: CallOperation::Read,
        server: None,
    };
    let mut out = std::io::stdout().lock();
    match host.call(&call) {
        Some(Ok(CallReply::Entries(entries))) => {
            for entry in entries {
                let definition =
                    entry.path.resource_id().and_then(|id| objects::DEVICE.resource(id));
                let name = definition.map_or("", |resource| &resource.name);
                let value = entry.value().map_or_else(|| "none".to_owned(), ToString::to_string);
                writeln!(out, "{:<10} {name:<28} {value}", entry.path.to_string())?;
            }
        }
        other => writeln!(out, "unexpected: {other:?}")?,
    }
    Ok(())
}
