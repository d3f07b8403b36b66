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
use tokio::net::TcpStream;

use crate::{deadline::Deadline, files::Outstanding, words::duration};

/// The certificate bundles of common base images, which `update-ca-certificates` and similar programs maintain.
pub(crate) const CERTIFICATE_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The time after which a silent address no longer delays the next one (RFC 8305, section 8).
const STAGGER: Duration = Duration::from_millis(250);

/// The time limit for resolution and all addresses; the next attempt may find other addresses.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
        let resolution = self.lookup.poll(move || Ok((host.as_str(), port).to_socket_addrs()?.collect()));
        match deadline.limit(resolution).await {
            Ok(Ok(addresses)) => race(alternate_families(addresses), deadline).await,
            Ok(Err(error)) => Err(format!("cannot resolve `{}`: {}", self.host, reason(&error))),
            Err(_) => Err(format!("cannot resolve `{}`: no answer in {}", self.host, duration(limit))),
        }
    }
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

async fn race(addresses: Vec<SocketAddr>, deadline: Deadline) -> Result<TcpStream, String> {
    let limit = deadline.left();
    let connect = async |address| (address, TcpStream::connect(address).await);
    let mut attempts = FuturesUnordered::new();
    let mut silent = addresses.clone();
    let mut last = "the name has no address".to_owned();
    let mut addresses = addresses.into_iter();
    loop {
        match addresses.next() {
            Some(address) => attempts.push(connect(address)),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        tokio::select! {
            Some((address, result)) = attempts.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    silent.retain(|other| *other != address);
                    last = format!("cannot connect to {address}: {}", reason(&error));
                }
            },
            () = Deadline::after(STAGGER).passed(), if addresses.len() > 0 => {}
            () = deadline.passed() => {
                let silent: Vec<_> = silent.iter().map(ToString::to_string).collect();
                return Err(format!("cannot connect to {}: no answer in {}", silent.join(", "), duration(limit)));
            }
        }
    }
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
        let stream = race(vec![silent.address, address], deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(deadline.left() > Duration::from_secs(5));
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_delay_the_next_one() {
        let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = vec![refuses, listener.local_addr().unwrap()];
        assert!(race(addresses, Deadline::after(Duration::from_secs(8))).await.is_ok());
        let why = race(vec![refuses], Deadline::after(Duration::from_secs(8))).await.unwrap_err();
        assert_eq!(why, format!("cannot connect to {refuses}: connection refused"));
    }

    #[tokio::test]
    async fn a_time_out_names_all_silent_addresses() {
        let silent = SilentAddress::new();
        let why = race(vec![silent.address], Deadline::after(Duration::from_millis(400))).await.unwrap_err();
        assert!(why.starts_with(&format!("cannot connect to {}: no answer in ", silent.address)), "{why}");
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
