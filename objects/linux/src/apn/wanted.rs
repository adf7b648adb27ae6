//! What a Write or a Create asks for, and what it makes of a profile of NetworkManager.

use std::collections::HashMap;

use lwm2m_model::{Code, Entry, Path, RequestError, Value};
use zbus::{OwnedVariant, Variant};

use super::profile::{
    APN, AUTHENTICATION, AUTO, BOTH, CHAP, ENABLED, IPV4, IPV6, NAME, NONE, PAP, PAP_OR_CHAP,
    PDN_TYPE, SECRET, USER,
};
use crate::content::{Content, stands};
use crate::secret::Secret;
use crate::sources::network_manager::Profile;
use crate::sources::network_manager::mobile::{
    CONNECTION, DATA, GSM, NUMBER, OFF, PPP, USER as NOTES, WAYS,
};
use crate::sources::text;

/// A Write in form. What it leaves as it is is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) access: Access,
}

/// What of it a connection has to be made anew for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Access {
    /// Empty, the network chooses.
    apn: Option<String>,
    is_auto: Option<bool>,
    /// A value of Authentication Type.
    authentication: Option<i64>,
    /// Empty for none.
    user: Option<String>,
    /// Empty for none.
    secret: Option<Secret>,
    /// A value of PDN Type.
    kind: Option<i64>,
}

impl Wanted {
    /// Judges a Write as a whole, against what the resources hold.
    ///
    /// # Errors
    /// 4.05 for what NetworkManager does not change, 4.00 for values that make no sense.
    pub(super) fn parse(
        entries: &[Entry],
        contents: &[(Path, Content)],
    ) -> Result<Self, RequestError> {
        let mut wanted = Self::default();
        for entry in entries {
            // Whether it connects by itself is still to be seen.
            if entry.path.resource_id() == Some(ENABLED) || !stands(contents, entry) {
                wanted.take(entry)?;
            }
        }
        Ok(wanted)
    }

    fn take(&mut self, entry: &Entry) -> Result<(), RequestError> {
        let wrong = |what: &str| bad(format!("write {}: {what}", entry.path));
        let access = &mut self.access;
        match (entry.path.resource_id(), entry.value()) {
            (Some(NAME), Some(Value::String(name))) => {
                if name.is_empty() || !is_plain(name) {
                    return Err(wrong("a name is one line of text"));
                }
                self.name = Some(name.clone());
            }
            (Some(APN), Some(Value::String(apn))) => {
                if apn.len() > MAX_APN || !apn.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(wrong("an access point is up to 64 letters, digits and dots"));
                }
                access.apn = Some(apn.clone());
            }
            (Some(AUTO), Some(Value::Boolean(is_auto))) => access.is_auto = Some(*is_auto),
            (Some(ENABLED), Some(Value::Boolean(to))) => self.enabled = Some(*to),
            (Some(AUTHENTICATION), Some(Value::Integer(way @ (PAP..=NONE)))) => {
                access.authentication = Some(*way);
            }
            (Some(AUTHENTICATION), _) => return Err(wrong("it is 0 to 3")),
            (Some(USER), Some(Value::String(user))) => {
                if !is_plain(user) {
                    return Err(wrong("a name is one line of text"));
                }
                access.user = Some(user.clone());
            }
            (Some(SECRET), Some(Value::String(secret))) => {
                if secret.len() > text::MAX_LINE || secret.chars().any(char::is_control) {
                    return Err(wrong("a secret is one line of text"));
                }
                access.secret = Some(Secret(secret.clone()));
            }
            (Some(PDN_TYPE), Some(Value::Integer(kind @ (IPV4..=BOTH)))) => {
                access.kind = Some(*kind);
            }
            (Some(PDN_TYPE), _) => return Err(wrong("NetworkManager knows 1, 2 and 3 alone")),
            _ => {
                let reason = format!("{}: NetworkManager does not change it", entry.path);
                return Err(RequestError::new(Code::METHOD_NOT_ALLOWED, reason));
            }
        }
        Ok(())
    }

    /// A new profile, which is to be this instance.
    ///
    /// # Errors
    /// 4.00 without a name, and as [`change`](Self::change).
    pub(super) fn profile(&self, instance: u16) -> Result<Profile, RequestError> {
        if self.name.is_none() {
            return Err(bad("a profile needs Profile name".into()));
        }
        let note = HashMap::from([(NUMBER.to_owned(), instance.to_string())]);
        let mut profile = HashMap::from([
            (CONNECTION.to_owned(), HashMap::from([("type".to_owned(), owned(GSM))])),
            (GSM.to_owned(), HashMap::new()),
            (NOTES.to_owned(), HashMap::from([(DATA.to_owned(), owned(note))])),
        ]);
        // It does nothing that nobody asked for.
        let wanted = Self { enabled: self.enabled.or(Some(false)), ..self.clone() };
        wanted.change(&mut profile)?;
        Ok(profile)
    }

    /// Makes a profile be what is wanted; the rest of it stays.
    ///
    /// # Errors
    /// 4.00 if that contradicts itself or what stays.
    pub(super) fn change(&self, profile: &mut Profile) -> Result<(), RequestError> {
        let connection = profile.entry(CONNECTION.to_owned()).or_default();
        if let Some(name) = &self.name {
            connection.insert("id".into(), owned(name.as_str()));
        }
        if let Some(to) = self.enabled {
            connection.insert("autoconnect".into(), owned(to));
        }
        self.access.change(profile)
    }
}

