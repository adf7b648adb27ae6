//! Marking slots, read back through RAUC and from the boot loader itself.

use lwm2m_system_tests::Slots;
use rauc_dbus::{BootStatus, Error, Mark, Outcome, SlotState, Target};

use crate::support::with_device;

#[test]
fn marks_are_read_back() {
    with_device("marks", Slots::Files, async |device| {
        let slot = |name: &str| Target::Slot(name.into());
        for (mark, target, name, boot_name, state, status, primary) in [
            (Mark::Bad, Target::Other, "rootfs.1", "B", "bad", BootStatus::Bad, "rootfs.0"),
            (Mark::Good, Target::Other, "rootfs.1", "B", "good", BootStatus::Good, "rootfs.0"),
            (Mark::Active, Target::Other, "rootfs.1", "B", "good", BootStatus::Good, "rootfs.1"),
            (Mark::Bad, Target::Booted, "rootfs.0", "A", "bad", BootStatus::Bad, "rootfs.1"),
            (Mark::Good, Target::Booted, "rootfs.0", "A", "good", BootStatus::Good, "rootfs.1"),
            (Mark::Active, slot("rootfs.0"), "rootfs.0", "A", "good", BootStatus::Good, "rootfs.0"),
        ] {
            let marked = device.rauc.mark(mark, &target).await.unwrap();
            assert_eq!(marked.slot, name, "{mark:?} {target:?}");
            assert!(marked.message.contains(name), "{}", marked.message);
            assert_eq!(device.slot(name).await.boot_status, Some(status), "{mark:?} {target:?}");
            assert_eq!(device.rauc.primary().await.unwrap(), primary, "{mark:?} {target:?}");
            let boot = device.lab.boot_state().unwrap();
            assert_eq!(boot.get(&format!("{boot_name}.state")), state, "{mark:?} {target:?}");
        }
    });
}

#[test]
fn a_slot_that_does_not_exist_cannot_be_marked() {
    with_device("mark nothing", Slots::Files, async |device| {
        for name in ["rootfs.7", "nonsense", ""] {
            let target = Target::Slot(name.into());
            let result = device.rauc.mark(Mark::Good, &target).await;
            assert!(matches!(result, Err(Error::Refused { .. })), "{name}: {result:?}");
        }
    });
}

#[test]
fn a_system_that_is_never_confirmed_rolls_back() {
    with_device("roll back", Slots::Files, async |device| {
        assert_eq!(device.install("good-plain").await, Outcome::Installed);
        assert_eq!(device.lab.crash_boot().unwrap(), "A");
        assert_eq!(device.slot("rootfs.0").await.state, Some(SlotState::Booted));
        // What was written is still there to be read.
        assert_eq!(device.slot("rootfs.1").await.bundle.version.as_deref(), Some("2.0.0"));
    });
}

#[test]
fn a_confirmed_system_stays() {
    with_device("confirm", Slots::Files, async |device| {
        assert_eq!(device.install("good-plain").await, Outcome::Installed);
        assert_eq!(device.lab.reboot().unwrap(), "B");
        assert_eq!(device.lab.boot_state().unwrap().get("B.tries"), "2");
        assert_eq!(device.rauc.mark(Mark::Good, &Target::Booted).await.unwrap().slot, "rootfs.1");
        assert_eq!(device.lab.boot_state().unwrap().get("B.tries"), "3");
        assert_eq!(device.lab.reboot().unwrap(), "B");
    });
}
