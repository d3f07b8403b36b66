//! Secures an open connection with TLS. Trusts Mozilla's roots, the roots in the image, and a file of roots.

use std::{path::PathBuf, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::CERTIFICATE_BUNDLES;
use crate::{
    cause::{Cause, Kind, Unavailable},
    files,
};

/// The trusted roots, read at the first connection.
#[derive(Default, Clone)]
pub(crate) struct Roots {
    /// A file that is trusted, too.
    file: Option<PathBuf>,
    config: Option<Arc<ClientConfig>>,
}

impl Roots {
    pub(crate) fn with_file(file: Option<PathBuf>) -> Self {
        Self { file, config: None }
    }

    /// Secures the connection. An untrusted certificate is a permanent failure.
    pub(crate) async fn secure(
        &mut self,
        stream: TcpStream,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, Unavailable> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let permanent = |text: String| Unavailable::Permanent(Cause::new(Kind::Certificate, text));
        let name = ServerName::try_from(host).map_err(|error| permanent(error.to_string()))?;
        let config = if let Some(config) = &self.config {
            Arc::clone(config)
        } else {
            let bundles: Vec<_> =
                CERTIFICATE_BUNDLES.map(PathBuf::from).into_iter().chain(self.file.clone()).collect();
            let read = files::within(files::TIMEOUT, move || Ok(trusting(&bundles))).await;
            let config = read
                .map_err(|error| Unavailable::Temporary(Cause::io("cannot read certificates", &error)))?
                .map_err(|error| permanent(error.to_string()))?;
            Arc::clone(self.config.insert(Arc::new(config)))
        };
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(bad @ rustls::Error::InvalidCertificate(_)) => permanent(bad.to_string()),
                _ => Unavailable::Temporary(format!("no TLS: {error}").into()),
            }
        })
    }
}

fn trusting(bundles: &[PathBuf]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // An image without a bundle, or with an unreadable entry, still has Mozilla's roots.
    for found in bundles.iter().filter_map(|bundle| CertificateDer::pem_file_iter(bundle).ok()) {
        roots.add_parsable_certificates(found.flatten());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{path::Path, process::Command};

    use tokio::net::TcpListener;
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ServerConfig, pki_types::PrivateKeyDer},
    };

    use super::*;

    /// A self-signed certificate for `localhost`, and a listener that presents it once.
    async fn server(folder: &Path) -> (TcpStream, PathBuf) {
        let (key, cert) = (folder.join("key.pem"), folder.join("cert.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        openssl.arg("-keyout").arg(&key).arg("-out").arg(&cert);
        assert_cmd::Command::from_std(openssl).assert().success();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(&cert).unwrap()],
                PrivateKeyDer::from_pem_file(&key).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // The client may reject the certificate, which the server sees as an error.
            drop(TlsAcceptor::from(Arc::new(config)).accept(stream).await);
        });
        (stream, cert)
    }

    #[tokio::test]
    async fn an_untrusted_certificate_is_a_permanent_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (stream, _) = server(folder.path()).await;
        let refusal = Roots::default().secure(stream, "localhost").await.unwrap_err();
        assert!(
            matches!(refusal, Unavailable::Permanent(why) if why.text == "invalid peer certificate: UnknownIssuer")
        );
    }

    #[tokio::test]
    async fn a_certificate_for_another_name_is_a_permanent_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (stream, cert) = server(folder.path()).await;
        let refusal = Roots::with_file(Some(cert)).secure(stream, "example.org").await.unwrap_err();
        assert!(matches!(refusal, Unavailable::Permanent(why) if why.text.contains("not valid for name")));
    }

    #[tokio::test]
    async fn a_certificate_in_the_file_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let (stream, cert) = server(folder.path()).await;
        assert!(Roots::with_file(Some(cert)).secure(stream, "localhost").await.is_ok());
    }

    #[tokio::test]
    async fn a_port_without_tls_is_retried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        drop(listener.accept().await.unwrap());
        let refusal = Roots::default().secure(stream, "localhost").await;
        assert!(matches!(refusal, Err(Unavailable::Temporary(_))));
    }
}
