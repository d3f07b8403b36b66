//! Reads the parts of an X.509 certificate that libpq's rules need and rustls does not offer: certificates of version 1,
//! the common name, and the hash for channel binding.

use std::net::IpAddr;

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio_rustls::rustls::{
    SignatureScheme,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, UnixTime},
};
use x509_cert::{
    Certificate, Version,
    der::{
        Decode, Encode,
        asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef},
        oid::db::{rfc4519::COMMON_NAME, rfc5280, rfc5912},
        referenced::OwnedToRef,
    },
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName, name::GeneralName},
};

/// Extensions that [`Parsed::is_issued_by`] evaluates or may ignore.
const KNOWN_EXTENSIONS: [ObjectIdentifier; 4] = [
    rfc5280::ID_CE_BASIC_CONSTRAINTS,
    rfc5280::ID_CE_KEY_USAGE,
    rfc5280::ID_CE_EXT_KEY_USAGE,
    rfc5280::ID_CE_SUBJECT_ALT_NAME,
];

/// A certificate and its parts.
pub(super) struct Parsed {
    certificate: Certificate,
    der: Vec<u8>,
}

impl Parsed {
    /// None if it is not a certificate.
    pub(super) fn of(der: &CertificateDer<'_>) -> Option<Self> {
        Some(Self { certificate: Certificate::from_der(der).ok()?, der: der.to_vec() })
    }

    /// Whether subject and issuer are the same.
    pub(super) fn is_self_issued(&self) -> bool {
        let body = self.certificate.tbs_certificate();
        body.subject() == body.issuer()
    }

    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        let validity = self.certificate.tbs_certificate().validity();
        let (from, until) = (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
        (from.as_secs()..=until.as_secs()).contains(&now.as_secs())
    }

