//! Checks the environment of the process: PID 1, the termination message, name resolution.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::unistd::AccessFlags;

use super::check::{Check, DoctorInput};
use crate::{
    config::{Config, Database},
    files,
    outcome::doctor::Verdict,
};

pub(super) const CHECKS: [Check<ProcessFacts>; 3] = [
    Check { id: "pid-1", name: "PID 1", run: pid_1 },
    Check { id: "termination-log", name: "termination message", run: termination_log },
    Check { id: "resolver", name: "name resolution", run: resolver },
];

/// The environment of this process.
pub(super) struct ProcessFacts {
    pid: u32,
    /// The name of PID 1, if it is readable.
    first: Option<String>,
    /// The path of the termination message, and whether it is writable.
    termination: Option<(PathBuf, io::Result<()>)>,
    /// Without a configured server, musl's resolver queries one on this machine.
    is_musl: bool,
    resolv_conf: Option<String>,
    /// The database's host, if it is a name.
    host: Option<String>,
}

impl ProcessFacts {
    pub(super) async fn of(input: &DoctorInput<'_>, config: Option<&Config>) -> Self {
        let host = match config.and_then(|config| config.database.as_ref()) {
            Some(Database::Postgres(postgres)) => postgres.hosts.clone(),
            Some(Database::Sqlite(_)) | None => Vec::new(),
        };
        let host = host.into_iter().find(|host| {
            let is_address = host.target().parse::<std::net::IpAddr>().is_ok();
            !host.is_socket() && host.name != "localhost" && !is_address
        });
        let mut termination = None;
        if let Some(path) = &input.termination {
            termination = Some((path.clone(), is_writable(path).await));
        }
        Self {
            pid: std::process::id(),
            first: read("/proc/1/comm").await.map(|name| name.trim().to_owned()),
            termination,
            is_musl: cfg!(target_env = "musl"),
            resolv_conf: read("/etc/resolv.conf").await,
            host: host.map(|host| host.name),
        }
    }
}

/// None also if reading takes too long.
async fn read(path: &str) -> Option<String> {
    files::read(Path::new(path), files::TIMEOUT).await.ok()
}

/// A file that does not exist is created when it is needed.
async fn is_writable(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    files::within(files::TIMEOUT, move || {
        let exists = files::metadata_now(&path).is_ok();
        let target = if exists { &path } else { path.parent().unwrap_or(&path) };
        files::access_now(target, AccessFlags::W_OK)
    })
    .await
}

fn pid_1(facts: &ProcessFacts) -> Verdict {
    const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ash", "zsh"];
    const INITS: [&str; 7] =
        ["portcullis", "tini", "docker-init", "dumb-init", "catatonit", "pause", "s6-svscan"];
    let known = |names: &[&str], name: &str| names.contains(&name);
    match facts.first.as_deref() {
        _ if facts.pid == 1 => Verdict::passed("this process is PID 1"),
        None => Verdict::not_applicable("/proc does not show PID 1"),
        Some(name) if known(&INITS, name) => Verdict::passed(format!("PID 1 is `{name}`")),
        Some(name) if known(&SHELLS, name) => Verdict::warned(
            format!("PID 1 is the shell `{name}`, which forwards no signals"),
            "write ENTRYPOINT in its JSON form, [\"portcullis\", \"run\", \"--\"], or `exec portcullis` in the script",
        ),
        Some(name) => {
            Verdict::not_applicable(format!("PID 1 is `{name}`, and this process is not the start-up"))
        }
    }
}

fn termination_log(facts: &ProcessFacts) -> Verdict {
    let Some((path, writable)) = &facts.termination else {
        return Verdict::not_applicable("not in Kubernetes");
    };
    match writable {
        Ok(()) => Verdict::passed(format!("`{}` can be written", path.display())),
        Err(error) => Verdict::failed(
            format!("cannot write `{}`: {error}", path.display()),
            "make it writable for the container's user, or set PORTCULLIS_TERMINATION_LOG to another path",
        ),
    }
}

fn resolver(facts: &ProcessFacts) -> Verdict {
    let Some(host) = &facts.host else {
        return Verdict::not_applicable("the database's host is not a name that must be resolved");
    };
    let servers = facts.resolv_conf.iter().flat_map(|text| text.lines());
    match servers.filter(|line| line.trim_start().starts_with("nameserver")).count() {
        0 if facts.is_musl => Verdict::failed(
            format!("/etc/resolv.conf names no server: resolving `{host}` takes 5 s and fails"),
            "mount /etc/resolv.conf into the image, or give the database's address as numbers",
        ),
        0 => Verdict::warned(
            format!("/etc/resolv.conf names no server, and `{host}` must be resolved"),
            "mount /etc/resolv.conf into the image, unless /etc/hosts contains the name",
        ),
        servers => Verdict::passed(crate::words::count(servers, "name server")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ProcessFacts {
        ProcessFacts {
            pid: 7,
            first: Some("portcullis".into()),
            termination: None,
            is_musl: true,
            resolv_conf: Some("search lan\nnameserver 10.0.0.2\n".into()),
            host: Some("postgres".into()),
        }
    }

    #[test]
    fn a_shell_as_pid_1_is_a_warning() {
        assert!(matches!(pid_1(&facts()), Verdict::Passed(_)));
        let with = |name: &str| pid_1(&ProcessFacts { first: Some(name.into()), ..facts() });
        assert!(matches!(with("sh"), Verdict::Warned(..)));
        assert!(matches!(with("gunicorn"), Verdict::NotApplicable(_)));
    }

    #[test]
    fn musl_without_a_name_server_fails_if_a_name_must_be_resolved() {
        assert!(matches!(resolver(&facts()), Verdict::Passed(_)));
        let missing = || ProcessFacts { resolv_conf: None, ..facts() };
        assert!(matches!(resolver(&missing()), Verdict::Failed(..)));
        assert!(matches!(resolver(&ProcessFacts { is_musl: false, ..missing() }), Verdict::Warned(..)));
        assert!(matches!(resolver(&ProcessFacts { host: None, ..missing() }), Verdict::NotApplicable(_)));
    }
}
