//! `portcullis health`: reads the status of the start-up from the state file, else from the endpoint.

use std::{
    fmt::Display,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    config::{self, Overrides, environment::Environment},
    deadline::Deadline,
    failure::Failure,
    files,
    net::http::Request,
    threads,
    words::duration,
};

/// Below the default time limit of a Kubernetes probe, one second.
const TIMEOUT: Duration = Duration::from_millis(800);

/// The health of the start-up.
#[derive(Debug, PartialEq, Eq)]
enum Health {
    Starting(String),
    Blocked(String),
    /// The server has started.
    Finished(String),
    Unknown(String),
}

/// Whether the probe succeeds, and why.
pub(crate) fn run(path: &Path, env: &Environment, live: bool) -> Result<(bool, String), Failure> {
    let status = config::load::load(path, env, &Overrides::default())?.status;
    let runtime = threads::runtime().map_err(|error| Failure::not_started("the runtime", &error))?;
    let health = runtime.block_on(async {
        let deadline = Deadline::after(TIMEOUT);
        match (&status.file, status.listen) {
            (Some(file), _) => Some(read_file(file, deadline).await),
            (None, Some(address)) => Some(request_endpoint(address, deadline).await),
            (None, None) => None,
        }
    });
    // Does not wait for a read that hangs.
    runtime.shutdown_background();
    let Some(health) = health else {
        return Err(Failure::ConfigLacks { what: "`portcullis health`".into(), needs: "[status]" });
    };
    let result = match health {
        Health::Starting(text) => (live, text),
        Health::Finished(text) => (true, text),
        Health::Blocked(text) | Health::Unknown(text) => (false, text),
    };
    Ok(result)
}

async fn read_file(path: &Path, deadline: Deadline) -> Health {
    let state = match files::read(path, deadline.left()).await {
        Ok(text) => text,
        Err(error) => return Health::Unknown(format!("cannot read `{}`: {error}", path.display())),
    };
    let Ok(state) = serde_json::from_str::<Value>(&state) else {
        return Health::Unknown(format!("`{}` is not a state file", path.display()));
    };
    // The server has the same process id, because the start-up executes it.
    let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let gone = pid.is_none_or(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH));
    if gone {
        return Health::Unknown("the process that wrote the state file has ended".into());
    }
    parse_state(&state)
}

fn parse_state(state: &Value) -> Health {
    let status = state["status"].as_str().unwrap_or_default();
    match status {
        "ready" => Health::Finished("ready".into()),
        "blocked" => {
            Health::Blocked(format!("blocked: {}", state["failure"]["what"].as_str().unwrap_or_default()))
        }
        _ => {
            let step = &state["step"];
            let position = match step["name"].as_str() {
                Some(name) => format!(": step {} of {}, {name}", step["number"], step["of"]),
                None => String::new(),
            };
            Health::Starting(format!("{status}{position}"))
        }
    }
}

async fn request_endpoint(address: SocketAddr, deadline: Deadline) -> Health {
    let response = deadline.limit(request_state(address)).await;
    let unreachable = |why: &dyn Display| Health::Unknown(format!("no response from {address}: {why}"));
    match response {
        Ok(Ok(None)) => Health::Finished("the server responds".into()),
        Ok(Ok(Some(body))) => serde_json::from_slice(&body).map_or_else(
            |_| Health::Unknown("the response is not valid JSON".into()),
            |state| parse_state(&state),
        ),
        Ok(Err(error)) => unreachable(&error),
        Err(_) => unreachable(&format!("timed out after {}", duration(TIMEOUT))),
    }
}

/// The endpoint's state; None if the server responds instead of the endpoint.
async fn request_state(address: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut stream = TcpStream::connect((ip, address.port())).await?;
    let request = Request { method: "GET", host: "localhost", target: "/readyz", headers: "", body: b"" };
    let response = request.send(&mut stream).await?;
    // Only the endpoint sends this header.
    match response.header("X-Portcullis") {
        Some(_) => response.body(&mut stream).await.map(Some),
        None => Ok(None),
    }
}
