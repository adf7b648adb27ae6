//! Members that RAUC 1.8 lacks, keys, and answers of the wrong shape.

use std::collections::HashMap;

use rauc_dbus::{BundleAccess, Error, InstallOptions, Mark, SlotState, Target};
use zbus::{OwnedVariant, Variant};

use crate::bus::on_bus;
use crate::service::{Double, IntoOwnedVariant, Odd};

#[test]
fn a_manifest_with_nested_variants_is_read() {
    on_bus(async |bus| {
        let nested = |value: Variant<'static>| Variant::Variant(Box::new(value));
        let update = HashMap::from([
            ("compatible", Variant::from("lab-board")),
            ("version", nested("2.0.0".into())),
            ("description", "".into()),
        ]);
        let image = HashMap::from([
            ("slot-class", Variant::from("rootfs")),
            ("filename", "rootfs.img".into()),
            ("size", 8_388_608_u64.into()),
            ("hooks", vec!["pre-install", "post-install"].into()),
        ]);
        let bundle = HashMap::from([
            ("format", Variant::from("verity")),
            ("verity-size", 69_632_u64.into()),
        ]);
        let manifest = HashMap::from([
            ("manifest-hash".to_owned(), "c0ffee".into_owned_variant()),
            ("update".to_owned(), nested(update.into()).into_owned_variant()),
            ("bundle".to_owned(), bundle.into_owned_variant()),
            ("images".to_owned(), nested(vec![nested(image.into())].into()).into_owned_variant()),
        ]);
        let double = Double { manifest, ..Double::default() };
        let calls = double.calls.clone();
        let _service = bus.serve(double).await;

        let mut access = BundleAccess::default();
        access.tls_ca = Some("/etc/ca.pem".into());
        access.tls_no_verify = true;
        access.http_headers = vec!["Authorization: Bearer x".into()];
        let info = bus.rauc().inspect("https://host/a.raucb", &access).await.unwrap();
        assert_eq!(info.compatible, "lab-board");
        assert_eq!(info.version.as_deref(), Some("2.0.0"));
        assert_eq!(info.description, None);
        assert_eq!(info.manifest_hash.as_deref(), Some("c0ffee"));
        assert_eq!(info.format.as_deref(), Some("verity"));
        assert_eq!(info.verity_size, Some(69_632));
        assert_eq!(info.images.len(), 1);
        assert_eq!(info.images[0].slot_class.as_deref(), Some("rootfs"));
        assert_eq!(info.images[0].size, Some(8_388_608));
        assert_eq!(info.images[0].hooks, ["pre-install", "post-install"]);

        let (source, keys) = calls.lock().unwrap().pop().unwrap();
        assert_eq!(source, "https://host/a.raucb");
        let expected = HashMap::from([
            ("tls-ca".to_owned(), "/etc/ca.pem".into_owned_variant()),
            ("tls-no-verify".to_owned(), true.into_owned_variant()),
            ("http-headers".to_owned(), vec!["Authorization: Bearer x"].into_owned_variant()),
        ]);
        assert_eq!(keys, expected);
        assert!(!format!("{access:?}").contains("Bearer"));
    });
}

#[test]
fn a_newer_service_tells_the_system_version() {
    on_bus(async |bus| {
        let _service = bus.serve(Double::default()).await;
        assert_eq!(bus.rauc().system_version().await.unwrap().as_deref(), Some("7.4"));
        assert!(bus.rauc().capabilities().await.unwrap().has_method("InspectBundle"));
    });
}

#[test]
fn every_option_is_sent_to_a_newer_service() {
    on_bus(async |bus| {
        let double = Double::default();
        let calls = double.calls.clone();
        let _service = bus.serve(double).await;
        let mut options = InstallOptions::default();
        let installation = bus.rauc().install("a", &options).await.unwrap();
        assert!(installation.left_out().is_empty());
        options.ignore_compatible = true;
        options.ignore_version_limit = true;
        options.transaction_id = Some("id".into());
        options.require_manifest_hash = Some("hash".into());
        options.access.tls_cert = Some("cert".into());
        options.access.tls_key = Some("pkcs11:token=t?pin-value=1234".into());
        let installation = bus.rauc().install("b", &options).await.unwrap();
        assert!(installation.left_out().is_empty());
        assert!(!format!("{options:?}").contains("1234"));

        let expected: HashMap<String, OwnedVariant> = [
            ("ignore-compatible", Variant::from(true)),
            ("ignore-version-limit", true.into()),
            ("transaction-id", "id".into()),
            ("require-manifest-hash", "hash".into()),
            ("tls-cert", "cert".into()),
            ("tls-key", "pkcs11:token=t?pin-value=1234".into()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into_owned_variant()))
        .collect();
        let calls = calls.lock().unwrap().clone();
        assert_eq!(calls, [("a".to_owned(), HashMap::new()), ("b".to_owned(), expected)]);
    });
}

