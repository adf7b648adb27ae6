//! An authority and certificates made for a test.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// A certificate and its key.
pub(crate) struct Certified {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// Signs for a test.
pub(crate) struct Authority(Certified);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self(certified(name, &[], (-1, 30), None))
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.certificate.to_pem().unwrap()
    }

    /// A certificate for `hosts`, names or addresses, valid from now on.
    pub(crate) fn certify(&self, hosts: &[&str]) -> Certified {
        self.certify_for_days(hosts, (-1, 30))
    }

    /// One that is valid from the first to the second of `days` from today.
    pub(crate) fn certify_for_days(&self, hosts: &[&str], days: (i64, i64)) -> Certified {
        certified("end", hosts, days, Some(&self.0))
    }
}

fn certified(
    name: &str,
    hosts: &[&str],
    days: (i64, i64),
    issuer: Option<&Certified>,
) -> Certified {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(1 + u32::from(issuer.is_some())).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder
        .set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name()))
        .unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&day(days.0)).unwrap();
    builder.set_not_after(&day(days.1)).unwrap();
    match issuer {
        None => {
            let ca = BasicConstraints::new().critical().ca().build().unwrap();
            builder.append_extension(ca).unwrap();
        }
        Some(issuer) => {
            let mut names = SubjectAlternativeName::new();
            for host in hosts {
                match host.parse::<std::net::IpAddr>() {
                    Ok(_) => names.ip(host),
                    Err(_) => names.dns(host),
                };
            }
            let context = builder.x509v3_context(Some(&issuer.certificate), None);
            let names = names.build(&context).unwrap();
            builder.append_extension(names).unwrap();
        }
    }
    builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
    Certified { certificate: builder.build(), key }
}

fn day(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    Asn1Time::from_unix(now + days * 86_400).unwrap()
}
