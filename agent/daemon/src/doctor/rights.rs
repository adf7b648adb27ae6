//! What the services of the bus would let the agent do; nothing is done.

use std::collections::HashMap;
use std::time::Duration;

use lwm2m_bus::Finding;
use lwm2m_objects::{BusHandle, can_reboot, is_service_missing, rules_of};
use tokio::time::timeout;
use zbus::message::Message;
use zbus::{Connection, OwnedVariant, Variant};

/// One line for each service that the agent uses.
pub(crate) async fn findings(bus: &BusHandle, uses_rauc: bool) -> Vec<Finding> {
    let Some(connection) = bus.connection() else {
        return vec![Finding::failed(
            AREA,
            "the agent has no connection",
            "look at the journal of lwm2md for the reason",
        )];
    };
    let mut found = vec![reboot(bus, &connection).await];
    for right in &RIGHTS {
        let is_there = match right.of_service {
            Some(name) => has_owner(&connection, name).await,
            None => true,
        };
        if is_there {
            found.push(right.finding(&connection).await);
        }
    }
    if uses_rauc {
        found.push(rauc(&connection).await);
    }
    found
}

async fn reboot(bus: &BusHandle, connection: &Connection) -> Finding {
    let Err(refusal) = can_reboot(bus).await else {
        return Finding::ok(AREA, "a server may restart the device");
    };
    // Where logind has nobody to ask, its refusal reads like that of a rule that is missing.
    if has_owner(connection, LOGIND).await
        && let Err(why) = is_granted(connection, REBOOT).await
    {
        let text = format!("a server cannot restart the device: {why}");
        return Finding::warning(AREA, text, NO_POLKIT);
    }
    let text = format!("a server cannot restart the device: {}", refusal.reason);
    let advice = if refusal.reason.contains("polkit") {
        "install lwm2md-power.rules in /usr/share/polkit-1/rules.d, and run lwm2md as the user \
         lwm2md"
    } else {
        "see whether systemd-logind runs: systemctl status systemd-logind"
    };
    Finding::warning(AREA, text, advice)
}

/// What a server may have done by a service that asks polkit.
struct Right {
    /// Nothing is said while this service is not on the bus.
    of_service: Option<&'static str>,
    what: &'static str,
    actions: &'static [&'static str],
}

impl Right {
    /// Asks polkit about ourselves, since the services can only be asked to do it.
    async fn finding(&self, connection: &Connection) -> Finding {
        let what = self.what;
        let text = |why: &str| format!("a server cannot {what}: {why}");
        for action in self.actions {
            match is_granted(connection, action).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = text(&format!("the polkit action {action} is needed"));
                    let rules = rules_of(action).unwrap_or("rules");
                    let advice = format!(
                        "if servers shall {what}, install {rules} in /usr/share/polkit-1/rules.d, \
                         and run lwm2md as the user lwm2md"
                    );
                    return Finding::warning(AREA, why, advice);
                }
                Err(error) => {
                    return Finding::warning(AREA, text(&error), NO_POLKIT);
                }
            }
        }
        Finding::ok(AREA, format!("a server may {what}"))
    }
}

async fn is_granted(connection: &Connection, action: &str) -> Result<bool, String> {
    let name = connection.unique_name().ok_or("the agent has no name on the bus")?;
    let subject: (&str, HashMap<&str, Variant<'_>>) =
        ("system-bus-name", HashMap::from([("name", Variant::from(name.as_str()))]));
    let details: HashMap<&str, &str> = HashMap::new();
    let (without_asking, no_cancellation) = (0_u32, "");
    let body = (subject, action, details, without_asking, no_cancellation);
    let reply = call(connection, POLKIT, "CheckAuthorization", &body).await?;
    let result: Result<(Authorization,), _> = reply.body().deserialize();
    result.map(|((granted, ..),)| granted).map_err(|error| error.to_string())
}

async fn has_owner(connection: &Connection, name: &str) -> bool {
    let reply = call(connection, BUS, "NameHasOwner", &name).await;
    reply.is_ok_and(|reply| reply.body().deserialize::<bool>().unwrap_or(false))
}

async fn rauc(connection: &Connection) -> Finding {
    let property = ("de.pengutronix.rauc.Installer", "Operation");
    let reply = call(connection, RAUC, "Get", &property).await;
    let word = reply.and_then(|reply| {
        let value: Result<OwnedVariant, _> = reply.body().deserialize();
        value.map(drop).map_err(|error| error.to_string())
    });
    match word {
        Ok(()) => Finding::ok(AREA, "RAUC answers"),
        Err(error) => Finding::failed(
            AREA,
            format!("RAUC cannot be asked, so no update can be installed: {error}"),
            "systemctl status rauc; its D-Bus policy (de.pengutronix.rauc.conf) must be installed",
        ),
    }
}

/// What polkit answers: granted, to be asked for, details.
type Authorization = (bool, bool, HashMap<String, String>);

/// An object of a service and one of its interfaces.
struct Target {
    service: &'static str,
    path: &'static str,
    interface: &'static str,
}

/// One call, or in one line why it came to nothing.
async fn call<B>(
    connection: &Connection,
    target: Target,
    member: &str,
    body: &B,
) -> Result<Message, String>
where
    B: serde::Serialize + zbus::DynamicType,
{
    let Target { service, path, interface } = target;
    let reply = connection.call_method(Some(service), path, Some(interface), member, body);
    match timeout(ANSWER_LIMIT, reply).await {
        Err(_) => Err(format!("{service} does not answer")),
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) if is_service_missing(&error) => Err(format!("{service} is not on the bus")),
        Ok(Err(zbus::Error::MethodError(name, Some(reason), _))) => {
            Err(format!("{service} answers {name}: {reason}"))
        }
        Ok(Err(error)) => Err(format!("{service}: {error}")),
    }
}

const AREA: &str = "D-Bus rights";
const LOGIND: &str = "org.freedesktop.login1";
const REBOOT: &str = "org.freedesktop.login1.reboot";
const NO_POLKIT: &str = "install polkitd, or see why it does not run: systemctl status polkit";
const RIGHTS: [Right; 3] = [
    Right {
        of_service: None,
        what: "set the clock",
        actions: &["org.freedesktop.timedate1.set-time", "org.freedesktop.timedate1.set-timezone"],
    },
    Right {
        of_service: Some("org.freedesktop.ModemManager1"),
        what: "see all of a modem and switch it",
        actions: &[
            "org.freedesktop.ModemManager1.Location",
            "org.freedesktop.ModemManager1.Device.Control",
        ],
    },
    Right {
        of_service: Some("org.freedesktop.NetworkManager"),
        what: "change WLANs and mobile connections",
        actions: &[
            "org.freedesktop.NetworkManager.enable-disable-wifi",
            "org.freedesktop.NetworkManager.network-control",
            "org.freedesktop.NetworkManager.settings.modify.system",
            "org.freedesktop.NetworkManager.checkpoint-rollback",
        ],
    },
];
const BUS: Target = Target {
    service: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
const POLKIT: Target = Target {
    service: "org.freedesktop.PolicyKit1",
    path: "/org/freedesktop/PolicyKit1/Authority",
    interface: "org.freedesktop.PolicyKit1.Authority",
};
const RAUC: Target = Target {
    service: "de.pengutronix.rauc",
    path: "/",
    interface: "org.freedesktop.DBus.Properties",
};
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