impl Access {
    /// True if the device is to choose the access point.
    pub(super) fn is_automatic(&self) -> bool {
        self.is_auto == Some(true)
    }

    fn change(&self, profile: &mut Profile) -> Result<(), RequestError> {
        if let Some(way) = self.authentication {
            self.authenticate(way, profile)?;
        }
        self.choose(profile)?;
        let gsm = profile.entry(GSM.to_owned()).or_default();
        if let Some(user) = &self.user {
            gsm.remove("username");
            if !user.is_empty() {
                gsm.insert("username".into(), owned(user.as_str()));
            }
        }
        if let Some(Secret(secret)) = &self.secret {
            if secret.is_empty() {
                forget_secret(profile);
            } else if !gsm.contains_key("username") {
                return Err(bad("Secret needs User Name".into()));
            } else {
                gsm.insert("password".into(), owned(secret.as_str()));
                // With the profile, and not with a user who is not there.
                gsm.insert("password-flags".into(), owned(0_u32));
            }
        } else if gsm.contains_key("username") && !gsm.contains_key("password") {
            // Else NetworkManager waits for somebody who knows it.
            gsm.entry("password-flags".into()).or_insert_with(|| owned(NOT_REQUIRED));
        }
        if let Some(kind) = self.kind {
            switch(profile, "ipv4", kind != IPV6);
            switch(profile, "ipv6", kind != IPV4);
        }
        Ok(())
    }

    /// Who chooses the access point, and with it name and secret.
    fn choose(&self, profile: &mut Profile) -> Result<(), RequestError> {
        let gsm = profile.entry(GSM.to_owned()).or_default();
        let is_some = |text: Option<&String>| text.is_some_and(|text| !text.is_empty());
        let secret = self.secret.as_ref().map(|Secret(secret)| secret);
        let is_own = [self.apn.as_ref(), self.user.as_ref(), secret].into_iter().any(is_some)
            || self.authentication.is_some_and(|way| way != NONE);
        let is_auto = gsm.get("auto-config").is_some_and(|it| *it == owned(true));
        match (self.is_auto, &self.apn) {
            (Some(true), _) if !is_own => {
                gsm.insert("auto-config".into(), owned(true));
                gsm.remove("apn");
                gsm.remove("username");
                forget_secret(profile);
            }
            (None, None) if !(is_auto && is_own) => {}
            (Some(true), _) | (None, None) => {
                let reason =
                    "Auto select APN by device leaves APN, User Name and Secret to the device";
                return Err(bad(reason.into()));
            }
            (Some(false), apn) | (None, apn @ Some(_)) => {
                gsm.remove("auto-config");
                if let Some(apn) = apn {
                    gsm.insert("apn".into(), owned(apn.as_str()));
                }
                // Without any NetworkManager would choose by itself.
                gsm.entry("apn".into()).or_insert_with(|| owned(""));
            }
        }
        Ok(())
    }

    fn authenticate(&self, way: i64, profile: &mut Profile) -> Result<(), RequestError> {
        let ppp = profile.entry(PPP.to_owned()).or_default();
        let refused = match way {
            PAP => &WAYS[1..],
            CHAP => &[WAYS[0], WAYS[2], WAYS[3], WAYS[4]][..],
            PAP_OR_CHAP => &WAYS[2..],
            _ => &[],
        };
        ppp.retain(|name, _| !WAYS.contains(&name.as_str()));
        ppp.extend(refused.iter().map(|name| ((*name).to_owned(), owned(true))));
        if ppp.is_empty() {
            profile.remove(PPP);
        }
        if way != NONE {
            return Ok(());
        }
        let is_some = |text: &String| !text.is_empty();
        if self.user.as_ref().is_some_and(is_some)
            || self.secret.as_ref().is_some_and(|Secret(secret)| is_some(secret))
        {
            return Err(bad("without authentication there is neither name nor secret".into()));
        }
        profile.entry(GSM.to_owned()).or_default().remove("username");
        forget_secret(profile);
        Ok(())
    }
}

/// Takes the secret away. NetworkManager might put back what is only left out.
fn forget_secret(profile: &mut Profile) {
    let gsm = profile.entry(GSM.to_owned()).or_default();
    gsm.remove("password");
    gsm.insert("password-flags".into(), owned(NOT_REQUIRED));
}

/// Has a kind of addresses, or not.
fn switch(profile: &mut Profile, family: &str, to: bool) {
    let section = profile.entry(family.to_owned()).or_default();
    let method = section.get("method").and_then(|method| String::try_from(method.clone()).ok());
    let is_on = !method.as_deref().is_some_and(|method| OFF.contains(&method));
    if method.is_none() || is_on != to {
        section.insert("method".into(), owned(if to { "auto" } else { "disabled" }));
    }
}

/// One line that reads back as it is.
fn is_plain(line: &str) -> bool {
    line.is_empty() || text::clean(line.as_bytes()).as_deref() == Some(line)
}

fn bad(reason: String) -> RequestError {
    RequestError::new(Code::BAD_REQUEST, reason)
}

fn owned<'a>(value: impl Into<Variant<'a>>) -> OwnedVariant {
    value.into().try_into_owned().expect("only a file descriptor can fail to be copied")
}

/// Bytes of an access point (NetworkManager).
const MAX_APN: usize = 64;
/// NM_SETTING_SECRET_FLAG_NOT_REQUIRED.
const NOT_REQUIRED: u32 = 4;
