//! The members of `de.pengutronix.rauc.Installer` as functions; what an
//! installation tells afterwards is in [`Installation`].

use std::collections::HashMap;
use std::fmt;

use zbus::names::{BusName, OwnedUniqueName};
use zbus::{Connection, DynamicType, Message, OwnedVariant, Type};

use crate::bundle::BundleInfo;
use crate::capabilities::Capabilities;
use crate::error::{Error, Result};
use crate::installation::Installation;
use crate::options::{BundleAccess, InstallOptions};
use crate::slot::SlotStatus;
use crate::status::{Operation, Progress};
use crate::value::{Dictionary, sentence, text};

/// The service of RAUC on a bus, which is started by the first call if it can be.
///
/// Each call asks the service; nothing is remembered, so a service that restarts
/// needs no new `Installer`. A call waits as long as the time limit of the connection
/// allows, without one for ever. All but [`Installer::mark`] and
/// [`Installer::install`] are cancel safe.
#[derive(Debug, Clone)]
pub struct Installer {
    connection: Connection,
}

/// What to tell the boot loader of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It has proven that it works.
    Good,
    /// It must not be booted any more.
    Bad,
    /// It is the one to boot next.
    Active,
}

/// Which slot is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The one that the system was booted from.
    Booted,
    /// The other one, where there are two.
    Other,
    /// The one of this name, such as `rootfs.1`.
    Slot(String),
}

/// What [`Installer::mark`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Marked {
    /// The name of the slot, such as `rootfs.0`.
    pub slot: String,
    /// A sentence for the log.
    pub message: String,
}

impl Installer {
    /// RAUC on the bus of `connection`, which is the system bus on a device. Sends
    /// nothing.
    pub fn new(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// The property `Compatible`: the hardware whose bundles may be installed.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn compatible(&self) -> Result<String> {
        Ok(self.word("Compatible").await?.unwrap_or_default())
    }

