//! TLS to the server: reads certificates and keys by libpq's rules, and secures a socket.

mod certificate;
mod verify;

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio_postgres::tls::TlsConnect;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use self::{
    certificate::Parsed,
    verify::{Roots, Verifier},
};
use super::{
    message_limits::MessageLimits,
    stream::{PlainSocket, TlsSocket},
};
use crate::{
    cause::{Cause, Kind},
    config::SYSTEM_ROOTS,
    database::DatabaseError,
    files,
    net::CERTIFICATE_BUNDLES,
};

const MAX_SIZE: u64 = 4 << 20;

/// The certificates, the key and the rules of one connection.
pub(super) struct TlsSettings {
    roots: TrustedRoots,
    verify_host: bool,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    versions: Vec<&'static SupportedProtocolVersion>,
    sni: bool,
}

enum TrustedRoots {
    Any,
    Public,
    File(String, Vec<CertificateDer<'static>>),
    System(Vec<CertificateDer<'static>>),
}

impl TlsSettings {
    /// Reads the files in a separate thread.
    pub(super) async fn read(parameters: &BTreeMap<String, String>) -> Result<Self, DatabaseError> {
        let parameters = parameters.clone();
        let read = files::within(files::TIMEOUT, move || Ok(Self::read_now(&parameters))).await;
        read.map_err(|error| Cause::io("cannot read the certificates", &error))
            .flatten()
            .map_err(DatabaseError::Never)
    }

    fn read_now(parameters: &BTreeMap<String, String>) -> Result<Self, Cause> {
        let parameter = |name: &str| parameters.get(name).map(String::as_str);
        let mode = parameter("sslmode").unwrap_or_default();
        let roots = match parameter("sslrootcert") {
            Some(SYSTEM_ROOTS) => system_roots()?,
            path => file_roots(path, mode)?,
        };
        let identity = match parameter("sslcertmode") {
            Some("disable") => None,
            _ => identity(parameter("sslcert"), parameter("sslkey"))?,
        };
        let limit = |name| parameter(name).map(str::to_ascii_lowercase);
        let mut versions = vec![&TLS13, &TLS12];
        if limit("ssl_min_protocol_version").as_deref() == Some("tlsv1.3") {
            versions.retain(|version| *version == &TLS13);
        }
        match limit("ssl_max_protocol_version").as_deref() {
            None | Some("tlsv1.3") => {}
            Some("tlsv1.2") => versions.retain(|version| *version == &TLS12),
            Some(_) => versions.clear(),
        }
        if versions.is_empty() {
            let why = "`ssl_min_protocol_version` and `ssl_max_protocol_version` leave no version: TLS 1.2 and 1.3 are supported";
            return Err(Cause::new(Kind::Certificate, why));
        }
        Ok(Self {
            verify_host: mode == "verify-full" || parameter("sslrootcert") == Some(SYSTEM_ROOTS),
            roots,
            identity,
            versions,
            sni: parameter("sslsni") != Some("0"),
        })
    }

    /// Secures connections to this host, whose name the certificate must have with `verify-full`.
    pub(super) fn connector(&self, host: &str) -> Result<Connector, DatabaseError> {
        let wrong = |why: String| DatabaseError::Never(Cause::new(Kind::Certificate, why));
        let now = UnixTime::now();
        let roots = match &self.roots {
            TrustedRoots::Any => None,
            TrustedRoots::Public => Some(Roots::public()),
            TrustedRoots::System(certificates) => {
                Some(Roots::of(certificates.clone(), now, false).map_err(wrong)?)
            }
            TrustedRoots::File(path, certificates) => {
                let roots = Roots::of(certificates.clone(), now, true);
                Some(roots.map_err(|why| wrong(format!("cannot use `sslrootcert` at `{path}`: {why}")))?)
            }
        };
        if self.verify_host && host.is_empty() {
            return Err(wrong("`sslmode=verify-full` needs `host`: the certificate has a name".into()));
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            provider: Arc::clone(&provider),
            roots,
            host: self.verify_host.then(|| host.to_owned()),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .map_err(|error| wrong(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| wrong(format!("cannot use `sslcert` and `sslkey`: {error}")))?,
        };
        let name = ServerName::try_from(host.to_owned());
        config.enable_sni = self.sni && matches!(name, Ok(ServerName::DnsName(_)));
        // The verifier does not use this name.
        let name = name.unwrap_or_else(|_| ServerName::from(IpAddr::from([0, 0, 0, 0])));
        Ok(Connector { tls: Some((Arc::new(config), name)), used: Used::default() })
    }
}

/// Secures one socket.
pub(super) struct Connector {
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    used: Used,
}

/// Whether the server has agreed to encrypt.
#[derive(Clone, Default)]
pub(super) struct Used(Arc<AtomicBool>);

impl Used {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Connector {
    /// For a connection without encryption.
    pub(super) fn none() -> Self {
        Self { tls: None, used: Used::default() }
    }

    pub(super) fn used(&self) -> Used {
        self.used.clone()
    }
}

impl TlsConnect<PlainSocket> for Connector {
    type Stream = TlsSocket;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TlsSocket>> + Send>>;

    fn connect(self, socket: PlainSocket) -> Self::Future {
        Box::pin(async move {
            self.used.0.store(true, Ordering::Relaxed);
            let (config, name) = self.tls.ok_or(io::ErrorKind::Unsupported)?;
            let inner = TlsConnector::from(config).connect(name, socket.inner).await?;
            let certificates = inner.get_ref().1.peer_certificates();
            let end_point =
                certificates.and_then(|list| Parsed::of(list.first()?)).and_then(|one| one.end_point());
            Ok(TlsSocket { inner, limits: MessageLimits::new(false), end_point })
        })
    }
}

/// The image's certificates; Mozilla's if it has none.
fn system_roots() -> Result<TrustedRoots, Cause> {
    for bundle in CERTIFICATE_BUNDLES {
        let what = "the system's certificates";
        if let Some(pem) = if_present(what, Path::new(bundle))? {
            let certificates = CertificateDer::pem_slice_iter(&pem).flatten().collect();
            return Ok(TrustedRoots::System(certificates));
        }
    }
    Ok(TrustedRoots::Public)
}

/// As in libpq, a file that exists implies the verification of the chain; only `verify-ca` and `verify-full` need it.
fn file_roots(path: Option<&str>, mode: &str) -> Result<TrustedRoots, Cause> {
    let pem = path.map(|path| if_present("`sslrootcert`", Path::new(path))).transpose()?.flatten();
    match (path, pem) {
        (Some(path), Some(pem)) => {
            let certificates = certificates("`sslrootcert`", path, &pem)?;
            Ok(TrustedRoots::File(path.to_owned(), certificates))
        }
        (path, _) if mode.starts_with("verify") => {
            let missing = path.map_or_else(String::new, |path| format!(", and `{path}` does not exist"));
            let why = format!(
                "`sslmode={mode}` needs trusted certificates{missing}: give `sslrootcert`, the path of a file or `system`"
            );
            Err(Cause::new(Kind::Certificate, why))
        }
        (path, _) => {
            if let Some(path) = path {
                tracing::warn!(
                    "the server's certificate is not verified, because `sslrootcert` at `{path}` does not exist"
                );
            }
            Ok(TrustedRoots::Any)
        }
    }
}

/// The client's certificate and key. Without a certificate the key is not used; without a key the certificate is an error.
fn identity(
    certificate: Option<&str>,
    key: Option<&str>,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Cause> {
    let Some(path) = certificate else { return Ok(None) };
    let Some(pem) = if_present("`sslcert`", Path::new(path))? else { return Ok(None) };
    let chain = certificates("`sslcert`", path, &pem)?;
    let Some(key) = key.map(PathBuf::from) else {
        let why = "`sslcert` needs `sslkey`, the file with its private key";
        return Err(Cause::new(Kind::Certificate, why));
    };
    let shown = key.display();
    let unreadable = |error: &io::Error| Cause::io(&format!("cannot read `sslkey` at `{shown}`"), error);
    let metadata = files::metadata_now(&key).map_err(|error| unreadable(&error))?;
    // libpq's rule: root's key may be readable for its group.
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        let why = format!(
            "other users can read the private key `{shown}`: change its mode to 0600, or to 0640 if root owns it"
        );
        return Err(Cause::new(Kind::File, why));
    }
    let pem = files::read_now(&key, MAX_SIZE).map_err(|error| unreadable(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let why = format!("`sslkey` at `{shown}` contains no private key without a password, in PEM format");
        Cause::new(Kind::File, why)
    })?;
    Ok(Some((chain, key)))
}

fn certificates(what: &str, path: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok().filter(|list| !list.is_empty()).ok_or_else(|| {
        Cause::new(Kind::File, format!("{what} at `{path}` contains no certificate in PEM format"))
    })
}

/// None if the file does not exist.
fn if_present(what: &str, path: &Path) -> Result<Option<Vec<u8>>, Cause> {
    match files::read_now(path, MAX_SIZE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Cause::io(&format!("cannot read {what} at `{}`", path.display()), &error)),
    }
}
