//! Verifies the server's certificate by libpq's rules: a chain to a root of the file, and the host's name.

use std::sync::Arc;

use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::certificate::Parsed;

/// The trusted certificates. As in OpenSSL, only a self-issued certificate is a root; the others complete a chain.
pub(super) struct Roots {
    store: RootCertStore,
    issuers: Vec<Parsed>,
    intermediates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Mozilla's roots.
    pub(super) fn public() -> Self {
        let store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self { store, issuers: Vec::new(), intermediates: Vec::new() }
    }

    /// The certificates of a file. `strict`: all of them must be usable; otherwise the others are skipped.
    pub(super) fn of(
        certificates: Vec<CertificateDer<'static>>,
        now: UnixTime,
        strict: bool,
    ) -> Result<Self, String> {
        let mut all = Self { store: RootCertStore::empty(), issuers: Vec::new(), intermediates: Vec::new() };
        for certificate in certificates {
            let damaged = match Parsed::of(&certificate) {
                Some(parsed) if !parsed.is_self_issued() => {
                    all.intermediates.push(certificate);
                    None
                }
                Some(parsed) if parsed.is_valid_at(now) => {
                    all.issuers.push(parsed);
                    all.store.add(certificate).err().map(|error| error.to_string())
                }
                Some(_) => None,
                None => Some("it contains a damaged certificate".to_owned()),
            };
            if let Some(why) = damaged.filter(|_| strict) {
                return Err(why);
            }
        }
        Ok(all)
    }
}

/// One connection's verification.
pub(super) struct Verifier {
    pub(super) provider: Arc<CryptoProvider>,
    /// None: any certificate is accepted.
    pub(super) roots: Option<Roots>,
    /// The name that the certificate must have.
    pub(super) host: Option<String>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Verifier {
    fn verify_chain(
        &self,
        roots: &Roots,
        certificate: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let intermediates: Vec<_> = sent.iter().chain(&roots.intermediates).cloned().collect();
        let chain = ParsedCertificate::try_from(certificate).and_then(|parsed| {
            let store = &roots.store;
            verify_server_cert_signed_by_trust_anchor(&parsed, store, &intermediates, now, algorithms.all)
        });
        // rustls refuses an authority as the server's own certificate, and certificates of version 1. PostgreSQL's
        // manual creates both.
        chain.or_else(|error| {
            let parsed = Parsed::of(certificate).ok_or(CertificateError::BadEncoding)?;
            let issued = roots.issuers.iter().any(|root| parsed.is_issued_by(root, now, algorithms));
            if issued { Ok(()) } else { Err(error) }
        })
    }

    fn verify_raw(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let parsed = Parsed::of(certificate).ok_or(CertificateError::BadEncoding)?;
        let valid = parsed.has_signed(message, (signed.scheme, signed.signature()), algorithms);
        if valid == Some(true) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            self.verify_chain(roots, certificate, intermediates, now)?;
        }
        if let Some(host) = &self.host {
            let parsed = Parsed::of(certificate).ok_or(CertificateError::BadEncoding)?;
            if !parsed.names(host) {
                return Err(CertificateError::NotValidForName.into());
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
            .or_else(|_| self.verify_raw(message, certificate, signed))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
            .or_else(|_| self.verify_raw(message, certificate, signed))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
