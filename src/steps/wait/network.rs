//! Connects to a host by name, which is resolved afresh each time.

use std::io;

use tokio::net::{TcpStream, lookup_host};

/// Connects to the first address that answers, or says why the last one did not.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match lookup_host((host, port)).await {
        Ok(addresses) => addresses,
        Err(error) => return Err(format!("cannot resolve `{host}`: {}", reason(&error))),
    };
    let mut last = format!("`{host}` has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("cannot connect to {address}: {}", reason(&error)),
        }
    }
    Err(last)
}

/// `host:port` as people write it, with an IPv6 address in brackets.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The cause without the decoration that the standard library puts around it.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    text.trim_start_matches("failed to lookup address information: ").to_lowercase()
}
