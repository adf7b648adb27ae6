//! Reboot through logind (org.freedesktop.login1(5)).

use zbus::Connection;

/// What logind says about a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CanReboot {
    /// This user may do it, now.
    Yes,
    /// Only after a password was given, which nobody is there to give.
    Challenge,
    /// Not this user.
    No,
    /// The machine cannot do it.
    NotAvailable,
}

/// Asks whether this user may reboot.
pub(crate) async fn can_reboot(bus: &Connection) -> zbus::Result<CanReboot> {
    let reply = bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CanReboot", &()).await?;
    let answer: String = reply.body().deserialize()?;
    Ok(match answer.as_str() {
        "yes" => CanReboot::Yes,
        "challenge" => CanReboot::Challenge,
        "na" => CanReboot::NotAvailable,
        // Words of later versions, such as inhibitor-blocked, say no too.
        _ => CanReboot::No,
    })
}

/// Reboots, without asking anybody for a password.
pub(crate) async fn reboot(bus: &Connection) -> zbus::Result<()> {
    let interactive = false;
    bus.call_method(Some(NAME), PATH, Some(INTERFACE), "Reboot", &interactive).await.map(drop)
}

/// The well-known name.
pub(crate) const NAME: &str = "org.freedesktop.login1";
/// The polkit actions of a reboot: the plain one, and those for sessions of other
/// users and for programs that ask to wait.
pub(crate) const ACTIONS: &str = "org.freedesktop.login1.reboot (with other sessions also \
    .reboot-multiple-sessions, with inhibitors .reboot-ignore-inhibit)";
const PATH: &str = "/org/freedesktop/login1";
const INTERFACE: &str = "org.freedesktop.login1.Manager";
