//! Connects to a service by its URL: resolves the host, and uses TLS if the URL requires it.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use super::{Target, tls::Roots};
use crate::{
    cause::{Cause, Kind, Unavailable},
    deadline::Deadline,
};

/// A byte stream to a service.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

pub(crate) enum Service {
    Host { target: Target, tls: Option<(String, Roots)> },
    Socket(String),
}

impl Service {
    pub(crate) fn new(host: &str, port: u16, secure: bool) -> Self {
        Self::with_roots(host, port, secure.then(Roots::default))
    }

    /// With TLS if there are roots that it trusts.
    pub(crate) fn with_roots(host: &str, port: u16, roots: Option<Roots>) -> Self {
        let tls = roots.map(|roots| (host.to_owned(), roots));
        Self::Host { target: Target::new(host, port), tls }
    }

    /// The service's address, without credentials.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Host { target, .. } => target.name(),
            Self::Socket(path) => path.clone(),
        }
    }

    pub(crate) async fn connect(&mut self, deadline: Deadline) -> Result<Box<dyn Stream>, Unavailable> {
        match self {
            Self::Host { target, tls } => {
                let stream = target
                    .connect(deadline)
                    .await
                    .map_err(|why| Unavailable::Temporary(Cause::new(Kind::Unreachable, why)))?;
                Ok(match tls {
                    Some((host, roots)) => Box::new(roots.secure(stream, host).await?),
                    None => Box::new(stream),
                })
            }
            Self::Socket(path) => match UnixStream::connect(&path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(Unavailable::Temporary(Cause::io("cannot connect", &error))),
            },
        }
    }
}
