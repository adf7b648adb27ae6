//! The double: its answers are settings, its signals are sent by the test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedVariant, Variant, fdo, interface};

/// A newer RAUC.
#[derive(Clone, Default)]
pub(crate) struct Double {
    /// What `InspectBundle` answers.
    pub(crate) manifest: HashMap<String, OwnedVariant>,
    /// The key that `InstallBundle` does not know.
    pub(crate) unknown_key: Option<&'static str>,
    /// What `Completed` says before `InstallBundle` answers.
    pub(crate) completed_before: Option<i32>,
    /// The property `LastError`.
    pub(crate) last_error: String,
    /// The facts of the one slot.
    pub(crate) slot: HashMap<String, OwnedVariant>,
    /// The arguments of each call.
    pub(crate) calls: Calls,
}

/// The source and the keys of calls.
pub(crate) type Calls = Arc<Mutex<Vec<(String, HashMap<String, OwnedVariant>)>>>;

#[interface(name = "de.pengutronix.rauc.Installer")]
impl Double {
    async fn install_bundle(
        &self,
        source: &str,
        args: HashMap<String, OwnedVariant>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        let refused = self.unknown_key.filter(|key| args.contains_key(*key));
        self.calls.lock().unwrap().push((source.to_owned(), args));
        if let Some(key) = refused {
            return Err(fdo::Error::Failed(format!("Unsupported key: {key}")));
        }
        if let Some(result) = self.completed_before {
            Self::completed(&emitter, result).await?;
        }
        Ok(())
    }

    async fn inspect_bundle(
        &self,
        source: &str,
        args: HashMap<String, OwnedVariant>,
    ) -> HashMap<String, OwnedVariant> {
        self.calls.lock().unwrap().push((source.to_owned(), args));
        self.manifest.clone()
    }

    async fn get_slot_status(&self) -> Vec<(String, HashMap<String, OwnedVariant>)> {
        vec![("rootfs.0".into(), self.slot.clone())]
    }

    #[zbus(property)]
    async fn system_version(&self) -> &str {
        "7.4"
    }

    #[zbus(property)]
    async fn last_error(&self) -> &str {
        &self.last_error
    }

    #[zbus(signal)]
    async fn completed(emitter: &SignalEmitter<'_>, result: i32) -> zbus::Result<()>;
}

/// A service whose members have other types.
pub(crate) struct Odd;

#[interface(name = "de.pengutronix.rauc.Installer")]
impl Odd {
    async fn get_slot_status(&self) -> &str {
        "none"
    }

    async fn get_primary(&self) -> u32 {
        1
    }

    async fn mark(&self, _state: &str, _slot: &str) -> &str {
        "marked"
    }

    async fn inspect_bundle(
        &self,
        _source: &str,
        _args: HashMap<String, OwnedVariant>,
    ) -> HashMap<String, OwnedVariant> {
        HashMap::from([("update".into(), "2.0.0".to_owned().into_owned_variant())])
    }

    #[zbus(property)]
    async fn compatible(&self) -> u32 {
        7
    }

    #[zbus(property)]
    async fn progress(&self) -> &str {
        "50 %"
    }
}

/// Sends `Completed` from a program, whichever it is.
pub(crate) async fn completed<B>(from: &Connection, body: &B)
where
    B: serde::Serialize + zbus::DynamicType,
{
    from.emit_signal(NOBODY, "/", INTERFACE, "Completed", body).await.unwrap();
}

/// Sends changed properties from a program.
pub(crate) async fn changed(from: &Connection, values: &[(&str, Variant<'_>)]) {
    let values: HashMap<&str, &Variant<'_>> = values.iter().map(|(key, v)| (*key, v)).collect();
    let body = (INTERFACE, values, Vec::<String>::new());
    from.emit_signal(NOBODY, "/", PROPERTIES, "PropertiesChanged", &body).await.unwrap();
}

/// Makes values for answers.
pub(crate) trait IntoOwnedVariant {
    fn into_owned_variant(self) -> OwnedVariant;
}

impl<T: Into<Variant<'static>>> IntoOwnedVariant for T {
    fn into_owned_variant(self) -> OwnedVariant {
        self.into().try_into_owned().unwrap()
    }
}

const NOBODY: Option<zbus::names::BusName<'static>> = None;
const INTERFACE: &str = "de.pengutronix.rauc.Installer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