    /// The property `Variant` of the hardware, if it has one.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn variant(&self) -> Result<Option<String>> {
        self.word("Variant").await
    }

    /// The property `BootSlot`: a boot name, the name of a slot or a device, as the
    /// boot loader has given it. The slot in state `booted` of [`Installer::slots`]
    /// says the same in one form.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn boot_slot(&self) -> Result<Option<String>> {
        self.word("BootSlot").await
    }

    /// The property `Operation`, which is only a hint.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn operation(&self) -> Result<Operation> {
        Ok(self.word("Operation").await?.unwrap_or_default().as_str().into())
    }

    /// The property `LastError`: why the last installation failed, in a sentence of at
    /// most 4 KiB. It is emptied when an installation starts, and by a restart.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn last_error(&self) -> Result<Option<String>> {
        Ok(self.word("LastError").await?.as_deref().map(sentence))
    }

    /// The property `Progress`.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn progress(&self) -> Result<Progress> {
        let value = self.property("Progress").await?;
        Progress::of(&value).ok_or_else(|| unexpected("Progress", "(isi)", value.value_signature()))
    }

    /// The property `SystemVersion`: the version of the running system, where RAUC is
    /// new enough and a `system-info` handler tells it.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn system_version(&self) -> Result<Option<String>> {
        match self.word("SystemVersion").await {
            Err(Error::Unsupported { .. }) => Ok(None),
            result => result,
        }
    }

    /// `GetSlotStatus`: every slot by name, in no order.
    ///
    /// # Errors
    /// As [`Error`] says; [`Error::Busy`] during an installation.
    pub async fn slots(&self) -> Result<Vec<(String, SlotStatus)>> {
        let reply = self.call("GetSlotStatus", &()).await?;
        let slots: Vec<(String, HashMap<String, OwnedVariant>)> =
            body("GetSlotStatus", "a(sa{sv})", &reply)?;
        let read = |(name, facts)| (name, Dictionary::from(facts).into());
        Ok(slots.into_iter().map(read).collect())
    }

    /// `GetPrimary`: the name of the slot that the boot loader takes next. After a
    /// boot this may be another than the booted one until that is marked good.
    ///
    /// # Errors
    /// As [`Error`] says; [`Error::Busy`] during an installation, [`Error::Refused`]
    /// if the boot loader would take none.
    pub async fn primary(&self) -> Result<String> {
        let reply = self.call("GetPrimary", &()).await?;
        body("GetPrimary", "s", &reply)
    }

    /// `Mark`. Read back with [`Installer::slots`] or [`Installer::primary`] what the
    /// boot loader has made of it.
    ///
    /// Not cancel safe: dropped half-way, it may have happened or not.
    ///
    /// # Errors
    /// As [`Error`] says; [`Error::Busy`] during an installation.
    pub async fn mark(&self, mark: Mark, target: &Target) -> Result<Marked> {
        let reply = self.call("Mark", &(mark.word(), target.word())).await?;
        let (slot, message): (String, String) = body("Mark", "ss", &reply)?;
        Ok(Marked { slot, message: sentence(&message) })
    }

    /// Which members this version of RAUC has, by introspection.
    ///
    /// # Errors
    /// As [`Error`] says.
    pub async fn capabilities(&self) -> Result<Capabilities> {
        Ok(self.introspect().await?.0)
    }

    /// Checks the signature of a bundle, a path or where RAUC can load it a URL, and
    /// tells what is in it: by `InspectBundle`, before RAUC 1.9 by `Info`.
    ///
    /// Takes milliseconds for a `verity` bundle, of which it checks the manifest
    /// alone: damaged blocks fail the installation later. Reads all of a `plain` one.
    ///
    /// # Errors
    /// As [`Error`] says: [`Error::Refused`] for a bundle that is not as it should
    /// be, and by `Info` also if RAUC is busy; [`Error::Unsupported`] if `access` says
    /// something that `Info` cannot be told.
    pub async fn inspect(&self, bundle: &str, access: &BundleAccess) -> Result<BundleInfo> {
        let arguments = access.arguments();
        let capabilities = self.capabilities().await?;
        if !capabilities.has_method("InspectBundle") {
            if let Some(key) = arguments.into_keys().next() {
                return Err(Error::Unsupported { what: key });
            }
            let reply = self.call("Info", &bundle).await?;
            let (compatible, version) = body("Info", "ss", &reply)?;
            return Ok(BundleInfo::short(compatible, version));
        }
        let reply = self.call("InspectBundle", &(bundle, arguments)).await?;
        let manifest: HashMap<String, OwnedVariant> = body("InspectBundle", "a{sv}", &reply)?;
        BundleInfo::of(&manifest.into()).ok_or_else(|| Error::Unexpected {
            member: "InspectBundle",
            expected: "a compatible in update",
            got: "none".into(),
        })
    }

    /// `InstallBundle`: starts to install a bundle, a path or where RAUC can load it a
    /// URL, into the slots that are not in use.
    ///
    /// Whether the bundle is any good, or exists, only the end of the [`Installation`]
    /// tells. Keep it polled; RAUC cannot be told to stop.
    ///
    /// Not cancel safe: dropped half-way, the installation may have started, unwatched.
    ///
    /// # Errors
    /// As [`Error`] says: [`Error::Busy`] if RAUC does something else,
    /// [`Error::Unsupported`] for an option that makes a check stricter and is not
    /// known. After [`Error::Bus`] and [`Error::ServiceGone`] it may have started.
    pub async fn install(&self, bundle: &str, options: &InstallOptions) -> Result<Installation> {
        // The process that answers here is the one that is watched and called.
        let (capabilities, owner) = self.introspect().await?;
        if !capabilities.has_method(INSTALL) {
            return Err(Error::Unsupported { what: INSTALL });
        }
        let mut arguments = options.arguments(&capabilities)?;
        let watch = Installation::watch(&self.connection, owner.clone()).await?;
        loop {
            let to = BusName::from(owner.as_ref());
            let body = (bundle, &arguments.sent);
            match call(&self.connection, to, INTERFACE, INSTALL, &body).await {
                Ok(reply) => return Ok(watch.started(&reply, arguments.left_out)),
                Err(Error::Refused { member, message }) => match arguments.refused_key(&message) {
                    // A refused call has started nothing.
                    Some(key) if arguments.leave_out(key) => {}
                    Some(key) => return Err(Error::Unsupported { what: key }),
                    None => return Err(Error::Refused { member, message }),
                },
                Err(error) => return Err(error),
            }
        }
    }

    async fn introspect(&self) -> Result<(Capabilities, OwnedUniqueName)> {
        let member = "Introspect";
        let reply = call(&self.connection, name(), INTROSPECTABLE, member, &()).await?;
        let owner = reply.header().sender().map(|sender| sender.to_owned().into());
        let owner = owner.ok_or_else(|| Error::Unexpected {
            member,
            expected: "an answer with a sender",
            got: "none".into(),
        })?;
        let xml: String = body(member, "s", &reply)?;
        Ok((Capabilities::of(&xml)?, owner))
    }

    async fn call<B>(&self, member: &'static str, body: &B) -> Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        call(&self.connection, name(), INTERFACE, member, body).await
    }

    async fn property(&self, property: &'static str) -> Result<OwnedVariant> {
        property_of(&self.connection, name(), property).await
    }

    /// A property that is a string; `None` if it is empty.
    async fn word(&self, property: &'static str) -> Result<Option<String>> {
        word_of(property, &self.property(property).await?)
    }
}

