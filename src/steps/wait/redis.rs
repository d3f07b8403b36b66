//! One look at Redis: connect, log in, select the database, PING.
//!
//! The redis crate brings the protocol; the login is sent here, because the crate's own reports every
//! refusal as a wrong password, also that of a server which has no room for another client.

use std::pin::pin;

use redis::{Cmd, RedisConnectionInfo, RedisError, RedisResult, aio::MultiplexedConnection, cmd};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use super::{network, tls};
use crate::{config::url::Endpoint, database::Attempt};

const PORT: u16 = 6379;

pub(super) async fn look(url: &Endpoint) -> Attempt {
    let login = &login(url);
    let answer = match socket(url) {
        Some(path) => match UnixStream::connect(path).await {
            Ok(stream) => converse(stream, login).await,
            Err(error) => Err(Attempt::NotYet(format!("cannot connect: {error}"))),
        },
        None => match network::connect(&url.host, url.port.unwrap_or(PORT)).await {
            Ok(stream) if matches!(url.scheme.as_str(), "rediss" | "valkeys") => {
                match tls::secure(stream, &url.host).await {
                    Ok(stream) => converse(stream, login).await,
                    Err(attempt) => Err(attempt),
                }
            }
            Ok(stream) => converse(stream, login).await,
            Err(why) => Err(Attempt::NotYet(why)),
        },
    };
    answer.err().unwrap_or(Attempt::Ready)
}

/// Where it is, without credentials.
pub(super) fn name(url: &Endpoint) -> String {
    socket(url).map_or_else(
        || format!("Redis at `{}`", network::address(&url.host, url.port.unwrap_or(PORT))),
        |path| format!("Redis at `{path}`"),
    )
}

/// The path of a Unix socket.
fn socket(url: &Endpoint) -> Option<String> {
    url.scheme.ends_with("unix").then(|| format!("/{}", url.path))
}

/// The database is the path, or a parameter, as is the login of a socket.
fn login(url: &Endpoint) -> RedisConnectionInfo {
    let parameter = |names: [&str; 2]| names.into_iter().find_map(|name| url.parameter(name));
    let user = url.user.as_deref().or_else(|| parameter(["username", "user"]));
    let password = url.password.as_ref().map(|password| password.expose());
    let path = Some(url.path.as_str()).filter(|path| !path.is_empty() && socket(url).is_none());
    let database = path.or_else(|| url.parameter("db")).and_then(|number| number.parse().ok());
    let mut login = RedisConnectionInfo::default().set_db(database.unwrap_or(0));
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password.or_else(|| parameter(["password", "pass"])) {
        login = login.set_password(password);
    }
    login
}

async fn converse<S>(stream: S, login: &RedisConnectionInfo) -> Result<(), Attempt>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
    let made = MultiplexedConnection::new(&silent, stream).await;
    let (mut connection, driver) = made.map_err(|error| judge(&error, Asked::Ping, None))?;
    let password = login.password();
    let mut exchange = pin!(async {
        log_in(&mut connection, login).await.map_err(|error| judge(&error, Asked::Login, password))?;
        let pong = send(&mut connection, &cmd("PING")).await;
        pong.map_err(|error| judge(&error, Asked::Ping, password))
    });
    tokio::select! {
        answer = &mut exchange => answer,
        // A server that closes the connection may have answered before.
        () = driver => exchange.await,
    }
}

async fn log_in(connection: &mut MultiplexedConnection, login: &RedisConnectionInfo) -> RedisResult<()> {
    if let Some(password) = login.password() {
        let named = login.username().map(|name| cmd("AUTH").arg(name).arg(password).clone());
        let unnamed = cmd("AUTH").arg(password).clone();
        match send(connection, named.as_ref().unwrap_or(&unnamed)).await {
            // Before version 6 there were no users.
            Err(error) if named.is_some() && says(&error, "wrong number of arguments") => {
                send(connection, &unnamed).await?;
            }
            answer => answer?,
        }
    }
    if login.db() != 0 {
        send(connection, cmd("SELECT").arg(login.db())).await?;
    }
    Ok(())
}

async fn send(connection: &mut MultiplexedConnection, command: &Cmd) -> RedisResult<()> {
    command.query_async::<redis::Value>(connection).await.map(drop)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// AUTH and SELECT: what they refuse stays refused, unless the server is merely full.
    Login,
    Ping,
}

fn judge(error: &RedisError, asked: Asked, password: Option<&str>) -> Attempt {
    let Some(code) = error.code() else {
        return Attempt::NotYet(format!("no answer from Redis: {error}"));
    };
    // The first sentence says it; what DENIED goes on to explain would fill a page.
    let sentence = error.detail().unwrap_or_default().split(". ").next().unwrap_or_default();
    let mut why = format!("{code} {}", sentence.trim_end_matches('.'));
    // A proxy that does not know AUTH may quote it.
    if let Some(password) = password.filter(|password| !password.is_empty()) {
        why = why.replace(password, "<secret>");
    }
    match code {
        "WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED" => Attempt::Never(why),
        "ERR" if asked == Asked::Login && !says(error, "max number of clients") => Attempt::Never(why),
        _ => Attempt::NotYet(why),
    }
}

fn says(error: &RedisError, words: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(words))
}

#[cfg(test)]
mod tests;
