//! Waits for an AMQP 0-9-1 broker such as RabbitMQ: connects, logs in, opens the virtual host, closes. Implements
//! only the handshake, with the frames of `frame`. Source: the AMQP 0-9-1 specification, chapters 2.2 and 4.2, and
//! RabbitMQ's `authentication_failure_close` extension.

mod frame;

use futures_util::future::{FutureExt, LocalBoxFuture};
use tokio::io::{AsyncRead, AsyncWrite};

use self::frame::{
    Arguments, CLOSE, CLOSE_OK, Channel, Fault, Method, OPEN, OPEN_OK, START, START_OK, TUNE, TUNE_OK,
};
use super::probe::Probe;
use crate::{
    cause::{Cause, Kind},
    config::{secret::Secret, url::Endpoint},
    database::Attempt,
    deadline::Deadline,
    net::service::Service,
};

/// Requests an explicit rejection of a failed login; without it, the broker only closes the connection.
const EXPLICIT_REJECTION: &str = "authentication_failure_close";

/// The reply code of a broker that permanently rejects a login or the access to the virtual host.
const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;

pub(super) struct Amqp {
    login: Login,
    service: Service,
}

impl Amqp {
    pub(super) fn new(url: &Endpoint) -> Self {
        let secure = url.scheme == "amqps";
        let port = url.port.unwrap_or(if secure { 5671 } else { 5672 });
        Self { login: Login::of(url), service: Service::new(&url.host, port, secure) }
    }
}

impl Probe for Amqp {
    fn name(&self) -> String {
        format!("the AMQP broker at `{}`", self.service.name())
    }

    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt> {
        async move {
            let answer = match self.service.connect(deadline).await {
                Ok(stream) => converse(stream, &self.login).await,
                Err(why) => Err(why.into()),
            };
            answer.err().unwrap_or(Attempt::Ready)
        }
        .boxed_local()
    }
}

/// The credentials of an address `amqp://USER:PASSWORD@HOST:PORT/VHOST`, with each part percent-encoded. As in
/// Celery, the text after the first slash is the virtual host; empty means `/`.
struct Login {
    user: Vec<u8>,
    password: Vec<u8>,
    vhost: Vec<u8>,
}

impl Login {
    fn of(url: &Endpoint) -> Self {
        let bytes = |text: Option<&str>, default: &str| text.unwrap_or(default).as_bytes().to_vec();
        Self {
            user: bytes(url.user.as_deref(), "guest"),
            password: bytes(url.password.as_ref().map(Secret::expose), "guest"),
            vhost: bytes(Some(url.path.as_str()).filter(|path| !path.is_empty()), "/"),
        }
    }
}

/// Whether a broker is ready behind this stream.
#[cfg(any(test, fuzzing))]
pub(crate) async fn is_ready(url: &Endpoint, stream: impl AsyncRead + AsyncWrite + Unpin) -> bool {
    converse(stream, &Login::of(url)).await.is_ok()
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, login: &Login) -> Result<(), Attempt> {
    let no_answer = |fault: Fault| Attempt::NotYet(fault.to_string().into());
    let mut channel = Channel::open(stream).await.map_err(no_answer)?;
    let start = expect(&mut channel, START, login).await?;
    let rejects_explicitly = start.holds(EXPLICIT_REJECTION);

    channel.send(START_OK, &start_ok(login)).await.map_err(no_answer)?;
    let tune = match channel.receive().await {
        // A broker without the extension rejects a login only by closing the connection.
        Err(Fault::Closed) if !rejects_explicitly => {
            let why = "it closed the connection at the login";
            return Err(Attempt::Never(Cause::new(Kind::Authentication, why)));
        }
        answer => judge(answer, TUNE, login)?,
    };
    // Any parameters are fine for a connection that ends immediately.
    channel.send(TUNE_OK, &tune).await.map_err(no_answer)?;

    let vhost = Arguments::default().short_text(&login.vhost).short_text(b"").octet(0);
    channel.send(OPEN, &vhost).await.map_err(no_answer)?;
    expect(&mut channel, OPEN_OK, login).await?;

    // The probe has succeeded; closing cleanly only avoids a warning in the broker's log.
    if channel.send(CLOSE, &Arguments::default().short(200).short_text(b"").short(0).short(0)).await.is_ok() {
        let _ = channel.receive().await;
    }
    Ok(())
}

fn start_ok(login: &Login) -> Arguments {
    let capabilities = Arguments::default().short_text(EXPLICIT_REJECTION.as_bytes()).octet(b't').octet(1);
    let properties = Arguments::default()
        .short_text(b"product")
        .octet(b'S')
        .long_text(b"portcullis")
        .short_text(b"capabilities")
        .octet(b'F')
        .long_text(capabilities.bytes());
    let response = [b"\0", login.user.as_slice(), b"\0", login.password.as_slice()].concat();
    Arguments::default()
        .long_text(properties.bytes())
        .short_text(b"PLAIN")
        .long_text(&response)
        .short_text(b"en_US")
}

async fn expect<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &mut Channel<S>,
    wanted: Method,
    login: &Login,
) -> Result<Arguments, Attempt> {
    judge(channel.receive().await, wanted, login)
}

/// Returns the arguments of the expected method, or the result that another answer means.
fn judge(
    answer: Result<(Method, Arguments), Fault>,
    wanted: Method,
    login: &Login,
) -> Result<Arguments, Attempt> {
    match answer {
        Ok((method, arguments)) if method == wanted => Ok(arguments),
        Ok((CLOSE, arguments)) => Err(refusal(&arguments, login)),
        Ok((CLOSE_OK, _)) | Err(Fault::Closed) => Err(Attempt::NotYet(Fault::Closed.to_string().into())),
        Ok((method, _)) => Err(Attempt::NotYet(format!("an unexpected answer: {method:?}").into())),
        Err(Fault::Version) => Err(Attempt::Never(Fault::Version.to_string().into())),
        Err(fault) => Err(Attempt::NotYet(fault.to_string().into())),
    }
}

/// A broker that is full or shutting down rejects every client temporarily; other rejections are permanent.
fn refusal(arguments: &Arguments, login: &Login) -> Attempt {
    let (code, text) = arguments.reply();
    // The first sentence is the cause; the second refers to the broker's log.
    let mut why = format!("{code} {}", text.split(". ").next().unwrap_or_default().trim_end_matches('.'));
    let password = String::from_utf8_lossy(&login.password);
    if !password.is_empty() && login.password != login.user {
        why = why.replace(password.as_ref(), "<secret>");
    }
    match code {
        ACCESS_REFUSED => Attempt::Never(Cause::new(Kind::Authentication, why)),
        NOT_ALLOWED if !text.contains("limit") => Attempt::Never(why.into()),
        _ => Attempt::NotYet(why.into()),
    }
}

#[cfg(test)]
mod tests;
