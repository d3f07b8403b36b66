//! The transport of a connection: TCP or a Unix socket, with or without TLS. Messages beyond the limits are errors.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};
use tokio_rustls::client;

use super::message_limits::MessageLimits;

/// An open socket.
pub(super) type Socket = Box<dyn Stream>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A stream whose messages are checked before the driver reads them.
pub(super) struct Checked<S> {
    pub(super) inner: S,
    pub(super) limits: MessageLimits,
    /// The hash of the server's certificate for channel binding (RFC 5929, `tls-server-end-point`).
    pub(super) end_point: Option<Vec<u8>>,
}

pub(super) type PlainSocket = Checked<Socket>;
pub(super) type TlsSocket = Checked<client::TlsStream<Socket>>;

impl TlsStream for TlsSocket {
    fn channel_binding(&self) -> ChannelBinding {
        self.end_point.clone().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let checked = self.limits.check(&buf.filled()[before..]);
        if checked.is_err() {
            // A read that fails returns no bytes.
            buf.set_filled(before);
        }
        Poll::Ready(checked)
    }
}

/// Reads a server's bytes to their end or to the first error: the bytes for the driver, the error, and the size of what the
/// limits store.
#[cfg(any(test, fuzzing))]
pub(crate) async fn read_checked(
    server: impl AsyncRead + Unpin,
    negotiates: bool,
) -> (Vec<u8>, Option<String>, usize) {
    let mut checked = Checked { inner: server, limits: MessageLimits::new(negotiates), end_point: None };
    let mut passed = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut checked, &mut passed).await;
    (passed, read.err().map(|error| error.to_string()), checked.limits.stored())
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
