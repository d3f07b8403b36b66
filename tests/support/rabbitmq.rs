//! A RabbitMQ for one test, in a temporary folder and a new PID namespace; dropping it ends it and Erlang's port
//! mapper, which RabbitMQ itself does not stop.

use std::{fs, process::Command};

use tempfile::TempDir;

use super::{http::free_port, process::Running};

pub struct RabbitMq {
    port: u16,
    _running: Running,
    _folder: TempDir,
}

impl RabbitMq {
    /// With the user `me`, the password `p@ss` and the virtual host `shop/eu`.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, distribution, mapper) = (free_port(), free_port(), free_port());
        let path = |name: &str| folder.path().join(name);
        let conf = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = me\ndefault_pass = p@ss\ndefault_vhost = shop/eu\n\
             loopback_users.me = false\n"
        );
        fs::write(path("rabbitmq.conf"), conf).unwrap();
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg("/usr/lib/rabbitmq/bin/rabbitmq-server")
            .env("HOME", folder.path())
            .env("RABBITMQ_NODENAME", format!("n{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq"));
        let running = Running::start(command, true);
        running.wait_for_line("Server startup complete");
        Self { port, _running: running, _folder: folder }
    }

    pub fn url(&self, credentials: &str, vhost: &str) -> String {
        format!("amqp://{credentials}127.0.0.1:{}{vhost}", self.port)
    }
}
