//! Encodes and decodes AMQP's frames and method arguments, as far as a handshake needs them.

use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A method, with its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Method(pub(super) u16, pub(super) u16);

pub(super) const START: Method = Method(10, 10);
pub(super) const START_OK: Method = Method(10, 11);
pub(super) const TUNE: Method = Method(10, 30);
pub(super) const TUNE_OK: Method = Method(10, 31);
pub(super) const OPEN: Method = Method(10, 40);
pub(super) const OPEN_OK: Method = Method(10, 41);
pub(super) const CLOSE: Method = Method(10, 50);
pub(super) const CLOSE_OK: Method = Method(10, 51);

/// The client's greeting: the protocol and its version, 0-9-1.
pub(super) const GREETING: [u8; 8] = *b"AMQP\0\0\x09\x01";

const METHOD_FRAME: u8 = 1;
const HEARTBEAT_FRAME: u8 = 8;
const FRAME_END: u8 = 0xCE;

/// The largest accepted frame; a larger one is not AMQP.
const LONGEST: usize = 128 * 1024;

/// Why no method was received.
#[derive(Debug)]
pub(super) enum Fault {
    Closed,
    /// The peer speaks another version of AMQP.
    Version,
    NotAmqp,
    Io(io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("it closed the connection"),
            Self::Version => f.write_str("it does not speak AMQP 0-9-1"),
            Self::NotAmqp => f.write_str("its answer is not AMQP"),
            Self::Io(error) => write!(f, "no answer: {error}"),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::Closed
            }
            _ => Self::Io(error),
        }
    }
}

/// A connection's channel 0, on which connections are negotiated.
pub(super) struct Channel<S> {
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) async fn open(mut stream: S) -> Result<Self, Fault> {
        stream.write_all(&GREETING).await?;
        stream.flush().await?;
        Ok(Self { stream })
    }

    pub(super) async fn send(&mut self, method: Method, arguments: &Arguments) -> Result<(), Fault> {
        let payload = Arguments::default().short(method.0).short(method.1).then(arguments);
        let mut frame = vec![METHOD_FRAME, 0, 0];
        frame.extend(length(payload.bytes()));
        frame.extend(payload.bytes());
        frame.push(FRAME_END);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Receives the next method; heartbeats are skipped.
    pub(super) async fn receive(&mut self) -> Result<(Method, Arguments), Fault> {
        loop {
            let mut head = [0; 7];
            self.stream.read_exact(&mut head).await?;
            if head.starts_with(b"AMQP") {
                return Err(Fault::Version);
            }
            let size = usize::try_from(u32::from_be_bytes([head[3], head[4], head[5], head[6]]))
                .map_err(|_| Fault::NotAmqp)?;
            if !matches!(head[0], METHOD_FRAME | HEARTBEAT_FRAME) || size > LONGEST {
                return Err(Fault::NotAmqp);
            }
            let mut payload = vec![0; size + 1];
            self.stream.read_exact(&mut payload).await?;
            if payload.pop() != Some(FRAME_END) {
                return Err(Fault::NotAmqp);
            }
            if head[0] == METHOD_FRAME {
                let (Some(class), Some(method)) = (short(&payload, 0), short(&payload, 2)) else {
                    return Err(Fault::NotAmqp);
                };
                return Ok((Method(class, method), Arguments(payload.split_off(4))));
            }
        }
    }
}

/// The encoded arguments of a method.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arguments(pub(super) Vec<u8>);

impl Arguments {
    pub(super) fn octet(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn short(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Truncates to the 255 bytes that a short text can have.
    pub(super) fn short_text(mut self, text: &[u8]) -> Self {
        let text = &text[..text.len().min(usize::from(u8::MAX))];
        self.0.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.0.extend(text);
        self
    }

    /// A long text or a table; both have the same encoding.
    pub(super) fn long_text(mut self, text: &[u8]) -> Self {
        self.0.extend(length(text));
        self.0.extend(text);
        self
    }

    pub(super) fn then(mut self, more: &Self) -> Self {
        self.0.extend(&more.0);
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the broker's properties contain this capability. A broker lists only capabilities that it has.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.0.windows(name.len()).any(|window| window == name.as_bytes())
    }

    /// The reply code and text of a `close`.
    pub(super) fn reply(&self) -> (u16, String) {
        let length = self.0.get(2).copied().map_or(0, usize::from);
        let text = self.0.get(3..3 + length).unwrap_or_default();
        (short(&self.0, 0).unwrap_or(0), String::from_utf8_lossy(text).into_owned())
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}
