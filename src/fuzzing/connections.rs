//! The laws for connections: clients of the endpoint, and the servers that Portcullis calls.

use std::time::Duration;

use futures_util::future::FutureExt;
use tokio::runtime::Builder;

use super::stream::Peer;
use crate::{
    config::{environment::Environment, url::Endpoint},
    database::read_checked,
    deadline::Deadline,
    net::http::Request,
    report::{Output, Shared},
    status::{answer_stream, startup_pages},
    steps::wait,
};

/// The longest response of the endpoint without steps.
const LONGEST_RESPONSE: usize = 16 * 1024;

/// A client of the endpoint gets well-formed responses, at most one for each request, and then the end. Only the paths that
/// probe the process or read its metrics have a 200.
pub(super) fn endpoint(bytes: &[u8]) {
    let Ok(runtime) = Builder::new_current_thread().enable_time().build() else { return };
    let answered = runtime.block_on(async {
        let output = Output::new(&Environment::from([]));
        let pages = startup_pages(Shared::new(), false);
        Deadline::after(Duration::from_secs(2)).limit(answer_stream(Peer::new(bytes), output, pages)).await
    });
    assert!(answered.is_ok(), "it waits for more than the client sends");
    let statuses = statuses(&answered.map(|client| client.written).unwrap_or_default());
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(statuses.len() <= lines, "{statuses:?}");
    let has = |path: &[u8]| bytes.windows(path.len()).any(|part| part == path);
    assert!(has(b"/livez") || has(b"/metrics") || !statuses.contains(&200), "{statuses:?}");
}

/// The statuses of the responses in these bytes, which contain nothing else.
fn statuses(mut bytes: &[u8]) -> Vec<usize> {
    let mut statuses = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").map_or(0, |at| at + 4);
        let (head, rest) = bytes.split_at(end);
        let head = String::from_utf8_lossy(head);
        let number = |after: &str| {
            let (number, _) = head.split_once(after)?.1.split_once([' ', '\r'])?;
            number.parse().ok()
        };
        let status = number("HTTP/1.1 ").or_else(|| number("HTTP/1.0 "));
        let length = number("\r\ncontent-length: ").filter(|length| *length <= LONGEST_RESPONSE);
        assert!(head.starts_with("HTTP/1.") && status.is_some() && length.is_some(), "{head}");
        // The response to HEAD has no body.
        let has_body = !(rest.is_empty() || rest.starts_with(b"HTTP/1."));
        let body = length.filter(|_| has_body).unwrap_or_default();
        assert!(body <= rest.len(), "{head}");
        bytes = &rest[body..];
        statuses.extend(status);
    }
    statuses
}

/// The answer of an HTTP server is read to its end, or is an error.
pub(super) fn http(bytes: &[u8]) {
    let mut peer = Peer::new(bytes);
    let request = Request { method: "GET", host: "h", target: "/", headers: "", body: b"" };
    let ended = async {
        let answer = request.send(&mut peer).await?;
        assert!((200..1000).contains(&answer.status), "{}", answer.status);
        answer.body(&mut peer).await
    };
    assert!(ended.now_or_never().is_some(), "it waits for more than the peer sends");
}

/// Redis is ready exactly after its answers to AUTH, SELECT and PING, in this order.
pub(super) fn redis(bytes: &[u8]) {
    let Ok(url) = Endpoint::of("redis://user:a-password@h/3") else { return };
    let is_ready = wait::redis::is_ready(&url, Box::new(Peer::new(bytes))).now_or_never();
    let mut lines = bytes.get(1..).unwrap_or_default().split_inclusive(|byte| *byte == b'\n').peekable();
    // Before version 6, AUTH had no user.
    let is_old = |line: &&[u8]| {
        let text = String::from_utf8_lossy(line);
        text.len() < 8_000
            && text.starts_with('-')
            && text.ends_with("\r\n")
            && text.contains("wrong number of arguments")
    };
    lines.next_if(is_old);
    let answered = lines.take(3).eq([b"+OK\r\n".as_slice(), b"+OK\r\n", b"+PONG\r\n"]);
    assert_eq!(is_ready, Some(answered));
}

/// A broker is ready exactly after start, tune and open-ok, in this order.
pub(super) fn amqp(bytes: &[u8]) {
    let Ok(url) = Endpoint::of("amqp://user:a-password@h/v") else { return };
    let is_ready = wait::amqp::is_ready(&url, Peer::new(bytes)).now_or_never();
    let methods = methods(bytes.get(1..).unwrap_or_default());
    assert_eq!(is_ready, Some(methods.starts_with(&[[0, 10, 0, 10], [0, 10, 0, 30], [0, 10, 0, 41]])));
}

/// The methods of AMQP's frames, up to the first invalid frame.
fn methods(mut bytes: &[u8]) -> Vec<[u8; 4]> {
    let mut methods = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<7>() {
        let size = length([head[3], head[4], head[5], head[6]]);
        let Some((payload, [0xce, rest @ ..])) = rest.split_at_checked(size) else { break };
        match (head[0], payload.first_chunk()) {
            (1, Some(method)) => methods.push(*method),
            (8, _) => {}
            _ => break,
        }
        bytes = rest;
    }
    methods
}

/// The driver gets the bytes of a PostgreSQL server without a change, and no message beyond the limits, however the bytes are
/// divided. The limits store no more than what arrived.
pub(super) fn message_lengths(bytes: &[u8]) {
    let sent = bytes.get(1..).unwrap_or_default();
    for negotiates in [false, true] {
        let read = |server| read_checked(server, negotiates).now_or_never().unwrap_or_default();
        let (passed, error, stored) = read(Peer::new(bytes));
        assert_eq!(error, read(Peer::new(&[&[0xff], sent].concat())).1);
        assert!(sent.starts_with(&passed) && stored <= sent.len());
        let begin = usize::from(negotiates);
        let too_long = sent.get(begin..).and_then(too_long_message).map(|at| begin + at);
        match (error, too_long) {
            (None, too_long) => assert_eq!((too_long, passed.len()), (None, sent.len())),
            // The fifth byte completes the length.
            (Some(error), Some(at)) => assert!(passed.len() < at + 5, "{error}"),
            (Some(error), None) => assert!(!error.contains("a message of"), "{error}"),
        }
    }
}

/// The position of the first message that PostgreSQL does not send.
fn too_long_message(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let [kind, a, b, c, d] = *bytes.get(at..)?.first_chunk()?;
        let longest = if matches!(kind, b'R' | b'S') { 64 << 10 } else { 8 << 20 };
        let length = length([a, b, c, d]);
        if !(4..=longest).contains(&length) {
            return Some(at);
        }
        at += 1 + length;
    }
}

fn length(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}
