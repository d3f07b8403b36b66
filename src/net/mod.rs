//! Connects to a host by its name: resolves it each time, and races all of its addresses (RFC 8305, "happy
//! eyeballs").

pub(crate) mod http;
pub(crate) mod service;
pub(crate) mod tls;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

use crate::{deadline::Deadline, files::Outstanding, words::duration};

/// The certificate bundles of common base images, which `update-ca-certificates` and similar programs maintain.
pub(crate) const CERTIFICATE_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The time after which a silent address no longer delays the next one (RFC 8305, section 8).
const STAGGER: Duration = Duration::from_millis(250);

/// The time limit for resolution and all addresses; the next attempt may find other addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The times after which a peer that does not answer counts as gone, in seconds. The first one is shorter than the four minutes
/// after which common load balancers forget a silent connection.
const KEEPALIVE_IDLE: u32 = 30;
const KEEPALIVE_INTERVAL: u32 = 15;
const GONE: u32 = 90;

const NO_ADDRESS: &str = "the name has no address";

/// An address that cannot be connected to, and why.
type Failed = (SocketAddr, io::Error);

/// A host and a port, for one or more connections.
pub(crate) struct Target {
    host: String,
    port: u16,
    lookup: Outstanding<Vec<SocketAddr>>,
}

impl Target {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { host, port, lookup: Outstanding::default() }
    }

    /// `host:port` in the usual form, with an IPv6 address in brackets.
    pub(crate) fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Connects to the first address that answers, or returns why none does.
    pub(crate) async fn connect(&mut self, deadline: Deadline) -> Result<TcpStream, String> {
        let deadline = deadline.within(CONNECT_TIMEOUT);
        let limit = deadline.left();
        let (host, port) = (self.host.clone(), self.port);
        let resolution = self.lookup.poll(move || resolve(&host, port));
        match deadline.limit(resolution).await {
            Ok(Ok(addresses)) => connect_before(deadline, &alternate_families(addresses)).await,
            Ok(Err(error)) => Err(format!("cannot resolve `{}`: {}", self.host, reason(&error))),
            Err(_) => Err(format!("cannot resolve `{}`: no answer in {}", self.host, duration(limit))),
        }
    }
}

/// Blocks: the system's resolver has its own time limits.
fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    #[expect(clippy::disallowed_methods, reason = "the one place that resolves names")]
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Alternates the families, starting with the one that the system prefers (RFC 8305, section 4).
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let preferred = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == preferred);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    while first.len() + second.len() > 0 {
        turns.extend(first.next());
        turns.extend(second.next());
    }
    turns
}

/// Connects to the first address of the host that answers. The caller limits the time.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let name = host.to_owned();
    let addresses = alternate_families(Outstanding::default().poll(move || resolve(&name, port)).await?);
    let mut failures = Vec::new();
    let stream = race(&addresses, &mut failures).await;
    let last = |failures: Vec<Failed>| failures.into_iter().next_back().map(|(_, error)| error);
    stream.ok_or_else(|| last(failures).unwrap_or_else(|| io::Error::other(NO_ADDRESS)))
}

/// Connects to the first address that answers, or returns why none does.
async fn connect_before(deadline: Deadline, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let limit = deadline.left();
    let mut failures = Vec::new();
    let Ok(stream) = deadline.limit(race(addresses, &mut failures)).await else {
        let silent = addresses.iter().filter(|address| failures.iter().all(|(failed, _)| failed != *address));
        let silent: Vec<_> = silent.map(ToString::to_string).collect();
        return Err(format!("cannot connect to {}: no answer in {}", silent.join(", "), duration(limit)));
    };
    stream.ok_or_else(|| match failures.last() {
        Some((address, error)) => format!("cannot connect to {address}: {}", reason(error)),
        None => NO_ADDRESS.to_owned(),
    })
}

