//! The service dies; the client notices, and goes on with the one that returns.

use lwm2m_system_tests::Slots;
use rauc_dbus::{BootStatus, Error, InstallOptions, Operation, Outcome};

use crate::support::{Device, wait_step, with_device};

#[test]
fn a_service_killed_during_copying_is_noticed() {
    with_device("killed during copying", Slots::Files, async |device| {
        let mut installation = device.start("large-plain").await;
        wait_step(&mut installation, "Copying image to rootfs.1").await;
        device.lab.kill_service().unwrap();
        assert_eq!(installation.outcome().await, Some(Outcome::ServiceDied));
        assert_eq!(installation.next().await, None);
        // The boot loader still takes the running system; the other slot is unusable.
        let boot = device.lab.boot_state().unwrap();
        assert_eq!((boot.get("primary"), boot.get("B.state")), ("A", "bad"));

        device.lab.start_service().unwrap();
        knows_nothing(&device).await;
        assert_eq!(device.slot("rootfs.1").await.boot_status, Some(BootStatus::Bad));
        assert_eq!(device.install("good-plain").await, Outcome::Installed);
        assert_eq!(device.slot("rootfs.1").await.boot_status, Some(BootStatus::Good));
    });
}

#[test]
fn a_service_killed_before_copying_is_noticed() {
    with_device("killed before copying", Slots::Files, async |device| {
        let mut installation = device.start("held-plain").await;
        wait_step(&mut installation, "Checking manifest contents").await;
        device.lab.kill_service().unwrap();
        assert_eq!(installation.outcome().await, Some(Outcome::ServiceDied));

        device.lab.start_service().unwrap();
        knows_nothing(&device).await;
        // Nothing was written.
        assert_eq!(device.slot("rootfs.1").await.boot_status, Some(BootStatus::Good));
        device.lab.release().unwrap();
        assert_eq!(device.install("held-plain").await, Outcome::Installed);
    });
}

#[test]
fn without_a_service_every_call_says_so() {
    with_device("service gone and back", Slots::Files, async |device| {
        device.lab.kill_service().unwrap();
        // The bus may notice a moment later, in the middle of a call or before it.
        let compatible = device.rauc.compatible().await;
        assert!(matches!(compatible, Err(Error::ServiceGone { .. })), "{compatible:?}");
        let slots = device.rauc.slots().await;
        assert!(matches!(slots, Err(Error::ServiceGone { .. })), "{slots:?}");
        let good = device.lab.bundle("good-plain");
        let installation = device.rauc.install(&good, &InstallOptions::default()).await;
        assert!(matches!(installation, Err(Error::ServiceGone { .. })), "{installation:?}");

        device.lab.start_service().unwrap();
        assert_eq!(device.rauc.compatible().await.unwrap(), "lab-board");
        assert_eq!(device.install("good-plain").await, Outcome::Installed);
    });
}

/// A service that returns remembers no installation.
async fn knows_nothing(device: &Device) {
    assert_eq!(device.rauc.operation().await.unwrap(), Operation::Idle);
    assert_eq!(device.rauc.last_error().await.unwrap(), None);
    // Newer versions keep a note in the file of the slots.
    let status = device.slot("rootfs.1").await.install_status;
    assert!(matches!(status.as_deref(), None | Some("pending")), "{status:?}");
}