    /// Whether `root`, which is trusted, is this certificate itself or has signed it, as OpenSSL verifies it without
    /// intermediate certificates.
    pub(super) fn is_issued_by(
        &self,
        root: &Parsed,
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> bool {
        if !self.is_valid_at(now) || !root.is_valid_at(now) || !self.may_be_a_server() {
            return false;
        }
        if self.der == root.der {
            return true;
        }
        let body = self.certificate.tbs_certificate();
        root.may_issue()
            && body.issuer() == root.certificate.tbs_certificate().subject()
            && self.is_signed_by(root, algorithms).unwrap_or(false)
    }

    fn may_be_a_server(&self) -> bool {
        let body = self.certificate.tbs_certificate();
        let extensions = body.extensions().map_or(&[][..], |list| list.as_slice());
        let usage = body.get_extension::<ExtendedKeyUsage>();
        extensions.iter().all(|one| !one.critical || KNOWN_EXTENSIONS.contains(&one.extn_id))
            && usage.is_ok_and(|usage| {
                usage.is_none_or(|(_, usage)| {
                    usage.0.contains(&rfc5280::ID_KP_SERVER_AUTH)
                        || usage.0.contains(&rfc5280::ANY_EXTENDED_KEY_USAGE)
                })
            })
    }

    /// Certificates of version 1 have no extensions; OpenSSL lets a trusted one issue certificates.
    fn may_issue(&self) -> bool {
        let body = self.certificate.tbs_certificate();
        let has_limits = body.extensions().is_some_and(|list| {
            list.iter().any(|one| one.critical && !KNOWN_EXTENSIONS.contains(&one.extn_id))
        });
        let constraints = body.get_extension::<BasicConstraints>();
        !has_limits
            && constraints.is_ok_and(|found| {
                found.map_or(body.version() == Version::V1, |(_, constraints)| constraints.ca)
            })
    }

    fn is_signed_by(&self, issuer: &Parsed, algorithms: &WebPkiSupportedAlgorithms) -> Option<bool> {
        let key = issuer.certificate.tbs_certificate().subject_public_key_info();
        let message = self.certificate.tbs_certificate().to_der().ok()?;
        let signature = self.certificate.signature().as_bytes()?;
        let identifier = contents(&self.certificate.signature_algorithm().to_der().ok()?)?.to_vec();
        let key_identifier = contents(&key.algorithm.to_der().ok()?)?.to_vec();
        let mut fitting = algorithms.all.iter().filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == identifier
                && algorithm.public_key_alg_id().as_ref() == key_identifier
        });
        let key = key.subject_public_key.as_bytes()?;
        Some(fitting.any(|algorithm| algorithm.verify_signature(key, &message, signature).is_ok()))
    }

    /// Verifies a signature of the handshake with this certificate's key.
    pub(super) fn has_signed(
        &self,
        message: &[u8],
        (scheme, signature): (SignatureScheme, &[u8]),
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Option<bool> {
        let key = self.certificate.tbs_certificate().subject_public_key_info();
        let identifier = contents(&key.algorithm.to_der().ok()?)?.to_vec();
        let key = key.subject_public_key.as_bytes()?;
        let (_, candidates) = algorithms.mapping.iter().find(|(known, _)| *known == scheme)?;
        let mut fitting =
            candidates.iter().filter(|algorithm| algorithm.public_key_alg_id().as_ref() == identifier);
        Some(fitting.any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok()))
    }

    /// libpq's rule: an alternative name of the host's type, else the common name.
    pub(super) fn names(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        let body = self.certificate.tbs_certificate();
        let Ok(alternatives) = body.get_extension::<SubjectAltName>() else { return false };
        let mut common_name_counts = true;
        for name in alternatives.iter().flat_map(|(_, names)| &names.0) {
            let (same_type, matches) = match name {
                GeneralName::DnsName(name) => (address.is_none(), matches_name(name.as_str(), host)),
                GeneralName::IpAddress(bytes) => (
                    address.is_some(),
                    address.is_some_and(|address| match address {
                        IpAddr::V4(address) => address.octets() == bytes.as_bytes(),
                        IpAddr::V6(address) => address.octets() == bytes.as_bytes(),
                    }),
                ),
                _ => (false, false),
            };
            if matches {
                return true;
            }
            common_name_counts &= !same_type;
        }
        common_name_counts && self.common_name().is_some_and(|name| matches_name(&name, host))
    }

    fn common_name(&self) -> Option<String> {
        let subject = self.certificate.tbs_certificate().subject();
        let value = subject.iter().find(|part| part.oid == COMMON_NAME)?.value.owned_to_ref();
        let text = Utf8StringRef::try_from(value).map(|text| text.as_str().to_owned());
        let text = text.or_else(|_| PrintableStringRef::try_from(value).map(|text| text.as_str().to_owned()));
        let text = text.or_else(|_| Ia5StringRef::try_from(value).map(|text| text.as_str().to_owned()));
        text.or_else(|_| TeletexStringRef::try_from(value).map(|text| text.as_str().to_owned())).ok()
    }

    /// The hash for `tls-server-end-point`, by the algorithm of the signature; SHA-256 replaces MD5 and SHA-1.
    pub(super) fn end_point(&self) -> Option<Vec<u8>> {
        match self.certificate.signature_algorithm().oid {
            rfc5912::MD_5_WITH_RSA_ENCRYPTION
            | rfc5912::SHA_1_WITH_RSA_ENCRYPTION
            | rfc5912::SHA_256_WITH_RSA_ENCRYPTION
            | rfc5912::ECDSA_WITH_SHA_256 => Some(Sha256::digest(&self.der).to_vec()),
            rfc5912::SHA_384_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_384 => {
                Some(Sha384::digest(&self.der).to_vec())
            }
            rfc5912::SHA_512_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_512 => {
                Some(Sha512::digest(&self.der).to_vec())
            }
            _ => None,
        }
    }
}

/// The contents of a DER value, without its tag and length.
fn contents(der: &[u8]) -> Option<&[u8]> {
    let any = x509_cert::der::asn1::AnyRef::from_der(der).ok()?;
    der.get(der.len() - any.value().len()..)
}

/// Equal, or a wildcard for the first label.
fn matches_name(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(rest) = pattern.strip_prefix('*').filter(|rest| rest.starts_with('.') && rest.len() > 1) else {
        return false;
    };
    host.find('.').is_some_and(|dot| dot > 0 && host.split_at(dot).1.eq_ignore_ascii_case(rest))
}

#[cfg(test)]
mod tests {
    use super::matches_name;

    #[test]
    fn a_wildcard_replaces_exactly_one_label() {
        for (pattern, host, matches) in [
            ("db.example.org", "DB.example.org", true),
            ("*.example.org", "db.example.org", true),
            ("*.example.org", "a.db.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*", "db", false),
            ("*.", "db.", false),
            ("d*.example.org", "db.example.org", false),
        ] {
            assert_eq!(matches_name(pattern, host), matches, "{pattern} {host}");
        }
    }
}
