//! Properties, slots and what the version can do.

use lwm2m_system_tests::Slots;
use rauc_dbus::{BootStatus, InstalledBundle, Operation, SlotState};

use crate::support::with_device;

#[test]
fn a_fresh_device_tells_what_it_is() {
    with_device("fresh device", Slots::Files, async |device| {
        let rauc = &device.rauc;
        assert_eq!(rauc.compatible().await.unwrap(), "lab-board");
        assert_eq!(rauc.variant().await.unwrap().as_deref(), Some("lab"));
        assert_eq!(rauc.boot_slot().await.unwrap().as_deref(), Some("A"));
        assert_eq!(rauc.operation().await.unwrap(), Operation::Idle);
        assert_eq!(rauc.last_error().await.unwrap(), None);
        assert_eq!(rauc.progress().await.unwrap().percent, 0);
        assert_eq!(rauc.primary().await.unwrap(), "rootfs.0");
        // The handler of the laboratory tells none, and RAUC 1.8 has no such property.
        assert_eq!(rauc.system_version().await.unwrap(), None);

        assert_eq!(rauc.slots().await.unwrap().len(), 2);
        for (name, state, boot_name) in
            [("rootfs.0", SlotState::Booted, "A"), ("rootfs.1", SlotState::Inactive, "B")]
        {
            let slot = device.slot(name).await;
            assert_eq!(slot.state, Some(state));
            assert_eq!(slot.boot_name.as_deref(), Some(boot_name));
            assert_eq!(slot.boot_status, Some(BootStatus::Good));
            assert_eq!(slot.class.as_deref(), Some("rootfs"));
            assert_eq!(slot.slot_type.as_deref(), Some("raw"));
            assert!(slot.device.unwrap().ends_with(".img"));
            assert_eq!(slot.bundle, InstalledBundle::default());
            assert_eq!((slot.size, slot.installed_count), (None, None));
        }
    });
}

#[test]
fn introspection_tells_the_members() {
    with_device("capabilities", Slots::Files, async |device| {
        let capabilities = device.rauc.capabilities().await.unwrap();
        for method in ["InstallBundle", "Mark", "GetSlotStatus", "GetPrimary", "Info"] {
            assert!(capabilities.has_method(method), "{method}");
        }
        assert!(capabilities.has_property("LastError"));
        assert!(!capabilities.has_method("Completed"));
    });
}
