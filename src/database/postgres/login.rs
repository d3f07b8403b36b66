//! Logs in as libpq does: tries the hosts in order, negotiates TLS, authenticates, and checks the session.

use std::{io, path::PathBuf, time::Duration};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::{
    Config,
    config::{ChannelBinding, SslMode},
};

use super::{
    super::DatabaseError,
    columns::flag,
    connection::Connection,
    error::QueryError,
    message_limits::MessageLimits,
    refusal::{Refusal, Stage},
    stream::{PlainSocket, Socket},
    tls::{Connector, TlsSettings},
};
use crate::{
    cause::{Cause, Kind},
    config::{
        self, Password,
        libpq::{hosts::Host, passfile},
    },
    credentials::{self, LoginPassword},
    deadline::Deadline,
    files, net,
    retry::{Pauses, Retry},
};

/// Per host, for the name resolution, the connection and the login together, unless `connect_timeout` is given.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// libpq's lower limit of `connect_timeout`.
const MIN_TIMEOUT: Duration = Duration::from_secs(2);

/// While containers start, a name server may not know a name for a moment.
const RESOLUTION_ATTEMPTS: u32 = 5;
const RESOLUTION_PAUSES: Pauses = Pauses::even(Duration::from_millis(400));

/// The state that `target_session_attrs` demands: whether the server is a standby, and whether the session is read-only.
const SESSION: &str = "SELECT pg_catalog.pg_is_in_recovery()::text, \
    (pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('default_transaction_read_only')::bool)::text";

/// Everything for a login. The driver's options contain the password, so they never leave this file.
pub(super) struct Login<'c> {
    config: &'c config::Postgres,
    application: &'c str,
    password: Option<LoginPassword>,
    /// The lines of the password file, or why it is not used.
    passfile: Result<String, String>,
    /// None without encryption. As in libpq, unusable files fail only a connection that the server agrees to encrypt.
    tls: Option<Result<TlsSettings, DatabaseError>>,
}

impl<'c> Login<'c> {
    /// Reads the password and the certificates again. `refused` is the login whose password the server has refused.
    pub(super) async fn read(
        config: &'c config::Postgres,
        name: Option<&'c str>,
        refused: Option<&Self>,
    ) -> Result<Self, DatabaseError> {
        let never = |error| DatabaseError::Never(Cause::new(Kind::File, error));
        let refused = refused.and_then(|login| login.password.as_ref());
        let parameter = |name: &str| config.parameters.get(name).map(String::as_str);
        let application = name.or(parameter("application_name")).or(parameter("fallback_application_name"));
        let application = application.unwrap_or("portcullis");
        if let (Password::Command { .. }, None) = (&config.password, refused) {
            // A command is not run for a server that cannot be reached.
            Self { config, application, password: None, passfile: Ok(String::new()), tls: None }
                .reach()
                .await?;
        }
        let password = credentials::password(config, refused).await?;
        let mut passfile = Ok(String::new());
        if let (None, Some(path)) = (&password, parameter("passfile").map(PathBuf::from)) {
            let lines = files::within(files::TIMEOUT, move || Ok(passfile::read_now(&path))).await;
            passfile = lines.map_err(|error| never(format!("cannot read the password file: {error}")))?;
        }
        let encrypts = parameter("sslmode") != Some("disable") && !config.hosts.iter().all(Host::is_socket);
        let tls = if encrypts { Some(TlsSettings::read(&config.parameters).await) } else { None };
        Ok(Self { config, application, password, passfile, tls })
    }

    pub(super) fn has_same_password(&self, other: &Self) -> bool {
        self.password == other.password && self.passfile == other.passfile
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.config.parameters.get(name).map(String::as_str)
    }

    /// The first suitable session. Only a host that cannot be reached or is unsuitable makes libpq try the next one.
    pub(super) async fn connect(&self) -> Result<Connection, DatabaseError> {
        let mut hosts: Vec<&Host> = self.config.hosts.iter().collect();
        if self.parameter("load_balance_hosts") == Some("random") {
            fastrand::shuffle(&mut hosts);
        }
        let rounds: &[&str] = match self.parameter("target_session_attrs") {
            Some("prefer-standby") => &["standby", "any"],
            Some(other) => &[other],
            None => &["any"],
        };
        let mut last = Err(DatabaseError::TimedOut);
        for round in rounds {
            for host in &hosts {
                let session = async { check_session(self.on_host(host).await?, host, round).await };
                match self.with_timeout(host, session).await {
                    Err(Refusal { error, stage: Stage::Unreachable }) => last = Err(error),
                    outcome => return outcome.map_err(|refusal| refusal.error),
                }
            }
        }
        last
    }

