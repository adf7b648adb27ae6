//! What proves the device to one origin, and whom it trusts there.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use lwm2m_security::{ClientCertificate, Secret, Trust};
use thiserror::Error;

use super::{Origin, PackageScheme};

/// Credentials for one origin of packages. They go to exactly that scheme, host and port,
/// so a redirect elsewhere leaves them behind.
#[derive(Debug, Clone)]
pub struct OriginCredentials {
    origin: Origin,
    trust: Trust,
    certificate: Option<ClientCertificate>,
    /// The value of the Authorization field.
    authorization: Option<Secret>,
}

impl OriginCredentials {
    /// None yet, and trust in the system's store.
    ///
    /// # Errors
    ///
    /// The origin is not one of HTTP.
    pub fn new(origin: Origin) -> Result<Self, CredentialsError> {
        match origin.scheme() {
            PackageScheme::Http | PackageScheme::Https => {}
            PackageScheme::Coap | PackageScheme::Coaps => {
                return Err(CredentialsError::NotHttp(origin));
            }
        }
        Ok(Self { origin, trust: Trust::System, certificate: None, authorization: None })
    }

    /// Trusts the authorities in this file of PEM certificates and no others; it is read
    /// at each connection.
    ///
    /// # Errors
    ///
    /// The origin is not secured.
    pub fn with_ca(self, file: PathBuf) -> Result<Self, CredentialsError> {
        self.secured()?;
        Ok(Self { trust: Trust::File(file), ..self })
    }

    /// Shows this certificate if the server asks for one.
    ///
    /// # Errors
    ///
    /// The origin is not secured.
    pub fn with_certificate(
        self,
        certificate: ClientCertificate,
    ) -> Result<Self, CredentialsError> {
        self.secured()?;
        Ok(Self { certificate: Some(certificate), ..self })
    }

    /// Sends a user and a password with each request (RFC 7617), instead of a token.
    ///
    /// # Errors
    ///
    /// The user has a colon or a control character in it, or the password a control
    /// character.
    pub fn with_basic(self, user: &str, password: &Secret) -> Result<Self, CredentialsError> {
        if user.contains(':') || user.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(CredentialsError::User);
        }
        if password.expose().iter().any(u8::is_ascii_control) {
            return Err(CredentialsError::Password);
        }
        let pair = Secret::new([user.as_bytes(), b":", password.expose()].concat());
        let encoded = Secret::from(STANDARD.encode(pair.expose()));
        Ok(Self { authorization: Some(field("Basic ", &encoded)), ..self })
    }

    /// Sends a token with each request (RFC 6750), instead of user and password.
    ///
    /// # Errors
    ///
    /// It is empty or has a character that no token has.
    pub fn with_bearer(self, token: &Secret) -> Result<Self, CredentialsError> {
        let bytes = token.expose();
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        if bytes.is_empty() || !bytes.iter().all(allowed) {
            return Err(CredentialsError::Token);
        }
        Ok(Self { authorization: Some(field("Bearer ", token)), ..self })
    }

    /// Whom they are for.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(super) const fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_ref()
    }

    /// The value of the Authorization field.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let value = self.authorization.as_ref()?;
        // Each character was checked when it was set.
        let mut value = HeaderValue::from_bytes(value.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn secured(&self) -> Result<(), CredentialsError> {
        match self.origin.scheme() {
            PackageScheme::Https | PackageScheme::Coaps => Ok(()),
            PackageScheme::Http | PackageScheme::Coap => {
                Err(CredentialsError::NotSecured(self.origin.clone()))
            }
        }
    }
}

/// Why credentials cannot be used. It quotes none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Not an origin of HTTP.
    #[error("{0} is not an origin of HTTP")]
    NotHttp(Origin),
    /// Certificates where there is no TLS.
    #[error("{0} has no TLS: an authority or a certificate is for https alone")]
    NotSecured(Origin),
    /// Two sets for one origin.
    #[error("{0} has credentials already")]
    Twice(Origin),
    /// No user of HTTP.
    #[error("the user has a colon or a control character in it")]
    User,
    /// No password of HTTP.
    #[error("the password has a control character in it, such as a line feed at its end")]
    Password,
    /// No token of HTTP.
    #[error("the token is empty or has a character that no token has, such as a line feed")]
    Token,
}

fn field(scheme: &str, value: &Secret) -> Secret {
    Secret::new([scheme.as_bytes(), value.expose()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(origin: &str) -> OriginCredentials {
        OriginCredentials::new(Origin::parse(origin).unwrap()).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    /// The examples of RFC 7617 2 and RFC 6750 2.1.
    #[test]
    fn fields_are_those_of_the_standards_and_not_shown() {
        let basic = credentials("https://h");
        let basic = basic.with_basic("Aladdin", &secret("open sesame")).unwrap();
        let value = basic.authorization().unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let bearer = credentials("http://h").with_bearer(&secret("mF_9.B5f-4.1JqM")).unwrap();
        assert_eq!(bearer.authorization().unwrap(), "Bearer mF_9.B5f-4.1JqM");
        assert!(!format!("{value:?}{basic:?}").contains("QWxh"));
        assert!(credentials("http://h").authorization().is_none());
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let https = || credentials("https://h");
        for (result, error) in [
            (https().with_basic("a:b", &secret("c")), CredentialsError::User),
            (https().with_basic("a\n", &secret("c")), CredentialsError::User),
            (https().with_basic("a", &secret("c\n")), CredentialsError::Password),
            (https().with_bearer(&secret("")), CredentialsError::Token),
            (https().with_bearer(&secret("a b")), CredentialsError::Token),
            (https().with_bearer(&secret("a\r\nX: y")), CredentialsError::Token),
            (
                credentials("http://h").with_ca("/ca".into()),
                CredentialsError::NotSecured(Origin::parse("http://h").unwrap()),
            ),
        ] {
            assert_eq!(result.unwrap_err(), error);
        }
        let coap = Origin::parse("coaps://h").unwrap();
        let error = OriginCredentials::new(coap.clone()).unwrap_err();
        assert_eq!(error, CredentialsError::NotHttp(coap));
    }
}
