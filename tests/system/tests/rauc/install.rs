//! Installations that end by themselves.

use std::time::Duration;

use lwm2m_system_tests::Slots;
use rauc_dbus::{
    BundleAccess, Error, Event, InstallOptions, Mark, Operation, Outcome, SlotState, Target,
};
use tokio::time::timeout;

use crate::support::{follow, wait_step, with_device};

#[test]
fn a_good_bundle_is_installed_and_boots() {
    with_device("install good", Slots::Files, async |device| {
        let mut installation = device.start("good-plain").await;
        let (steps, outcome) = follow(&mut installation).await;
        assert_eq!(outcome, Outcome::Installed);
        assert_eq!(installation.next().await, None);
        assert_eq!(installation.outcome().await, None);
        assert!(installation.left_out().is_empty());
        let last = steps.last().unwrap();
        assert_eq!((last.percent, last.depth), (100, 1), "{steps:?}");
        assert!(steps.iter().any(|step| step.message == "Copying image to rootfs.1"), "{steps:?}");
        assert!(steps.is_sorted_by_key(|step| step.percent), "{steps:?}");

        assert_eq!(device.lab.image("b").unwrap(), "LAB-IMAGE version=2.0.0");
        assert_eq!(device.rauc.primary().await.unwrap(), "rootfs.1");
        let slot = device.slot("rootfs.1").await;
        assert_eq!(slot.bundle.version.as_deref(), Some("2.0.0"));
        assert_eq!(slot.bundle.compatible.as_deref(), Some("lab-board"));
        assert_eq!(slot.install_status.as_deref(), Some("ok"));
        assert_eq!(slot.size, Some(8 * 1024 * 1024));
        assert_eq!(slot.sha256.map(|hash| hash.len()), Some(64));
        assert_eq!((slot.installed_count, slot.activated_count), (Some(1), Some(1)));
        assert_eq!(slot.state, Some(SlotState::Inactive));

        // The service that comes up in the other slot needs no new client.
        assert_eq!(device.lab.reboot().unwrap(), "B");
        assert_eq!(device.rauc.boot_slot().await.unwrap().as_deref(), Some("B"));
        assert_eq!(device.slot("rootfs.1").await.state, Some(SlotState::Booted));
        assert_eq!(device.slot("rootfs.0").await.state, Some(SlotState::Inactive));
    });
}

#[test]
fn bad_bundles_fail_with_a_reason() {
    with_device("install bad bundles", Slots::Files, async |device| {
        let verity = device.lab.has_verity();
        let mounting = "Failed mounting bundle";
        for (bundle, reason) in [
            ("badsig-plain", "signature verification failed"),
            ("badsig-verity", "signature verification failed"),
            ("tampered-plain", "signature verification failed"),
            ("truncated-plain", "Invalid bundle format"),
            ("truncated-verity", "Invalid bundle format"),
            ("garbage", "Invalid bundle format"),
            ("missing", "No such file"),
            ("incompatible-plain", "Compatible mismatch"),
            ("rejected-plain", "this device is not ready for the update"),
            ("tampered-verity", if verity { "" } else { mounting }),
        ] {
            let Outcome::Failed { last_error: Some(sentence) } = device.install(bundle).await
            else {
                panic!("{bundle} did not fail with a reason");
            };
            assert!(sentence.contains(reason), "{bundle}: {sentence}");
            assert_eq!(device.rauc.last_error().await.unwrap(), Some(sentence), "{bundle}");
        }
        assert_eq!(device.rauc.primary().await.unwrap(), "rootfs.0");
        assert_eq!(device.install("good-plain").await, Outcome::Installed);
        assert_eq!(device.rauc.last_error().await.unwrap(), None);
        if verity {
            assert_eq!(device.install("good-verity").await, Outcome::Installed);
        }
    });
}

/// A sentence that is the same as before may come without a signal.
#[test]
fn the_same_failure_twice_has_its_reason_twice() {
    with_device("fail twice", Slots::Files, async |device| {
        let first = device.install("garbage").await;
        assert!(matches!(&first, Outcome::Failed { last_error: Some(_) }), "{first:?}");
        for _ in 0..10 {
            assert_eq!(device.install("garbage").await, first);
        }
    });
}

