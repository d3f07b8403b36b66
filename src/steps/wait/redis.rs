//! Waits for Redis or Valkey: connects, logs in, selects the database, sends PING. Source: the Redis serialization
//! protocol, version 2. The answer to each of these commands is one line.

use std::io::{self, ErrorKind};

use futures_util::future::{FutureExt, LocalBoxFuture};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};

use super::probe::Probe;
use crate::{
    cause::{Cause, Kind},
    config::{secret::Secret, url::Endpoint},
    database::Attempt,
    deadline::Deadline,
    net::service::{Service, Stream},
};

/// The longest answer to these commands.
const LONGEST_LINE: u64 = 8 * 1024;

/// The answers to AUTH and SELECT, and to PING. A mail server, too, greets with `+OK`.
const DONE: &str = "+OK";
const PONG: &str = "+PONG";

pub(super) struct Redis<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    database: Option<&'a str>,
    service: Service,
}

impl<'a> Redis<'a> {
    pub(super) fn new(url: &'a Endpoint) -> Self {
        let parameter = |names: [&str; 2]| names.into_iter().find_map(|name| url.parameter(name));
        let path = Some(url.path.as_str()).filter(|path| !path.is_empty());
        let is_socket = url.scheme.ends_with("unix");
        let service = if is_socket {
            Service::Socket(format!("/{}", url.path))
        } else {
            let secure = matches!(url.scheme.as_str(), "rediss" | "valkeys");
            Service::new(&url.host, url.port.unwrap_or(6379), secure)
        };
        Self {
            user: url.user.as_deref().or_else(|| parameter(["username", "user"])),
            password: url.password.as_ref().map(Secret::expose).or_else(|| parameter(["password", "pass"])),
            database: path.filter(|_| !is_socket).or_else(|| url.parameter("db")),
            service,
        }
    }

    /// Logs in and pings.
    async fn converse(&self, stream: Box<dyn Stream>) -> Result<(), Attempt> {
        let mut stream = BufStream::new(stream);
        if let Some(password) = self.password {
            let answer = match self.user {
                Some(user) => send(&mut stream, &["AUTH", user, password], DONE).await,
                None => send(&mut stream, &["AUTH", password], DONE).await,
            };
            match answer {
                // Redis had no users before version 6.
                Err(Fault::Refused(line))
                    if self.user.is_some() && line.contains("wrong number of arguments") =>
                {
                    self.judge(send(&mut stream, &["AUTH", password], DONE).await, Command::Login)?;
                }
                answer => self.judge(answer, Command::Login)?,
            }
        }
        if let Some(database) = self.database.filter(|database| *database != "0") {
            self.judge(send(&mut stream, &["SELECT", database], DONE).await, Command::Login)?;
        }
        self.judge(send(&mut stream, &["PING"], PONG).await, Command::Ping)
    }

    fn judge(&self, answer: Result<(), Fault>, command: Command) -> Result<(), Attempt> {
        let line = match answer {
            Ok(()) => return Ok(()),
            Err(Fault::Io(error)) => {
                return Err(Attempt::NotYet(Cause::io("no answer from Redis", &error)));
            }
            Err(Fault::Refused(line)) => line,
        };
        // The first sentence is the cause; a DENIED error has many more.
        let mut why = line.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned();
        // A proxy that does not know AUTH may quote the command.
        if let Some(password) = self.password.filter(|password| !password.is_empty()) {
            why = why.replace(password, "<secret>");
        }
        Err(match line.split(' ').next().unwrap_or_default() {
            "WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED" => {
                Attempt::Never(Cause::new(Kind::Authentication, why))
            }
            "ERR" if command == Command::Login && !line.contains("max number of clients") => {
                Attempt::Never(why.into())
            }
            _ => Attempt::NotYet(why.into()),
        })
    }
}

impl Probe for Redis<'_> {
    fn name(&self) -> String {
        format!("Redis at `{}`", self.service.name())
    }

    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt> {
        let answer = async move {
            let stream = self.service.connect(deadline).await?;
            self.converse(stream).await
        };
        answer.map(|answer| answer.err().unwrap_or(Attempt::Ready)).boxed_local()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    /// AUTH and SELECT: rejections are permanent, unless the server is only full.
    Login,
    Ping,
}

/// Why a command failed.
enum Fault {
    /// The server's error, beginning with its code.
    Refused(String),
    Io(io::Error),
}

/// Sends one command and reads its answer, which is this line or an error.
async fn send(stream: &mut BufStream<Box<dyn Stream>>, words: &[&str], wanted: &str) -> Result<(), Fault> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command += &format!("${}\r\n{word}\r\n", word.len());
    }
    // A full server answers and closes before it reads the command.
    let sent = async { stream.write_all(command.as_bytes()).await.and(stream.flush().await) }.await;
    let mut line = Vec::new();
    let read = stream.take(LONGEST_LINE).read_until(b'\n', &mut line).await;
    let line = String::from_utf8_lossy(&line);
    match (line.strip_suffix("\r\n"), read.and(sent)) {
        (Some(line), _) if line == wanted => Ok(()),
        (Some(line), _) if line.starts_with('-') => Err(Fault::Refused(line[1..].to_owned())),
        (None, Err(error)) => Err(Fault::Io(error)),
        (None, Ok(())) if line.is_empty() => {
            Err(Fault::Io(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")))
        }
        _ => Err(Fault::Io(io::Error::new(ErrorKind::InvalidData, "the answer is not from Redis"))),
    }
}

/// Whether Redis is ready behind this stream.
#[cfg(any(test, fuzzing))]
pub(crate) async fn is_ready(url: &Endpoint, stream: Box<dyn Stream>) -> bool {
    Redis::new(url).converse(stream).await.is_ok()
}

#[cfg(test)]
mod tests;
