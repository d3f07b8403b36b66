//! Connects to a service by its URL: resolves the host, and uses TLS if the URL requires it.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use crate::{
    cause::Cause,
    database::Attempt,
    deadline::Deadline,
    net::{Target, tls::Roots},
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
        let tls = secure.then(|| (host.to_owned(), Roots::default()));
        Self::Host { target: Target::new(host, port), tls }
    }

    /// The service's address, without credentials.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Host { target, .. } => target.name(),
            Self::Socket(path) => path.clone(),
        }
    }

    pub(crate) async fn connect(&mut self, deadline: Deadline) -> Result<Box<dyn Stream>, Attempt> {
        match self {
            Self::Host { target, tls } => {
                let stream = target.connect(deadline).await.map_err(|why| Attempt::NotYet(why.into()))?;
                Ok(match tls {
                    Some((host, roots)) => Box::new(roots.secure(stream, host).await?),
                    None => Box::new(stream),
                })
            }
            Self::Socket(path) => match UnixStream::connect(&path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(Attempt::NotYet(Cause::io("cannot connect", &error))),
            },
        }
    }
}
