//! What the services of the bus would let the agent do; nothing is done.

use std::collections::HashMap;
use std::time::Duration;

use lwm2m_bus::Finding;
use lwm2m_objects::{BusHandle, can_reboot, is_service_missing};
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
    let mut found = vec![reboot(bus).await, set_time(&connection).await];
    if uses_rauc {
        found.push(rauc(&connection).await);
    }
    found
}

async fn reboot(bus: &BusHandle) -> Finding {
    let Err(refusal) = can_reboot(bus).await else {
        return Finding::ok(AREA, "a server may restart the device");
    };
    let text = format!("a server cannot restart the device: {}", refusal.reason);
    let advice = if refusal.reason.contains("polkit") {
        "install lwm2md-power.rules in /usr/share/polkit-1/rules.d, and run lwm2md as the user \
         lwm2md"
    } else {
        "see whether systemd-logind runs: systemctl status systemd-logind"
    };
    Finding::warning(AREA, text, advice)
}

/// Asks polkit about ourselves, since timedated can only be asked to do it.
async fn set_time(connection: &Connection) -> Finding {
    let text = |why: &str| format!("a server cannot set the clock: {why}");
    let Some(name) = connection.unique_name() else {
        return Finding::warning(AREA, text("the agent has no name on the bus"), RESTART);
    };
    let subject: (&str, HashMap<&str, Variant<'_>>) =
        ("system-bus-name", HashMap::from([("name", Variant::from(name.as_str()))]));
    let details: HashMap<&str, &str> = HashMap::new();
    let (without_asking, no_cancellation) = (0_u32, "");
    let body = (subject, SET_TIME, details, without_asking, no_cancellation);
    let answer = call(connection, POLKIT, "CheckAuthorization", &body).await;
    let granted = answer.and_then(|reply| {
        let body = reply.body();
        let result: Result<(Authorization,), _> = body.deserialize();
        result.map(|((granted, ..),)| granted).map_err(|error| error.to_string())
    });
    match granted {
        Ok(true) => Finding::ok(AREA, "a server may set the clock"),
        Ok(false) => Finding::warning(
            AREA,
            text(&format!("the polkit action {SET_TIME} is needed")),
            "if servers shall set it, install lwm2md-clock.rules in /usr/share/polkit-1/rules.d, and run \
             lwm2md as the user lwm2md",
        ),
        Err(error) => Finding::warning(AREA, text(&error), "systemctl status polkit"),
    }
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
const SET_TIME: &str = "org.freedesktop.timedate1.set-time";
const RESTART: &str = "systemctl restart lwm2md";
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
