//! What RAUC says of a bundle before it is installed.

use lwm2m_system_tests::Slots;
use rauc_dbus::{BundleAccess, Error};

use crate::support::with_device;

#[test]
fn sound_bundles_tell_their_version() {
    with_device("inspect sound bundles", Slots::Files, async |device| {
        let access = BundleAccess::default();
        let is_new = device.rauc.capabilities().await.unwrap().has_method("InspectBundle");
        for (bundle, compatible, version) in [
            ("good-plain", "lab-board", "2.0.0"),
            ("good-verity", "lab-board", "2.0.0"),
            ("next-plain", "lab-board", "3.0.0"),
            ("incompatible-plain", "other-board", "2.0.0"),
            ("incompatible-verity", "other-board", "2.0.0"),
            // The manifest alone is signed; the blocks are checked when they are read.
            ("tampered-verity", "lab-board", "2.0.0"),
        ] {
            let info = device.rauc.inspect(&device.lab.bundle(bundle), &access).await.unwrap();
            assert_eq!(info.compatible, compatible, "{bundle}");
            assert_eq!(info.version.as_deref(), Some(version), "{bundle}");
            if is_new {
                let format = bundle.rsplit('-').next();
                assert_eq!(info.format.as_deref(), format, "{bundle}");
                assert_eq!(info.build, Some(format!("lab-{version}")), "{bundle}");
                assert_eq!(info.verity_size.is_some(), format == Some("verity"), "{bundle}");
                assert_eq!(info.images.len(), 1, "{bundle}");
                assert_eq!(info.images[0].slot_class.as_deref(), Some("rootfs"), "{bundle}");
                assert_eq!(info.images[0].size, Some(8 * 1024 * 1024), "{bundle}");
            }
        }
    });
}

#[test]
fn broken_bundles_are_refused() {
    with_device("inspect broken bundles", Slots::Files, async |device| {
        for bundle in [
            "badsig-plain",
            "badsig-verity",
            "truncated-plain",
            "truncated-verity",
            "tampered-plain",
            "garbage",
            "missing",
        ] {
            let path = device.lab.bundle(bundle);
            let result = device.rauc.inspect(&path, &BundleAccess::default()).await;
            assert!(matches!(result, Err(Error::Refused { .. })), "{bundle}: {result:?}");
        }
    });
}

#[test]
fn access_that_cannot_be_told_is_an_error() {
    with_device("inspect with access", Slots::Files, async |device| {
        if device.rauc.capabilities().await.unwrap().has_method("InspectBundle") {
            return;
        }
        let mut access = BundleAccess::default();
        access.tls_ca = Some("/etc/ssl/ca.pem".into());
        let result = device.rauc.inspect(&device.lab.bundle("good-plain"), &access).await;
        assert!(matches!(result, Err(Error::Unsupported { what: "tls-ca" })), "{result:?}");
    });
}
