//! Properties of services on D-Bus, read without starting the service.

use std::collections::HashMap;

use tokio::time::timeout;
use zbus::match_rule::MatchRule;
use zbus::message::Type;
use zbus::{Connection, MessageStream, OwnedVariant};

use crate::bus::ASK_TIME_LIMIT;

/// The properties of an interface, by name.
pub(crate) type Properties = HashMap<String, OwnedVariant>;

/// A property of these, if it is there and of the right type.
pub(crate) fn value<T: TryFrom<OwnedVariant>>(properties: &Properties, name: &str) -> Option<T> {
    T::try_from(properties.get(name)?.clone()).ok()
}

/// All properties of an interface now.
pub(crate) async fn all(
    bus: &Connection,
    name: &str,
    path: &str,
    interface: &str,
) -> zbus::Result<Properties> {
    let reply = bus.call_method(Some(name), path, Some(PROPERTIES), "GetAll", &interface).await?;
    reply.body().deserialize()
}

/// The value of a property now.
pub(crate) async fn get<T>(
    bus: &Connection,
    name: &str,
    path: &str,
    interface: &str,
    property: &str,
) -> zbus::Result<T>
where
    T: TryFrom<OwnedVariant>,
    T::Error: Into<zbus::Error>,
{
    let reply =
        bus.call_method(Some(name), path, Some(PROPERTIES), "Get", &(interface, property)).await?;
    let value: OwnedVariant = reply.body().deserialize()?;
    T::try_from(value).map_err(Into::into)
}

/// A property that is a text which says something.
pub(crate) fn text(properties: &Properties, name: &str) -> Option<String> {
    let text: String = value(properties, name)?;
    super::text::clean(text.as_bytes())
}

/// The signals that say a property of the object has changed.
pub(crate) async fn changes(
    bus: &Connection,
    name: &str,
    path: &str,
) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(name)
        .path(path)
        .interface(PROPERTIES)
        .member("PropertiesChanged")
        .build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// The signals that say the service has come or gone.
pub(crate) async fn owner_changes(bus: &Connection, name: &str) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(BUS)
        .interface(BUS)
        .member("NameOwnerChanged")
        .arg(0, name)
        .build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}

/// True if the service runs.
pub(crate) async fn has_owner(bus: &Connection, name: &str) -> zbus::Result<bool> {
    let reply = bus
        .call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "NameHasOwner", &name)
        .await?;
    reply.body().deserialize()
}

/// What a service answers that is asked in passing; `None` if it does not run, fails or
/// takes longer than [`ASK_TIME_LIMIT`]. It is never started for that.
pub(crate) async fn ask<T>(
    bus: &Connection,
    name: &str,
    question: impl Future<Output = zbus::Result<T>>,
) -> Option<T> {
    let asked = async {
        if !has_owner(bus, name).await? {
            return Ok(None);
        }
        question.await.map(Some)
    };
    let answer: zbus::Result<Option<T>> = timeout(ASK_TIME_LIMIT, asked).await.ok()?;
    answer.inspect_err(|error| tracing::debug!(%error, "{name} does not answer")).ok()?
}

const BUS: &str = "org.freedesktop.DBus";
/// The interface that all objects have for them.
pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