    /// Succeeds if one of the hosts accepts a connection.
    async fn reach(&self) -> Result<(), DatabaseError> {
        let mut last = Err(DatabaseError::TimedOut);
        for host in &self.config.hosts {
            match self.with_timeout(host, self.open(host)).await {
                Ok(_) => return Ok(()),
                Err(refusal) => last = Err(refusal.error),
            }
        }
        last
    }

    async fn open(&self, host: &Host) -> Result<Socket, Refusal> {
        self.socket(host).await.map_err(|error| Refusal::of_socket(&host.to_string(), &error))
    }

    async fn with_timeout<T>(
        &self,
        host: &Host,
        login: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let seconds = self.parameter("connect_timeout").and_then(|text| text.trim().parse().ok());
        let limit = match seconds.map(Duration::from_secs) {
            None | Some(Duration::ZERO) => CONNECT_TIMEOUT,
            Some(limit) => limit.max(MIN_TIMEOUT),
        };
        Deadline::after(limit).limit(login).await.unwrap_or_else(|_| {
            let text = format!("{host} did not respond within {}", crate::words::duration(limit));
            Err(Refusal::unreachable(DatabaseError::NotYet(Cause::new(Kind::Silent, text))))
        })
    }

    /// Tries the ways that `sslmode` allows, in libpq's order.
    async fn on_host(&self, host: &Host) -> Result<Connection, Refusal> {
        let Some(tls) = self.tls.as_ref().filter(|_| !host.is_socket()) else {
            return self.attempt(host, SslMode::Disable, Connector::none()).await;
        };
        match self.parameter("sslmode") {
            None | Some("prefer") => match self.encrypted(host, SslMode::Prefer, tls).await {
                (Err(first), true) if first.stage != Stage::Unreachable => {
                    let second = self.attempt(host, SslMode::Disable, Connector::none()).await;
                    second.map_err(|second| clearer(first, second))
                }
                (outcome, _) => outcome,
            },
            Some("allow") => match self.attempt(host, SslMode::Disable, Connector::none()).await {
                Err(first) if matches!(first.stage, Stage::Login | Stage::NotAllowed) => {
                    let (second, _) = self.encrypted(host, SslMode::Require, tls).await;
                    second.map_err(|second| clearer(first, second))
                }
                outcome => outcome,
            },
            _ => self.encrypted(host, SslMode::Require, tls).await.0,
        }
    }

    /// The result of an attempt with TLS, and whether the server has agreed to encrypt.
    async fn encrypted(
        &self,
        host: &Host,
        mode: SslMode,
        tls: &Result<TlsSettings, DatabaseError>,
    ) -> (Result<Connection, Refusal>, bool) {
        let (connector, unusable) = match tls.as_ref().map_err(DatabaseError::clone) {
            Ok(tls) => {
                tls.connector(&host.name).map_or_else(|why| (Connector::none(), Some(why)), |one| (one, None))
            }
            Err(why) => (Connector::none(), Some(why)),
        };
        let used = connector.used();
        let outcome = self.attempt(host, mode, connector).await;
        match unusable.filter(|_| used.get()) {
            Some(error) => (Err(Refusal { error, stage: Stage::Handshake }), true),
            None => (outcome, used.get()),
        }
    }

