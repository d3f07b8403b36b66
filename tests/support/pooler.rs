//! A real PgBouncer in transaction mode in front of the private cluster. It accepts every login.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
};

use nix::unistd::{User, geteuid};
use tempfile::TempDir;

use super::{
    cluster::{Database, cluster},
    http::{free_port, is_listening},
    process::Running,
    time_limits::until_true,
};

/// A running PgBouncer; dropping it ends the process.
pub struct Pooler {
    database: String,
    port: u16,
    _running: Running,
    _folder: TempDir,
}

impl Pooler {
    /// In front of one database, with this number of server connections.
    pub fn before(database: &Database, connections: usize) -> Self {
        let url = cluster();
        let login = url.split_once("://").unwrap().1.split_once('@').unwrap().0;
        Self::with_login(database, connections, login)
    }

    /// With `user:password` for the server.
    pub fn with_login(database: &Database, connections: usize, login: &str) -> Self {
        let url = cluster();
        let (_, address) = url.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (host, server) = address.split_once('/').unwrap().0.split_once(':').unwrap();
        let port = free_port();
        let folder = tempfile::Builder::new().prefix("portcullis-pooler.").tempdir().unwrap();
        let name = database.name();
        let settings = format!(
            "[databases]\n{name} = host={host} port={server} user={user} password={password}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 200\n"
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program =
            ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| fs::exists(path).unwrap());
        let mut command = Command::new(program.expect("pgbouncer is not installed: run scripts/packages"));
        // PgBouncer refuses to run as root.
        if geteuid().is_root() {
            let user = User::from_name("postgres").unwrap().expect("the user `postgres` exists");
            chown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
            command.arg("--user=postgres");
        }
        let running = Running::start(
            {
                command.arg(&file);
                command
            },
            false,
        );
        until_true("PgBouncer to listen", || is_listening(port));
        Self { database: name.to_owned(), port, _running: running, _folder: folder }
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.port, self.database)
    }
}
