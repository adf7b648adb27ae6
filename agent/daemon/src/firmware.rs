//! Object 5 for the back end that is configured, with its state below the state
//! directory.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_engine::Event;
use lwm2m_firmware::{
    ANSWERS, Backend, CheckUnits, Confirmation, FileBackend, FirmwareHandle, FirmwareUpdate, Parts,
    RaucBackend, RecordFile, ScriptBackend, TrialMarker, WithPolicy,
};
use lwm2m_objects::ObjectHost;
use lwm2m_transport::clock;

use crate::config::{FirmwareSettings, Installer};
use crate::objects::Place;
use crate::sources::{Sources, Streams};

/// How packages are fetched.
pub(crate) struct Downloads {
    pub(crate) sources: Sources,
    /// For how long nothing new comes before one is given up.
    pub(crate) patience: Duration,
    /// Where RAUC may read packages itself, if it may.
    pub(crate) streams: Option<Arc<Streams>>,
}

/// Adds the object if something is configured that installs. What comes back wants to
/// hear of registrations, and shows the update to people on the device.
pub(crate) fn add(
    objects: &mut ObjectHost,
    settings: &FirmwareSettings,
    downloads: Downloads,
    place: &Place<'_>,
) -> Option<(Confirmation, FirmwareHandle)> {
    match &settings.installer {
        Installer::None => None,
        Installer::Rauc(downgrade) => {
            let backend = RaucBackend::new(place.bus.clone());
            let backend = match downloads.streams.clone() {
                Some(streams) => backend.streaming(streams),
                None => backend,
            };
            let backend = WithPolicy::new(backend, *downgrade, place.roots.clone());
            Some(add_with(objects, backend, settings, downloads, place))
        }
        Installer::Script(name, downgrade) => {
            let backend = ScriptBackend::new(place.bus.clone(), name.clone(), ANSWERS.into());
            let backend = WithPolicy::new(backend, *downgrade, place.roots.clone());
            Some(add_with(objects, backend, settings, downloads, place))
        }
        Installer::File(path) => {
            Some(add_with(objects, FileBackend::new(path.clone()), settings, downloads, place))
        }
    }
}

fn add_with<B: Backend>(
    objects: &mut ObjectHost,
    backend: B,
    settings: &FirmwareSettings,
    downloads: Downloads,
    place: &Place<'_>,
) -> (Confirmation, FirmwareHandle) {
    let Place { state, roots, bus, .. } = place;
    let folder = state.join("firmware");
    let checks = roots.usr.join("lib/lwm2md/checks.d");
    let object = FirmwareUpdate::new(Parts {
        backend,
        fetcher: downloads.sources,
        patience: downloads.patience,
        records: Arc::new(RecordFile::new(folder.join("record"))),
        package: folder.join("package"),
        restarter: bus.clone(),
        checks: Arc::new(CheckUnits::new(bus.clone(), checks)),
        marker: TrialMarker::new(state, &roots.proc),
        trial: settings.trial,
        boot: boot(),
        deferral: settings.defer,
        out: objects.sender(),
        clock: clock::now,
    });
    let handles = (object.confirmation(), object.handle());
    objects.add(Box::new(object));
    handles
}

/// The identifier of this boot; one that cannot be read is all zeros.
fn boot() -> Option<String> {
    let boot = u128::from_be_bytes(clock::boot_id().0);
    (boot != 0).then(|| format!("{boot:032x}"))
}

/// Tells an update on trial of an event that shows that it works.
pub(crate) fn note(confirmation: &Option<Confirmation>, event: &Event) {
    if let Some(confirmation) = confirmation.as_ref().filter(|_| is_answer(event)) {
        confirmation.registered();
    }
}

/// True if a server has answered a Register or an Update. After a restart that is
/// `Resumed` as a rule, and the next Update may be a day away.
pub(crate) fn is_answer(event: &Event) -> bool {
    matches!(event, Event::Registered { .. } | Event::Resumed { .. } | Event::Updated { .. })
}

#[cfg(test)]
mod tests {
    use lwm2m_model::Version;

    use super::*;

    /// OBJ-92
    #[test]
    fn a_registration_that_goes_on_counts_as_much_as_a_new_one() {
        let (server, version, lifetime) = (101, Version::V1_2, 86400);
        let location = String::from("/rd/1");
        let registered = Event::Registered { server, version, lifetime, location };
        let location = String::from("/rd/1");
        let resumed = Event::Resumed { server, version, lifetime, location };
        let next = None;
        let failed = Event::AttemptFailed { server, reason: "no route".into(), next };
        for (event, counts) in [
            (registered, true),
            (resumed, true),
            (Event::Updated { server }, true),
            (Event::Awake { server }, false),
            (failed, false),
        ] {
            assert_eq!(is_answer(&event), counts, "{event:?}");
        }
    }
}
