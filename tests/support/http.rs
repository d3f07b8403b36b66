//! Free ports and HTTP requests.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as SocketName, UnixListener},
    },
};

use super::time_limits::{ENOUGH, until};

/// Below the system's range for outgoing connections.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port without a listener, which no other test gets before this process ends.
pub fn free_port() -> u16 {
    until("a free port", || {
        let port = fastrand::u16(PORTS);
        let name = SocketName::from_abstract_name(format!("portcullis-test-port-{port}")).unwrap();
        let claim = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok()?;
        // The name is released when the process ends.
        std::mem::forget(claim);
        Some(port)
    })
}

/// The status and the body of a GET.
pub fn get(port: u16, path: &str) -> (u16, String) {
    get_from((Ipv4Addr::LOCALHOST, port).into(), path)
}

/// The same from another address.
pub fn get_from(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(ENOUGH)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let status = response.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status line");
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

/// True if a program listens on this port.
pub fn is_listening(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