    async fn attempt(&self, host: &Host, mode: SslMode, connector: Connector) -> Result<Connection, Refusal> {
        let socket = self.open(host).await?;
        let mut driver = Config::new();
        driver
            .user(&self.config.user)
            .dbname(&self.config.name)
            .application_name(self.application)
            .ssl_mode(mode)
            .channel_binding(match self.parameter("channel_binding") {
                Some("require") => ChannelBinding::Require,
                Some("disable") => ChannelBinding::Disable,
                _ => ChannelBinding::Prefer,
            });
        if let Some(options) = self.parameter("options") {
            driver.options(options);
        }
        let in_file = || {
            let lines = self.passfile.as_ref().ok()?;
            passfile::password(lines, host, &self.config.name, &self.config.user)
        };
        let given = self.password.as_ref().map(|password| password.of(host, &self.config.user)).transpose();
        let given = given.map_err(|why| Refusal { error: why.into(), stage: Stage::Login })?;
        if let Some(password) = given.or_else(in_file) {
            driver.password(password.expose());
        }
        let limits = MessageLimits::new(mode != SslMode::Disable);
        let socket = PlainSocket { inner: socket, limits, end_point: None };
        let connected = driver.connect_raw(socket, connector).await;
        connected
            .map(|(client, driver)| Connection::new(client, driver))
            .map_err(|error| Refusal::of_login(host, self.passfile.as_ref().err(), error))
    }

    async fn socket(&self, host: &Host) -> io::Result<Socket> {
        if host.is_socket() {
            let folder =
                host.name.strip_prefix('@').map_or_else(|| host.name.clone(), |name| format!("\0{name}"));
            let path = format!("{folder}/.s.PGSQL.{}", host.port);
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        let mut retry = Retry::new(RESOLUTION_PAUSES).at_most(RESOLUTION_ATTEMPTS);
        loop {
            let connected = net::connect(host.target(), host.port).await;
            let unresolved = connected.as_ref().is_err_and(is_name_resolution_error);
            if !unresolved || !retry.pause().await {
                return self.tuned(connected?);
            }
        }
    }

    /// The parameters of the URL replace the settings of `net`, as with libpq: the kernel ignores a count of probes while a user
    /// time-out is set.
    fn tuned(&self, stream: TcpStream) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let number = |name| self.parameter(name).and_then(|text| text.trim().parse::<u32>().ok());
        let given = |name| number(name).filter(|number| *number > 0);
        if self.parameter("keepalives") == Some("0") {
            setsockopt(&stream, sockopt::KeepAlive, &false)?;
        }
        if let Some(seconds) = given("keepalives_idle") {
            setsockopt(&stream, sockopt::TcpKeepIdle, &seconds)?;
        }
        if let Some(seconds) = given("keepalives_interval") {
            setsockopt(&stream, sockopt::TcpKeepInterval, &seconds)?;
        }
        if let Some(count) = given("keepalives_count") {
            setsockopt(&stream, sockopt::TcpKeepCount, &count)?;
        }
        if KEEPALIVES.iter().any(|name| self.parameter(name).is_some()) {
            let milliseconds = number("tcp_user_timeout").unwrap_or_default();
            setsockopt(&stream, sockopt::TcpUserTimeout, &milliseconds)?;
        }
        Ok(Box::new(stream))
    }
}

const KEEPALIVES: [&str; 5] =
    ["keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"];

/// The standard library has no error kind for it, only this text.
fn is_name_resolution_error(error: &io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

/// Two attempts with and without encryption failed; a missing entry in `pg_hba.conf` explains less than another error.
fn clearer(first: Refusal, second: Refusal) -> Refusal {
    if first.stage == Stage::NotAllowed { second } else { first }
}

/// Compares the session with `target_session_attrs`.
async fn check_session(mut connection: Connection, host: &Host, wanted: &str) -> Result<Connection, Refusal> {
    if wanted == "any" {
        return Ok(connection);
    }
    let read = async {
        let rows = connection.rows(SESSION).await?;
        let row = rows.first().ok_or(QueryError::NoRow)?;
        Ok((flag(row, 0)?, flag(row, 1)?))
    };
    let (standby, read_only) =
        read.await.map_err(|error: QueryError| Refusal { error: error.into(), stage: Stage::Login })?;
    let is_suitable = match wanted {
        "read-write" => !read_only,
        "read-only" => read_only,
        "primary" => !standby,
        _ => standby,
    };
    if is_suitable {
        return Ok(connection);
    }
    connection.close().await;
    let state = match (standby, read_only) {
        (true, _) => "a standby",
        (false, true) => "a primary server with read-only sessions",
        (false, false) => "a primary server",
    };
    let text = format!("{host} is {state}, but `target_session_attrs` is `{wanted}`");
    Err(Refusal::unreachable(DatabaseError::NotYet(Cause::new(Kind::ReadOnly, text))))
}
