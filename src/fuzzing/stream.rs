//! A connection to a peer that sends the bytes of a fuzzer and reads everything.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) struct Peer {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    /// What the peer has read.
    pub(super) written: Vec<u8>,
}

impl Peer {
    /// Gives the bytes in pieces whose length is in the first one, then the end.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let piece = bytes.first().map_or(1, |byte| usize::from(*byte) + 1);
        Self { bytes: bytes.to_vec(), at: 1, piece, written: Vec::new() }
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.len().min(self.piece).min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
