//! A minimal HTTP/1.1 client for probes and tokens: one request, its status, and a short body.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest accepted head or body.
const MAX_BYTES: usize = 1_000_000;

/// A request for `target`; `headers` are complete lines.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a str,
    pub(crate) body: &'a [u8],
}

/// A final answer: its head was read, its body was not.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    /// The bytes received after the head.
    rest: Vec<u8>,
}

impl Request<'_> {
    /// Sends the request and reads the answer's head. The server closes the connection after its answer.
    pub(crate) async fn send<S>(&self, stream: &mut S) -> io::Result<Answer>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { method, host, target, headers, body } = self;
        if [host, target].iter().any(|part| part.contains(|c: char| c.is_control() || c == ' ')) {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the address is not a valid request target"));
        }
        let agent = concat!("portcullis/", env!("CARGO_PKG_VERSION"));
        let length = match *method {
            "GET" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n{length}{headers}\r\n"
        );
        // A server that answers and closes immediately may not read the request; only its answer counts.
        let sent = stream.write_all(&[head.as_bytes(), body].concat()).await;
        let mut bytes = Vec::new();
        loop {
            while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                let head = String::from_utf8_lossy(&bytes).into_owned();
                let status = status(&head)?;
                if !(100..200).contains(&status) {
                    return Ok(Answer { status, head, rest });
                }
                // Statuses 100 and 103 precede the answer.
                bytes = rest;
            }
            if bytes.len() > MAX_BYTES || stream.read_buf(&mut bytes).await? == 0 {
                sent?;
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the connection ended without an answer",
                ));
            }
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Reads as many bytes as are announced, or up to the end of the connection.
    pub(crate) async fn body(mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
        if self.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                if let Some(body) = unchunked(&self.rest)? {
                    return Ok(body);
                }
                if self.rest.len() > MAX_BYTES || stream.read_buf(&mut self.rest).await? == 0 {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "the body is not complete"));
                }
            }
        }
        let announced = self.header("Content-Length").and_then(|length| length.parse().ok());
        let length = announced.unwrap_or(MAX_BYTES).min(MAX_BYTES);
        while self.rest.len() < length && stream.read_buf(&mut self.rest).await? > 0 {}
        if announced.is_some() && self.rest.len() < length {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the body is not complete"));
        }
        self.rest.truncate(length);
        Ok(self.rest)
    }
}

/// The content of a chunked body (RFC 9112, section 7.1); None if it is not complete.
fn unchunked(mut bytes: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[..end]).ok().and_then(|line| {
            let digits = line.split(';').next()?.trim();
            usize::from_str_radix(digits, 16).ok().filter(|size| *size <= MAX_BYTES)
        });
        let invalid = || io::Error::new(ErrorKind::InvalidData, "the body is not valid");
        let size = size.ok_or_else(invalid)?;
        if size == 0 {
            return Ok(Some(body));
        }
        let start = end + 2;
        let Some(chunk) = bytes.get(start..start + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        bytes = bytes.get(start + size + 2..).unwrap_or_default();
    }
}

/// The status of `HTTP/1.1 200 OK`.
fn status(head: &str) -> io::Result<u16> {
    let mut words = head.split([' ', '\r']);
    let version = words.next().filter(|version| version.starts_with("HTTP/1."));
    let status =
        version.and_then(|_| words.next()?.parse().ok()).filter(|status| (100..1000).contains(status));
    status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP/1"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    async fn get(answer: &str) -> io::Result<(u16, Vec<u8>)> {
        let (mut client, mut server) = tokio::io::duplex(10_000);
        server.write_all(answer.as_bytes()).await.unwrap();
        let server = tokio::spawn(async move {
            let mut received = [0; 4096];
            let read = server.read(&mut received).await.unwrap();
            String::from_utf8_lossy(&received[..read]).into_owned()
        });
        let request = Request { method: "GET", host: "h:80", target: "/x?y", headers: "A: b\r\n", body: b"" };
        let answer = request.send(&mut client).await;
        let received = server.await.unwrap();
        assert!(
            received.starts_with("GET /x?y HTTP/1.1\r\nHost: h:80\r\n") && received.ends_with("A: b\r\n\r\n")
        );
        let answer = answer?;
        Ok((answer.status, answer.body(&mut client).await?))
    }

    #[tokio::test]
    async fn a_body_ends_at_its_length_or_with_the_connection() {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        for (answer, status, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokay", 200, "ok"),
            ("HTTP/1.0 503\r\n\r\nuntil the end", 503, "until the end"),
            (early, 204, ""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nA;x\r\n0123456789\r\n0\r\n\r\n",
                200,
                "ok0123456789",
            ),
        ] {
            assert_eq!(get(answer).await.unwrap(), (status, body.into()), "{answer}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_http_is_an_error() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 twenty\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
        ] {
            assert!(get(answer).await.is_err(), "{answer}");
        }
    }

    #[test]
    fn a_part_of_a_chunked_body_is_no_body() {
        for part in ["", "2", "2\r\no", "2\r\nok\r\n", "2\r\nok\r\n0"] {
            assert_eq!(unchunked(part.as_bytes()).unwrap(), None, "{part:?}");
        }
        for wrong in ["\r\n", "x\r\n", "-1\r\n", "fffffffff\r\n"] {
            assert!(unchunked(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_sent_with_its_length() {
        let (mut client, mut server) = tokio::io::duplex(10_000);
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let request = Request { method: "POST", host: "h", target: "/", headers: "", body: b"a=b" };
        assert_eq!(request.send(&mut client).await.unwrap().status, 200);
        drop(client);
        let mut received = String::new();
        server.read_to_string(&mut received).await.unwrap();
        assert!(received.starts_with("POST / HTTP/1.1\r\n"), "{received}");
        assert!(received.ends_with("Content-Length: 3\r\n\r\na=b"), "{received}");
    }

    #[tokio::test]
    async fn no_header_line_can_be_injected_into_the_request() {
        let target = "/x HTTP/1.1\r\nA: b";
        let request = Request { method: "GET", host: "h", target, headers: "", body: b"" };
        assert!(request.send(&mut tokio::io::duplex(9).0).await.is_err());
    }
}