/// Connects to the first address that answers. Without a stream, every address is in `failures`.
async fn race(addresses: &[SocketAddr], failures: &mut Vec<Failed>) -> Option<TcpStream> {
    let connect = async |address| (address, TcpStream::connect(address).await.inspect(keep_alive));
    let mut attempts = FuturesUnordered::new();
    let mut addresses = addresses.iter().copied();
    loop {
        match addresses.next() {
            Some(address) => attempts.push(connect(address)),
            None if attempts.is_empty() => return None,
            None => {}
        }
        tokio::select! {
            Some((address, result)) = attempts.next() => match result {
                Ok(stream) => return Some(stream),
                Err(error) => failures.push((address, error)),
            },
            () = Deadline::after(STAGGER).passed(), if addresses.len() > 0 => {}
        }
    }
}

/// Makes the kernel end a connection whose peer is gone, if it can.
fn keep_alive(stream: &TcpStream) {
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &((GONE - KEEPALIVE_IDLE) / KEEPALIVE_INTERVAL));
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &(GONE * 1_000));
}

/// The cause without the standard library's decoration.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    text.trim_start_matches("failed to lookup address information: ").to_lowercase()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use nix::sys::socket::getsockopt;
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// An address that never answers, because the listener's queue is full. It exists as long as the value.
    struct SilentAddress {
        address: SocketAddr,
        _listener: TcpListener,
        _queue: Vec<std::net::TcpStream>,
    }

    impl SilentAddress {
        fn new() -> Self {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let short = Duration::from_millis(200);
            let connect = || std::net::TcpStream::connect_timeout(&address, short).ok();
            Self { address, _listener: listener, _queue: std::iter::from_fn(connect).collect() }
        }
    }

    #[tokio::test]
    async fn a_host_with_a_silent_first_address_is_reached() {
        let silent = SilentAddress::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deadline = Deadline::after(Duration::from_secs(8));
        let stream = connect_before(deadline, &[silent.address, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(deadline.left() > Duration::from_secs(5));
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_delay_the_next_one() {
        let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let deadline = Deadline::after(Duration::from_secs(8));
        assert!(connect_before(deadline, &[refuses, listener.local_addr().unwrap()]).await.is_ok());
        let why = connect_before(deadline, &[refuses]).await.unwrap_err();
        assert_eq!(why, format!("cannot connect to {refuses}: connection refused"));
    }

    #[tokio::test]
    async fn a_time_out_names_all_silent_addresses() {
        let silent = SilentAddress::new();
        let deadline = Deadline::after(Duration::from_millis(400));
        let why = connect_before(deadline, &[silent.address]).await.unwrap_err();
        assert!(why.starts_with(&format!("cannot connect to {}: no answer in ", silent.address)), "{why}");
    }

    #[tokio::test]
    async fn the_kernel_ends_a_connection_whose_peer_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect("127.0.0.1", listener.local_addr().unwrap().port()).await.unwrap();
        assert!(getsockopt(&stream, sockopt::KeepAlive).unwrap());
        assert_eq!(getsockopt(&stream, sockopt::TcpKeepIdle).unwrap(), 30);
        assert_eq!(getsockopt(&stream, sockopt::TcpKeepCount).unwrap(), 4);
        assert_eq!(getsockopt(&stream, sockopt::TcpUserTimeout).unwrap(), 90_000);
    }

    #[test]
    fn address_families_alternate() {
        let address = |text: &str| -> SocketAddr { format!("{text}:1").parse().unwrap() };
        let found = alternate_families(["[::1]", "[::2]", "[::3]", "10.0.0.1"].map(address).into());
        assert_eq!(found, ["[::1]", "10.0.0.1", "[::2]", "[::3]"].map(address));
    }

    #[tokio::test]
    async fn a_failed_resolution_names_the_host() {
        let mut target = Target::new("no-such-host.invalid", 1);
        let why = target.connect(Deadline::after(Duration::from_secs(9))).await.unwrap_err();
        assert!(why.starts_with("cannot resolve `no-such-host.invalid`: "), "{why}");
    }
}
