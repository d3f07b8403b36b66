//! The current password of a login: a text, a file, a command's output, or a token of a cloud. A token is used again
//! until shortly before it expires.

mod aws;
mod azure;
mod command;
mod gcp;
mod login_password;
mod password_file;
mod refusal;
mod source;

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime},
};

use futures_util::future::{FutureExt, LocalBoxFuture, join_all};
use tokio::sync::Mutex;

pub(crate) use self::login_password::LoginPassword;
use self::{password_file::PasswordFile, refusal::permanent};
use crate::{
    cause::{Cause, Kind, Unavailable},
    config::{
        self, Cloud, CloudService, Password,
        secret::{self, Secret},
    },
    deadline::Deadline,
    process::Processes,
};

/// A token is renewed this long before it expires. The clouds have a new one five minutes before.
const MARGIN: Duration = Duration::from_mins(4);

/// The passwords of this process: what runs a command, and the tokens that are still valid.
pub(crate) struct Credentials {
    processes: Processes,
    /// Locked during a request, so that logins at the same time share its result.
    tokens: Mutex<Vec<(Cloud, Issued)>>,
    file: OnceCell<Rc<PasswordFile>>,
}

/// How often the password file is renewed; a token that does not expire soon is used again.
const RENEWAL: Duration = Duration::from_mins(1);
/// A command runs in every such round: the tokens of the clouds' own programs are valid for 15 minutes or longer.
const COMMAND_ROUNDS: u32 = 5;

thread_local! {
    /// Every login needs it, and only the configuration reaches all of them.
    static CURRENT: RefCell<Option<Rc<Credentials>>> = const { RefCell::new(None) };
}

/// A token or keys, and when they expire; None if that is unknown.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) password: LoginPassword,
    expires: Option<SystemTime>,
    /// From this time on, a new one is requested.
    renewed: Option<SystemTime>,
}

impl Issued {
    /// The time at which a password that is made now expires; a token of Amazon RDS expires before its keys.
    pub(crate) fn expires(&self, now: SystemTime) -> Option<SystemTime> {
        let token = matches!(self.password, LoginPassword::Rds { .. }).then(|| aws::expiry(now));
        self.expires.into_iter().chain(token).min()
    }
}

/// Makes commands and tokens available to the logins of this thread; None ends that.
pub(crate) fn set(processes: Option<Processes>) {
    let current = processes
        .map(|processes| Rc::new(Credentials { processes, tokens: Mutex::default(), file: OnceCell::new() }));
    if let Some(file) = CURRENT.replace(current).as_ref().and_then(|former| former.file.get()) {
        file.remove();
    }
}

/// Gives the programs of this run a password file, if the database's password is a command's or a cloud's. It is renewed
/// until the run ends. Returns why it has no password, or does not exist.
pub(crate) async fn provide_file(database: &config::Postgres) -> Vec<String> {
    let others = [&database.direct, &database.reader].into_iter().flatten().map(|other| &**other);
    let logins: Vec<&config::Postgres> =
        [database].into_iter().chain(others).filter(|login| login.password.is_requested()).collect();
    let (false, Ok(current)) = (logins.is_empty(), current()) else { return Vec::new() };
    let file = match PasswordFile::create() {
        Ok(file) => Rc::new(file),
        Err(error) => return vec![format!("programs get no password file: {error}")],
    };
    let copies = Rc::clone(&file);
    current.processes.set_password_file(move |user| copies.path(user));
    if current.file.set(Rc::clone(&file)).is_err() {
        return Vec::new();
    }
    let requests = join_all(logins.into_iter().map(|login| issued(login, None))).await;
    tokio::task::spawn_local(async move {
        for round in 1_u32.. {
            Deadline::after(RENEWAL).passed().await;
            let is_due = |login: &config::Postgres| {
                matches!(login.password, Password::Cloud(_)) || round.is_multiple_of(COMMAND_ROUNDS)
            };
            for login in file.logins().into_iter().filter(is_due) {
                // The next round tries again, and a login reports the error.
                let _ = issued(&login, None).await;
            }
        }
    });
    let missing = |(Unavailable::Temporary(why) | Unavailable::Permanent(why))| {
        format!("the password file of programs has no password yet: {why}")
    };
    requests.into_iter().filter_map(|request| Some(missing(request.err()?))).collect()
}

/// The password for the next login, read or requested now. `refused` is one that the server has just refused.
pub(crate) async fn password(
    config: &config::Postgres,
    refused: Option<&LoginPassword>,
) -> Result<Option<LoginPassword>, Unavailable> {
    Ok(issued(config, refused).await?.map(|issued| issued.password))
}