impl Mark {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Active => "active",
        }
    }
}

impl Target {
    fn word(&self) -> &str {
        match self {
            Self::Booted => "booted",
            Self::Other => "other",
            Self::Slot(name) => name,
        }
    }
}

/// `LastError` of one process, which is not started anew for it.
pub(crate) async fn last_error_of(
    connection: &Connection,
    owner: &OwnedUniqueName,
) -> Result<Option<String>> {
    let value = property_of(connection, owner.as_ref().into(), LAST_ERROR).await?;
    Ok(word_of(LAST_ERROR, &value)?.as_deref().map(sentence))
}

async fn property_of(
    connection: &Connection,
    to: BusName<'_>,
    property: &'static str,
) -> Result<OwnedVariant> {
    let reply = connection
        .call_method(Some(to), PATH, Some(PROPERTIES), "Get", &(INTERFACE, property))
        .await
        .map_err(|error| match Error::of_call(property, error) {
            // GDBus has no error of its own for a property that is not there.
            Error::Refused { .. } => Error::Unsupported { what: property },
            error => error,
        })?;
    body(property, "v", &reply)
}

fn word_of(property: &'static str, value: &OwnedVariant) -> Result<Option<String>> {
    if value.value_signature() == String::SIGNATURE {
        Ok(text(value))
    } else {
        Err(unexpected(property, "s", value.value_signature()))
    }
}

async fn call<B>(
    connection: &Connection,
    to: BusName<'_>,
    interface: &'static str,
    member: &'static str,
    body: &B,
) -> Result<Message>
where
    B: serde::Serialize + DynamicType,
{
    connection
        .call_method(Some(to), PATH, Some(interface), member, body)
        .await
        .map_err(|error| Error::of_call(member, error))
}

fn body<T>(member: &'static str, expected: &'static str, reply: &Message) -> Result<T>
where
    T: serde::de::DeserializeOwned + Type,
{
    let body = reply.body();
    body.deserialize().map_err(|_| unexpected(member, expected, body.signature()))
}

fn unexpected(member: &'static str, expected: &'static str, got: impl fmt::Display) -> Error {
    Error::Unexpected { member, expected, got: got.to_string() }
}

fn name() -> BusName<'static> {
    zbus::names::WellKnownName::from_static_str_unchecked(NAME).into()
}

/// The well-known name of the service.
const NAME: &str = "de.pengutronix.rauc";
/// Its only object.
pub(crate) const PATH: &str = "/";
/// The interface.
pub(crate) const INTERFACE: &str = "de.pengutronix.rauc.Installer";
pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(crate) const LAST_ERROR: &str = "LastError";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const INSTALL: &str = "InstallBundle";
