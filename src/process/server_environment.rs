//! Finds the server of this container, and reads the environment that it was started with. The server is PID 1, or the
//! first program of an init.

#![expect(clippy::disallowed_methods, reason = "/proc never blocks")]

use std::{fs, io, os::unix::fs::MetadataExt};

use super::{
    descendants::{after_name, children_of, stat},
    stub_protocol::{STAY, STEP},
};

use crate::ordered;

/// The names of the inits that start one program, as the kernel reports them.
const INITS: [&str; 6] = ["docker-init", "podman-init", "tini", "tini-static", "dumb-init", "catatonit"];

/// The server's process and its variables; those that are not UTF-8 are left out.
pub(crate) struct ServerEnvironment {
    pub(crate) pid: i32,
    pub(crate) variables: Vec<(String, String)>,
}

/// Reads the environment of this process, or of the server that this container runs.
pub(crate) fn server_environment(pid: Option<i32>) -> Result<ServerEnvironment, String> {
    let pid = pid.map_or_else(server, Ok)?;
    let environment = fs::read(format!("/proc/{pid}/environ")).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let user = fs::metadata(format!("/proc/{pid}"))
                .map_or_else(|_| String::new(), |found| format!(", and it belongs to user {}", found.uid()));
            format!("permission denied: the server is process {pid}{user}")
        }
        io::ErrorKind::NotFound => format!("process {pid} does not exist"),
        _ => format!("process {pid}: {error}"),
    })?;
    let variables = variables(&environment)
        .ok_or_else(|| format!("process {pid} has overwritten it, as programs do that change their title"))?;
    Ok(ServerEnvironment { pid, variables })
}

/// The variables of an environment as the kernel shows it; None if the process has written something else there.
fn variables(environment: &[u8]) -> Option<Vec<(String, String)>> {
    let entries = environment.strip_suffix(b"\0")?.split(|byte| *byte == 0);
    let pairs = entries.map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        Some((&entry[..equals], &entry[equals + 1..]))
    });
    let pairs: Vec<_> = pairs.collect::<Option<_>>()?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(pairs.into_iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect())
}

fn server() -> Result<i32, String> {
    let mut pid = 1;
    // Each round goes one init down.
    while is_init(pid) {
        let mut programs: Vec<i32> = children_of(pid).into_iter().filter(|child| !is_stub(*child)).collect();
        // Orphans become children of the init later than its own program, which leads its process group.
        ordered::sort_by_key(&mut programs, |child| (!leads_its_group(*child), start_time(*child)));
        pid = *programs.first().ok_or("the server has not started yet")?;
    }
    match name(pid).as_deref() {
        None => Err("/proc does not show PID 1".into()),
        // Of a Kubernetes pod with a shared PID namespace.
        Some("pause") => Err("PID 1 is `pause`, so the server's process is unknown".into()),
        Some(_) => Ok(pid),
    }
}

/// Whether the process is Portcullis or another init.
fn is_init(pid: i32) -> bool {
    let file = |pid: &str| fs::metadata(format!("/proc/{pid}/exe")).ok().map(|file| (file.dev(), file.ino()));
    let own = file("self");
    let name = name(pid);
    (own.is_some() && own == file(&pid.to_string()))
        || (name.is_some() && name == self::name(std::process::id().cast_signed()))
        || name.is_some_and(|name| INITS.contains(&&*name))
}

/// The program's name; None without such a process.
fn name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

fn is_stub(pid: i32) -> bool {
    let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let word = argv.split(|byte| *byte == 0).nth(1);
    word.is_some_and(|word| word == STEP.as_bytes() || word == STAY.as_bytes())
}

fn leads_its_group(pid: i32) -> bool {
    field(pid, 2) == u64::try_from(pid).ok()
}

/// In the kernel's ticks.
fn start_time(pid: i32) -> Option<u64> {
    field(pid, 19)
}

/// A number of `stat`, counted from the state.
fn field(pid: i32, at: usize) -> Option<u64> {
    after_name(&stat(pid)?).nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overwritten_environment_is_not_used() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![pair("A", "1"), pair("B", ""), pair("C", "x=y")];
        assert_eq!(variables(b"A=1\0B=\0C=x=y\0"), Some(expected));
        assert_eq!(variables(b"A=1\0B=\xff\0"), Some(vec![pair("A", "1")]));
        for overwritten in
            [&b""[..], b"\0\0\0\0", b"master process\0\0\0", b"A=1\0\0\0", b"worker\0A=1\0", b"=1\0", b"A=1"]
        {
            assert_eq!(variables(overwritten), None, "{overwritten:?}");
        }
    }
}