/// The text for a program, which connects to the first server.
pub(crate) async fn for_program(config: &config::Postgres) -> Result<Option<Secret>, Unavailable> {
    let password = password(config, None).await?;
    password.zip(config.hosts.first()).map(|(password, host)| password.of(host, &config.user)).transpose()
}

/// A password, with the time at which it expires.
pub(crate) async fn issued(
    config: &config::Postgres,
    refused: Option<&LoginPassword>,
) -> Result<Option<Issued>, Unavailable> {
    let of_text =
        |secret: Secret| Issued { password: LoginPassword::Text(secret), expires: None, renewed: None };
    let learned = |secret: Secret| {
        learn(config, &secret);
        of_text(secret)
    };
    let issued = match &config.password {
        Password::None => None,
        Password::Literal(secret) => Some(of_text(secret.clone())),
        Password::File(path) => {
            let unusable = |error| Unavailable::Permanent(Cause::new(Kind::File, error));
            Some(learned(secret::read_file(path).await.map_err(unusable)?))
        }
        Password::Command { argv, timeout } => {
            let current = current()?;
            Some(learned(command::run(argv, *timeout, &current.processes).await?))
        }
        Password::Cloud(cloud) => Some(current()?.issued(cloud, config, refused).await?),
    };
    if let (Some(issued), true) = (&issued, config.password.is_requested())
        && let Some(file) = current()?.file.get()
        && let Err(error) = file.update(config, &issued.password)
    {
        tracing::warn!("cannot write the password file of programs: {error}");
    }
    Ok(issued
        .filter(|issued| !matches!(&issued.password, LoginPassword::Text(text) if text.expose().is_empty())))
}

fn current() -> Result<Rc<Credentials>, Unavailable> {
    let current = CURRENT.with_borrow(Option::clone);
    current.ok_or_else(|| permanent("no password can be requested outside of a run"))
}

/// Masks the password from now on, unless it is a name of the connection.
fn learn(config: &config::Postgres, secret: &Secret) {
    let names = [config.user.as_str(), config.name.as_str()];
    let hosts = config.hosts.iter().map(|host| host.name.as_str());
    if !names.into_iter().chain(hosts).any(|name| name == secret.expose()) {
        secret::learn(secret);
    }
}

impl Credentials {
    async fn issued(
        &self,
        cloud: &Cloud,
        config: &config::Postgres,
        refused: Option<&LoginPassword>,
    ) -> Result<Issued, Unavailable> {
        let mut tokens = self.tokens.lock().await;
        let now = SystemTime::now();
        let known = tokens.iter().position(|(of, _)| of == cloud);
        let usable = known.map(|at| &tokens[at].1).filter(|known| Some(&known.password) != refused);
        if let Some(known) = usable.filter(|known| known.renewed.is_none_or(|renewed| now < renewed)) {
            return Ok(known.clone());
        }
        let requested = match (request(cloud, config).await, usable) {
            // The cloud does not answer, and the known token is still valid.
            (Err(Unavailable::Temporary(_)), Some(known))
                if known.expires.is_some_and(|expires| now < expires) =>
            {
                return Ok(known.clone());
            }
            (requested, _) => requested?,
        };
        let (password, expires) = requested;
        match &password {
            LoginPassword::Text(token) => secret::learn(token),
            LoginPassword::Rds { keys, .. } => keys.learn(),
        }
        let renewed = expires.map(|expires| {
            let valid = expires.duration_since(now).unwrap_or_default();
            expires - MARGIN.min(valid / 2)
        });
        let issued = Issued { password, expires, renewed };
        if let Some(at) = known {
            tokens.swap_remove(at);
        }
        tokens.push((cloud.clone(), issued.clone()));
        Ok(issued)
    }
}

/// Each cloud's request is large, and every login would contain it.
fn request<'r>(
    cloud: &'r Cloud,
    config: &'r config::Postgres,
) -> LocalBoxFuture<'r, Result<(LoginPassword, Option<SystemTime>), Unavailable>> {
    async move {
        let token = |(token, expires)| (LoginPassword::Text(token), expires);
        let host = config.hosts.first().map_or("", |host| host.name.as_str());
        Ok(match &cloud.service {
            CloudService::AwsRds { region } => {
                let default_region = cloud.env.aws_region();
                let of_host = || config.hosts.iter().find_map(|host| CloudService::region_of(&host.name));
                let endpoint = region.as_deref().or(default_region).or_else(of_host);
                let (keys, expires) = aws::keys(&cloud.env, endpoint).await?;
                let default_region = default_region.map(str::to_owned);
                (LoginPassword::Rds { keys, region: region.clone(), default_region }, expires)
            }
            CloudService::GcpCloudSql => token(gcp::token(&cloud.env).await?),
            CloudService::Azure { client_id } => {
                token(azure::token(&cloud.env, client_id.as_deref(), host).await?)
            }
        })
    }
    .boxed_local()
}
