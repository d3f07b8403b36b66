//! The password file (libpq's `PGPASSFILE`) of the programs that a run starts. Each user whose program runs has its own
//! copy, because libpq ignores a file that others may read.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use super::login_password::LoginPassword;
use crate::{config, files};

/// The folders to try: the first one is in memory, and writable although the root file system is read-only.
const FOLDERS: [&str; 3] = ["/dev/shm", "/tmp", "/run"];

pub(super) struct PasswordFile {
    path: PathBuf,
    content: RefCell<Content>,
}

#[derive(Default)]
struct Content {
    /// Each login, and its lines.
    logins: Vec<(config::Postgres, String)>,
    /// None is this process's user.
    users: BTreeSet<Option<u32>>,
}

impl PasswordFile {
    /// Creates an empty file.
    pub(super) fn create() -> io::Result<Self> {
        let name = format!("portcullis-{}-{:016x}.pgpass", std::process::id(), fastrand::u64(..));
        let mut result = Err(io::ErrorKind::NotFound.into());
        for folder in FOLDERS {
            let path = Path::new(folder).join(&name);
            let users = BTreeSet::from([None]);
            result = files::replace_private_now(&path, b"", None)
                .map(|()| Self { path, content: RefCell::new(Content { users, ..Content::default() }) });
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// The path of this user's copy; None if it cannot be written.
    pub(super) fn path(&self, user: Option<u32>) -> Option<PathBuf> {
        let is_new = !self.content.borrow().users.contains(&user);
        if is_new {
            self.write(user).ok()?;
            self.content.borrow_mut().users.insert(user);
        }
        Some(self.copy(user))
    }

    /// The logins whose passwords it contains.
    pub(super) fn logins(&self) -> Vec<config::Postgres> {
        self.content.borrow().logins.iter().map(|(login, _)| login.clone()).collect()
    }

    /// Adds or replaces the password of a login, in all copies.
    pub(super) fn update(&self, login: &config::Postgres, password: &LoginPassword) -> io::Result<()> {
        let lines = lines(login, password);
        let users = {
            let Content { logins, users } = &mut *self.content.borrow_mut();
            match logins.iter_mut().find(|(one, _)| one.hosts == login.hosts && one.user == login.user) {
                Some((_, same)) if *same == lines => return Ok(()),
                Some((_, other)) => *other = lines,
                None => logins.push((login.clone(), lines)),
            }
            users.clone()
        };
        users.into_iter().try_for_each(|user| self.write(user))
    }

    /// A copy that cannot be removed contains no password that lasts.
    pub(super) fn remove(&self) {
        for user in &self.content.borrow().users {
            let _ = files::remove_now(&self.copy(*user));
        }
    }

    fn copy(&self, user: Option<u32>) -> PathBuf {
        user.map_or_else(|| self.path.clone(), |user| self.path.with_extension(format!("{user}.pgpass")))
    }

    fn write(&self, user: Option<u32>) -> io::Result<()> {
        let text: String = self.content.borrow().logins.iter().map(|(_, lines)| lines.as_str()).collect();
        files::replace_private_now(&self.copy(user), text.as_bytes(), user)
    }
}

/// A line for each server. libpq calls the folder of its socket `localhost`.
fn lines(login: &config::Postgres, password: &LoginPassword) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    let mut lines = String::new();
    for host in &login.hosts {
        let Ok(secret) = password.of(host, &login.user) else { continue };
        let name = if host.name.is_empty() { host.target() } else { &host.name };
        for name in [name].into_iter().chain(host.is_socket().then_some("localhost")) {
            let (name, user, secret) = (escaped(name), escaped(&login.user), escaped(secret.expose()));
            lines += &format!("{name}:{}:*:{user}:{secret}\n", host.port);
        }
    }
    lines
}
