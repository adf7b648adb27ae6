//! Bundles that RAUC reads from their origin itself, with a double of a RAUC that can.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use lwm2m_firmware::{
    Backend, Failure, Package, ProgressSink, RaucBackend, Reason, StreamAccess, StreamOrigins,
};
use lwm2m_objects::BusHandle;
use zbus::{OwnedVariant, Variant, fdo, interface};

use crate::systemd1::{Bus, on_bus};

const URI: &str = "https://h/x.raucb?token=s3cret";

/// The source and the keys of a call.
type Call = (String, Vec<String>);

/// A RAUC that answers an inspection so; without a sentence it is well.
#[derive(Clone, Default)]
struct Double {
    refusal: Arc<Mutex<Option<String>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Double {
    fn note(&self, source: &str, args: HashMap<String, OwnedVariant>) {
        let mut keys: Vec<String> = args.into_keys().collect();
        keys.sort();
        self.calls.lock().unwrap().push((source.to_owned(), keys));
    }
}

#[interface(name = "de.pengutronix.rauc.Installer")]
impl Double {
    async fn inspect_bundle(
        &self,
        source: &str,
        args: HashMap<String, OwnedVariant>,
    ) -> fdo::Result<HashMap<String, OwnedVariant>> {
        self.note(source, args);
        if let Some(sentence) = self.refusal.lock().unwrap().clone() {
            return Err(fdo::Error::Failed(sentence));
        }
        let update = [("compatible", "lab-board"), ("version", "2.0.0")];
        let update: HashMap<String, Variant<'_>> =
            update.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        let update = Variant::from(update).try_into_owned().unwrap();
        Ok(HashMap::from([("update".to_owned(), update)]))
    }

    async fn install_bundle(
        &self,
        source: &str,
        args: HashMap<String, OwnedVariant>,
    ) -> fdo::Result<()> {
        self.note(source, args);
        Err(fdo::Error::Failed(format!("no thread for {source}")))
    }

    #[zbus(property)]
    async fn compatible(&self) -> &str {
        "lab-board"
    }

    #[zbus(property)]
    async fn operation(&self) -> &str {
        "idle"
    }
}

/// One from before RAUC 1.9.
struct Old;

#[interface(name = "de.pengutronix.rauc.Installer")]
impl Old {
    async fn info(&self, _bundle: &str) -> (&str, &str) {
        panic!("RAUC would fetch all of the bundle")
    }
}

/// What is configured.
#[derive(Debug)]
struct Origins;

impl StreamOrigins for Origins {
    fn access(&self, uri: &str) -> Result<StreamAccess, Failure> {
        if !uri.starts_with("https://h/") {
            return Err(Failure::new(Reason::InvalidUri, "the URI has credentials in it"));
        }
        Ok(StreamAccess {
            ca: Some("/ca.pem".into()),
            certificate: Some("/gw.pem".into()),
            key: Some("/gw.key".into()),
        })
    }
}

/// Runs a test with a back end on a bus where this is RAUC.
fn with_rauc<I: zbus::object_server::Interface>(double: I, test: impl AsyncFnOnce(RaucBackend)) {
    on_bus(async |bus: Bus| {
        bus.client.object_server().at("/", double).await.unwrap();
        bus.client.request_name("de.pengutronix.rauc").await.unwrap();
        let (supply, handle) = BusHandle::channel();
        supply.send_replace(Some(bus.client.clone()));
        test(RaucBackend::new(handle).streaming(Arc::new(Origins))).await;
    });
}

/// OBJ-95: files of the origin, and nothing that RAUC would write to its log.
#[test]
fn rauc_is_told_of_the_files_of_the_origin() {
    let double = Double::default();
    with_rauc(double.clone(), async |backend| {
        let package = Package::Remote(URI.into());
        let info = backend.inspect(&package).await.unwrap();
        assert_eq!((info.name.as_str(), info.version.as_str()), ("lab-board", "2.0.0"));
        let failure = backend.install(&package, &ProgressSink::nowhere()).await.unwrap_err();
        assert!(!failure.cause.contains("s3cret"), "{failure:?}");
        let keys = ["tls-ca", "tls-cert", "tls-key"].map(str::to_owned).to_vec();
        let call = (URI.to_owned(), keys);
        assert_eq!(*double.calls.lock().unwrap(), [call.clone(), call]);
        // A file has no origin.
        backend.inspect(&Package::Stored("/p".into())).await.unwrap();
        assert_eq!(double.calls.lock().unwrap().last(), Some(&("/p".to_owned(), Vec::new())));
    });
}

/// What RAUC says of a bundle that it reads itself; the query of the URI is not shown.
#[test]
fn what_rauc_says_of_an_origin_has_its_result() {
    let streams = |what: &str| format!("Failed to stream bundle {URI}: {what}");
    let double = Double::default();
    with_rauc(double.clone(), async |backend| {
        for (sentence, reason) in [
            (streams("failed to configure streaming: Couldn't connect to server"), Reason::Lost),
            (streams("not found: HTTP response code said error"), Reason::InvalidUri),
            (streams("unauthorized: HTTP response code said error"), Reason::InvalidUri),
            ("Invalid bundle format: failed to read data from remote server".into(), Reason::Lost),
            ("Bundle format 'plain' not supported in streaming mode".into(), Reason::Unsupported),
            (
                "Remote bundle access not supported, recompile with -Dstreaming=true".into(),
                Reason::NotStreamed,
            ),
            (
                "signature verification failed: Verify error: unable to get local issuer".into(),
                Reason::Integrity,
            ),
        ] {
            *double.refusal.lock().unwrap() = Some(sentence.clone());
            let failure = backend.inspect(&Package::Remote(URI.into())).await.unwrap_err();
            assert_eq!(failure.reason, reason, "{sentence}");
            assert!(!failure.cause.contains("s3cret"), "{failure:?}");
        }
    });
}

/// It fetches the package then.
#[test]
fn a_rauc_that_cannot_be_told_of_the_origin_is_not_asked() {
    with_rauc(Old, async |backend| {
        let failure = backend.inspect(&Package::Remote(URI.into())).await.unwrap_err();
        assert_eq!(failure, Failure::new(Reason::NotStreamed, "RAUC is older than 1.9"));
        let failure = backend.inspect(&Package::Remote("https://u@h/".into())).await.unwrap_err();
        assert_eq!(failure.reason, Reason::InvalidUri);
    });
}
