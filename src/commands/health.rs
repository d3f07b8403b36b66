//! `portcullis health`: asks the state file, else the endpoint, how the start-up stands.

use std::{
    fmt::Display,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use serde_json::Value;
use tokio::{net::TcpStream, runtime::Builder};

use crate::{
    config::{self, Overrides, environment::Environment},
    deadline::Deadline,
    failure::Failure,
    files,
    net::http::Request,
    words::duration,
};

/// Kubernetes gives a probe one second by default.
const TIMEOUT: Duration = Duration::from_millis(800);

/// What is known of the start-up.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    Starting(String),
    Blocked(String),
    /// The server has taken over.
    Finished(String),
    Nothing(String),
}

/// Whether it is so, and why.
pub(crate) fn run(path: &Path, env: &Environment, live: bool) -> Result<(bool, String), Failure> {
    let status = config::load::load(path, env, &Overrides::default())?.status;
    let internal = |error| Failure::Internal { what: format!("cannot start the runtime: {error}") };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(internal)?;
    let known = runtime.block_on(async {
        let deadline = Deadline::after(TIMEOUT);
        match (&status.file, status.listen) {
            (Some(file), _) => Some(of_file(file, deadline).await),
            (None, Some(address)) => Some(of_endpoint(address, deadline).await),
            (None, None) => None,
        }
    });
    // A file that hangs is not waited for.
    runtime.shutdown_background();
    let Some(known) = known else {
        return Err(Failure::ConfigLacks { what: "`portcullis health`".into(), needs: "[status]" });
    };
    let answer = match known {
        Known::Starting(text) => (live, text),
        Known::Finished(text) => (true, text),
        Known::Blocked(text) | Known::Nothing(text) => (false, text),
    };
    Ok(answer)
}

async fn of_file(path: &Path, deadline: Deadline) -> Known {
    let state = match files::read(path, deadline.left()).await {
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

async fn of_endpoint(address: SocketAddr, deadline: Deadline) -> Known {
    let answer = deadline.limit(ask(address)).await;
    let nobody = |why: &dyn Display| Known::Nothing(format!("nobody answers at {address}: {why}"));
    match answer {
        Ok(Ok(None)) => Known::Finished("the server answers".into()),
        Ok(Ok(Some(body))) => serde_json::from_slice(&body)
            .map_or_else(|_| Known::Nothing("the answer makes no sense".into()), |state| of_state(&state)),
        Ok(Err(error)) => nobody(&error),
        Err(_) => nobody(&format!("no answer in {}", duration(TIMEOUT))),
    }
}

/// The endpoint's state; None if somebody else answers, which is the server that took over.
async fn ask(address: SocketAddr) -> io::Result<Option<Vec<u8>>> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut stream = TcpStream::connect((ip, address.port())).await?;
    let request = Request { host: "localhost", target: "/readyz", headers: "" };
    let answer = request.send(&mut stream).await?;
    // The endpoint names itself in a header.
    match answer.header("X-Portcullis") {
        Some(_) => answer.body(&mut stream).await.map(Some),
        None => Ok(None),
    }
}
