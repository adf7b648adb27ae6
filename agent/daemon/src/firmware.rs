//! Object 5 for the back end that is configured, with its state below the state
//! directory.

use std::path::Path;
use std::sync::Arc;

use lwm2m_engine::Event;
use lwm2m_firmware::{
    ANSWERS, Backend, Confirmation, FileBackend, FirmwareUpdate, Parts, RaucBackend, RecordFile,
    ScriptBackend,
};
use lwm2m_objects::{BusHandle, ObjectHost};
use lwm2m_transport::clock;

use crate::config::FirmwareSettings;

/// Adds the object if something is configured that installs. What comes back wants to
/// hear of registrations.
pub(crate) fn add(
    objects: &mut ObjectHost,
    settings: &FirmwareSettings,
    state: &Path,
    bus: BusHandle,
) -> Option<Confirmation> {
    match settings {
        FirmwareSettings::None => None,
        FirmwareSettings::Rauc => {
            Some(add_with(objects, RaucBackend::new(bus.clone()), state, bus))
        }
        FirmwareSettings::Script(name) => {
            let backend = ScriptBackend::new(bus.clone(), name.clone(), ANSWERS.into());
            Some(add_with(objects, backend, state, bus))
        }
        FirmwareSettings::File(path) => {
            Some(add_with(objects, FileBackend::new(path.clone()), state, bus))
        }
    }
}

fn add_with<B: Backend>(
    objects: &mut ObjectHost,
    backend: B,
    state: &Path,
    bus: BusHandle,
) -> Confirmation {
    let folder = state.join("firmware");
    let object = FirmwareUpdate::new(Parts {
        backend,
        records: Arc::new(RecordFile::new(folder.join("record"))),
        package: folder.join("package"),
        restarter: bus,
        boot: boot(),
        out: objects.sender(),
        clock: clock::now,
    });
    let confirmation = object.confirmation();
    objects.add(Box::new(object));
    confirmation
}

/// The identifier of this boot; one that cannot be read is all zeros.
fn boot() -> Option<String> {
    let boot = u128::from_be_bytes(clock::boot_id().0);
    (boot != 0).then(|| format!("{boot:032x}"))
}

/// Tells an update on trial of an event that shows that it works: a server has answered.
pub(crate) fn note(confirmation: &Option<Confirmation>, event: &Event) {
    if let (Some(confirmation), Event::Registered { .. } | Event::Updated { .. }) =
        (confirmation, event)
    {
        confirmation.registered();
    }
}
