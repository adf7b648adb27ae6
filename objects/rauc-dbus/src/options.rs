//! The arguments of `InstallBundle` and `InspectBundle`.
//!
//! RAUC refuses a whole call for one key that it does not know, so what is sent
//! depends on its version. A key that only labels or loosens is left out where it is
//! unknown; one that tightens a check is an error there.

use std::collections::BTreeMap;
use std::fmt;

use zbus::Variant;

use crate::capabilities::Capabilities;
use crate::error::{Error, Result};

/// How RAUC gets at a bundle that it loads itself over HTTP or HTTPS.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleAccess {
    /// `tls-cert`: certificate of the client, a file or a PKCS#11 URI.
    pub tls_cert: Option<String>,
    /// `tls-key`: its key, a file or a PKCS#11 URI.
    pub tls_key: Option<String>,
    /// `tls-ca`: a file with the authorities to trust.
    pub tls_ca: Option<String>,
    /// `tls-no-verify`: do not check who the server is.
    pub tls_no_verify: bool,
    /// `http-headers`: lines such as `Authorization: Bearer …`.
    pub http_headers: Vec<String>,
}

/// What to tell RAUC with a bundle. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallOptions {
    /// For a bundle that RAUC loads itself.
    pub access: BundleAccess,
    /// `ignore-compatible`: install what was made for other hardware.
    pub ignore_compatible: bool,
    /// `ignore-version-limit`: install what is older than the configuration allows.
    /// Left out where RAUC does not know it.
    pub ignore_version_limit: bool,
    /// `transaction-id`: a UUID for RAUC's records. Left out where RAUC does not know it.
    pub transaction_id: Option<String>,
    /// `require-manifest-hash`: refuse any other bundle than the one that
    /// [`inspect`](crate::Installer::inspect) has shown. An error where RAUC does not
    /// know it; RAUC refuses it for `plain` bundles.
    pub require_manifest_hash: Option<String>,
}

/// What goes into a call.
#[derive(Debug)]
pub(crate) struct Arguments<'o> {
    pub(crate) sent: BTreeMap<&'static str, Variant<'o>>,
    pub(crate) left_out: Vec<&'static str>,
}

impl Arguments<'_> {
    /// The key that RAUC has refused with `message`.
    pub(crate) fn refused_key(&self, message: &str) -> Option<&'static str> {
        let (_, key) = message.split_once(UNSUPPORTED)?;
        self.sent.keys().copied().find(|sent| *sent == key.trim())
    }

    /// Takes a key out if it may be left out; true if the call can be repeated.
    pub(crate) fn leave_out(&mut self, key: &'static str) -> bool {
        let may_be = OPTIONAL.contains(&key) && self.sent.remove(key).is_some();
        if may_be {
            self.left_out.push(key);
        }
        may_be
    }
}

impl BundleAccess {
    pub(crate) fn arguments(&self) -> BTreeMap<&'static str, Variant<'_>> {
        let texts =
            [("tls-cert", &self.tls_cert), ("tls-key", &self.tls_key), ("tls-ca", &self.tls_ca)];
        let mut sent: BTreeMap<&'static str, Variant<'_>> = texts
            .into_iter()
            .filter_map(|(key, text)| Some((key, text.as_deref()?.into())))
            .collect();
        if self.tls_no_verify {
            sent.insert("tls-no-verify", true.into());
        }
        if !self.http_headers.is_empty() {
            sent.insert("http-headers", (&self.http_headers).into());
        }
        sent
    }
}

impl InstallOptions {
    pub(crate) fn arguments(&self, rauc: &Capabilities) -> Result<Arguments<'_>> {
        let mut arguments = Arguments { sent: self.access.arguments(), left_out: Vec::new() };
        if self.ignore_compatible {
            arguments.sent.insert("ignore-compatible", true.into());
        }
        if let Some(hash) = &self.require_manifest_hash {
            if !rauc.takes_new_keys() {
                return Err(Error::Unsupported { what: "require-manifest-hash" });
            }
            arguments.sent.insert("require-manifest-hash", hash.as_str().into());
        }
        let limit = self.ignore_version_limit.then(|| true.into());
        let transaction = self.transaction_id.as_deref().map(Variant::from);
        for (key, value) in OPTIONAL.into_iter().zip([limit, transaction]) {
            match value {
                Some(value) if rauc.takes_new_keys() => {
                    arguments.sent.insert(key, value);
                }
                Some(_) => arguments.left_out.push(key),
                None => {}
            }
        }
        Ok(arguments)
    }
}

impl fmt::Debug for BundleAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers carry credentials, and so may the URI of a key (`pin-value`).
        let key = self.tls_key.as_ref().map(|_| "<secret>");
        let headers = vec!["<secret>"; self.http_headers.len()];
        f.debug_struct("BundleAccess")
            .field("tls_cert", &self.tls_cert)
            .field("tls_key", &key)
            .field("tls_ca", &self.tls_ca)
            .field("tls_no_verify", &self.tls_no_verify)
            .field("http_headers", &headers)
            .finish()
    }
}

/// Without these an installation is as strict or stricter.
const OPTIONAL: [&str; 2] = ["ignore-version-limit", "transaction-id"];
/// How RAUC names a key that it does not know.
const UNSUPPORTED: &str = "Unsupported key:";
