//! `portcullis health`: asks the state file, else the endpoint, how the start-up stands.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use serde_json::Value;

use crate::{
    commands::Answer,
    config::{self, Overrides, environment::Environment},
    failure::Failure,
};

/// Kubernetes gives a probe one second by default.
const TIMEOUT: Duration = Duration::from_millis(800);
/// More than any answer of ours; the rest is of no interest.
const LONGEST: usize = 1_000_000;

/// What is known of the start-up.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    Starting(String),
    Blocked(String),
    /// The server has taken over.
    Finished(String),
    Nothing(String),
}

pub(crate) fn run(path: &Path, env: &Environment, live: bool) -> Result<Answer, Failure> {
    let status = config::load::load(path, env, &Overrides::default())?.status;
    let known = match (&status.file, status.listen) {
        (Some(file), _) => of_file(file),
        (None, Some(address)) => of_endpoint(address),
        (None, None) => {
            return Err(Failure::ConfigLacks { what: "`portcullis health`".into(), needs: "[status]" });
        }
    };
    let (yes, text) = match known {
        Known::Starting(text) => (live, text),
        Known::Finished(text) => (true, text),
        Known::Blocked(text) | Known::Nothing(text) => (false, text),
    };
    Ok(Answer { text: text + "\n", trouble: None, code: u8::from(!yes) })
}

fn of_file(path: &Path) -> Known {
    let state = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return Known::Nothing(format!("cannot read `{}`: {error}", path.display())),
    };
    let Ok(state) = serde_json::from_str::<Value>(&state) else {
        return Known::Nothing(format!("`{}` is not a state file", path.display()));
    };
    // The server has the same process id: the start-up became it.
    let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let gone = pid.is_none_or(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH));
    if gone {
        return Known::Nothing("the process that wrote the state is gone".into());
    }
    of_state(&state)
}

fn of_state(state: &Value) -> Known {
    let status = state["status"].as_str().unwrap_or_default();
    match status {
        "ready" => Known::Finished("ready".into()),
        "blocked" => {
            Known::Blocked(format!("blocked: {}", state["failure"]["what"].as_str().unwrap_or_default()))
        }
        _ => {
            let step = &state["step"];
            let place = match step["name"].as_str() {
                Some(name) => format!(": step {} of {}, {name}", step["number"], step["of"]),
                None => String::new(),
            };
            Known::Starting(format!("{status}{place}"))
        }
    }
}

fn of_endpoint(address: SocketAddr) -> Known {
    match ask(address) {
        Ok(answer) => of_answer(&answer),
        Err(error) => Known::Nothing(format!("nobody answers at {address}: {error}")),
    }
}

/// Our endpoint names itself in a header; whoever else answers is the server that took over.
fn of_answer(answer: &str) -> Known {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    if !head.lines().any(|line| line.to_ascii_lowercase().starts_with("x-portcullis:")) {
        return Known::Finished("the server answers".into());
    }
    serde_json::from_str(body)
        .map_or_else(|_| Known::Nothing("the answer makes no sense".into()), |state| of_state(&state))
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    // Up to the announced length: the other side waits for us to close.
    while answer.len() < LONGEST && !is_whole(&answer) {
        match stream.read(&mut buffer)? {
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_without_our_header_is_the_server() {
        let ours = "HTTP/1.1 503 Service Unavailable\r\nX-Portcullis: starting\r\n\r\n\
                    {\"status\":\"starting\",\"step\":{\"number\":3,\"of\":8,\"name\":\"schemas\"}}";
        assert_eq!(of_answer(ours), Known::Starting("starting: step 3 of 8, schemas".into()));
        assert_eq!(of_answer("HTTP/1.1 404 Not Found\r\n\r\n"), Known::Finished("the server answers".into()));
    }
}