#[test]
fn an_image_larger_than_the_slot_fails() {
    with_device("install too big", Slots::LoopDevices, async |device| {
        let Outcome::Failed { last_error: Some(sentence) } = device.install("toobig-plain").await
        else {
            panic!("it did not fail with a reason");
        };
        // Newer versions look before they write.
        let reasons = ["No space left on device", "too small for image"];
        assert!(reasons.iter().any(|reason| sentence.contains(reason)), "{sentence}");
        assert_eq!(device.rauc.primary().await.unwrap(), "rootfs.0");
        assert_eq!(device.slot("rootfs.0").await.state, Some(SlotState::Booted));
    });
}

#[test]
fn a_busy_service_refuses_and_the_first_installation_goes_on() {
    with_device("busy", Slots::Files, async |device| {
        let mut first = device.start("held-plain").await;
        wait_step(&mut first, "Checking manifest contents").await;
        assert_eq!(device.rauc.operation().await.unwrap(), Operation::Installing);

        let good = device.lab.bundle("good-plain");
        let second = device.rauc.install(&good, &InstallOptions::default()).await;
        assert!(matches!(second, Err(Error::Busy { member: "InstallBundle" })), "{second:?}");
        // Why the property is a hint only.
        assert_eq!(device.rauc.operation().await.unwrap(), Operation::Idle);
        let slots = device.rauc.slots().await;
        assert!(matches!(slots, Err(Error::Busy { .. })), "{slots:?}");
        let primary = device.rauc.primary().await;
        assert!(matches!(primary, Err(Error::Busy { .. })), "{primary:?}");
        let marked = device.rauc.mark(Mark::Good, &Target::Booted).await;
        assert!(matches!(marked, Err(Error::Busy { .. })), "{marked:?}");
        let inspected = device.rauc.inspect(&good, &BundleAccess::default()).await;
        let fits = match inspected {
            // `Info` of RAUC 1.8 has one sentence for everything.
            Err(Error::Refused { member: "Info", .. }) => true,
            Err(Error::Busy { member }) => member == "InspectBundle",
            _ => false,
        };
        assert!(fits, "{inspected:?}");

        device.lab.release().unwrap();
        assert_eq!(first.outcome().await, Some(Outcome::Installed));
        assert_eq!(device.install("next-plain").await, Outcome::Installed);
        assert_eq!(device.slot("rootfs.1").await.bundle.version.as_deref(), Some("3.0.0"));
    });
}

#[test]
fn keys_that_the_service_does_not_know_are_not_sent() {
    with_device("options", Slots::Files, async |device| {
        let is_new = device.rauc.capabilities().await.unwrap().has_method("InspectBundle");
        let good = device.lab.bundle("good-plain");
        let mut options = InstallOptions::default();
        options.ignore_version_limit = true;
        options.transaction_id = Some("6f9a2f0e-3f43-4a53-9b54-60a1f05b5d7a".into());
        let mut installation = device.rauc.install(&good, &options).await.unwrap();
        if !is_new {
            assert_eq!(installation.left_out(), ["ignore-version-limit", "transaction-id"]);
        }
        assert_eq!(installation.outcome().await, Some(Outcome::Installed));

        options.require_manifest_hash = Some("00".repeat(32));
        match device.rauc.install(&good, &options).await {
            Err(Error::Unsupported { what }) => assert_eq!(what, "require-manifest-hash"),
            // It came after 1.13, and a plain bundle has no such hash.
            Ok(mut installation) if is_new => {
                let outcome = installation.outcome().await.unwrap();
                assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
            }
            other => panic!("{other:?}"),
        }
        // Nothing was written.
        assert_eq!(device.slot("rootfs.1").await.installed_count, Some(1));
    });
}

#[test]
fn ignore_compatible_is_sent() {
    with_device("ignore compatible", Slots::Files, async |device| {
        let mut options = InstallOptions::default();
        options.ignore_compatible = true;
        let bundle = device.lab.bundle("incompatible-plain");
        let mut installation = device.rauc.install(&bundle, &options).await.unwrap();
        assert_eq!(installation.outcome().await, Some(Outcome::Installed));
    });
}

#[test]
fn waiting_can_be_cancelled_at_any_time() {
    with_device("cancelled waiting", Slots::Files, async |device| {
        let mut installation = device.start("good-plain").await;
        let mut steps = Vec::new();
        let outcome = loop {
            match timeout(Duration::from_micros(50), installation.next()).await {
                Ok(Some(Event::Progress(step))) => steps.push(step.message),
                Ok(Some(Event::Finished(outcome))) => break outcome,
                Ok(None) => panic!("it ended without an outcome"),
                Err(_) => {}
            }
        };
        assert_eq!(outcome, Outcome::Installed);
        assert_eq!(steps.last().map(String::as_str), Some("Installing done."));
    });
}