/// The keys came one after the other with versions that all have InspectBundle.
#[test]
fn a_key_that_is_refused_is_left_out_if_it_may_be() {
    on_bus(async |bus| {
        let double = Double { unknown_key: Some("transaction-id"), ..Double::default() };
        let calls = double.calls.clone();
        let _service = bus.serve(double).await;
        let mut options = InstallOptions::default();
        options.transaction_id = Some("id".into());
        options.require_manifest_hash = Some("hash".into());
        let installation = bus.rauc().install("a", &options).await.unwrap();
        assert_eq!(installation.left_out(), ["transaction-id"]);
        let keys: Vec<usize> = calls.lock().unwrap().iter().map(|(_, keys)| keys.len()).collect();
        assert_eq!(keys, [2, 1]);
    });
}

#[test]
fn a_refused_key_that_makes_a_check_stricter_is_an_error() {
    on_bus(async |bus| {
        let double = Double { unknown_key: Some("require-manifest-hash"), ..Double::default() };
        let calls = double.calls.clone();
        let _service = bus.serve(double).await;
        let mut options = InstallOptions::default();
        options.require_manifest_hash = Some("hash".into());
        let result = bus.rauc().install("a", &options).await;
        let what = "require-manifest-hash";
        assert!(matches!(&result, Err(Error::Unsupported { what: w }) if *w == what), "{result:?}");
        assert_eq!(calls.lock().unwrap().len(), 1);
    });
}

#[test]
fn facts_of_a_slot_with_a_wrong_type_are_absent() {
    on_bus(async |bus| {
        let slot = HashMap::from([
            ("state".to_owned(), "sleeping".into_owned_variant()),
            ("boot-status".to_owned(), 1_u32.into_owned_variant()),
            ("size".to_owned(), "big".into_owned_variant()),
            ("installed.count".to_owned(), 3_i64.into_owned_variant()),
            ("bundle.version".to_owned(), "".into_owned_variant()),
            ("bundle.hash".to_owned(), "c0ffee".into_owned_variant()),
        ]);
        let _service = bus.serve(Double { slot, ..Double::default() }).await;
        let slots = bus.rauc().slots().await.unwrap();
        let (name, slot) = &slots[0];
        assert_eq!(name, "rootfs.0");
        assert_eq!(slot.state, Some(SlotState::Other("sleeping".into())));
        assert_eq!((slot.boot_status.clone(), slot.size), (None, None));
        assert_eq!(slot.installed_count, Some(3));
        assert_eq!(slot.bundle.version, None);
        assert_eq!(slot.bundle.hash.as_deref(), Some("c0ffee"));
    });
}

#[test]
fn answers_of_another_shape_are_errors_that_name_the_member() {
    on_bus(async |bus| {
        let service = bus.connect().await;
        service.object_server().at("/", Odd).await.unwrap();
        service.request_name("de.pengutronix.rauc").await.unwrap();
        let rauc = bus.rauc();
        let access = BundleAccess::default();
        let answers = [
            ("Compatible", rauc.compatible().await.map(drop)),
            ("Progress", rauc.progress().await.map(drop)),
            ("GetSlotStatus", rauc.slots().await.map(drop)),
            ("GetPrimary", rauc.primary().await.map(drop)),
            ("Mark", rauc.mark(Mark::Good, &Target::Booted).await.map(drop)),
            ("InspectBundle", rauc.inspect("a", &access).await.map(drop)),
        ];
        for (name, answer) in answers {
            let Err(Error::Unexpected { member, .. }) = answer else {
                panic!("{name}: {answer:?}");
            };
            assert_eq!(member, name);
        }
        let missing = rauc.install("a", &InstallOptions::default()).await;
        assert!(
            matches!(missing, Err(Error::Unsupported { what: "InstallBundle" })),
            "{missing:?}"
        );
        let variant = rauc.variant().await;
        assert!(matches!(variant, Err(Error::Unsupported { what: "Variant" })), "{variant:?}");
    });
}

#[test]
fn without_a_service_every_call_says_so() {
    on_bus(async |bus| {
        let compatible = bus.rauc().compatible().await;
        assert!(matches!(compatible, Err(Error::ServiceGone { .. })), "{compatible:?}");
        let installation = bus.rauc().install("a", &InstallOptions::default()).await;
        assert!(matches!(installation, Err(Error::ServiceGone { .. })), "{installation:?}");
    });
}
