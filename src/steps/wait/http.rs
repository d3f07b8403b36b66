//! Waits for an HTTP server: GET with an accepted status.

use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::future::{FutureExt, LocalBoxFuture};
use hyper::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::probe::Probe;
use crate::{
    cause::{Cause, Kind},
    config::url::Endpoint,
    database::Attempt,
    deadline::Deadline,
    net::{http::Request, service::Service},
};

/// Characters that a request target must encode.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

pub(super) struct Http<'a> {
    url: &'a Endpoint,
    /// The accepted statuses; empty means 200 to 399.
    accepted: &'a [u16],
    service: Service,
}

impl<'a> Http<'a> {
    pub(super) fn new(url: &'a Endpoint, accepted: &'a [u16]) -> Self {
        let secure = url.scheme == "https";
        let port = url.port.unwrap_or(if secure { 443 } else { 80 });
        Self { url, accepted, service: Service::new(&url.host, port, secure) }
    }

    async fn status(&mut self, deadline: Deadline) -> Result<u16, Attempt> {
        let mut stream = self.service.connect(deadline).await?;
        let (host, target, headers) = (authority(self.url), target(self.url), authorization(self.url));
        let request = Request { method: "GET", host: &host, target: &target, headers: &headers, body: b"" };
        let answer = request.send(&mut stream).await;
        answer
            .map(|answer| answer.status)
            .map_err(|error| Attempt::NotYet(format!("no HTTP answer: {error}").into()))
    }
}

impl Probe for Http<'_> {
    /// The URL without credentials and without the query, which may contain a key.
    fn name(&self) -> String {
        let path = target(self.url).split('?').next().unwrap_or_default().to_owned();
        format!("`{}://{}{path}`", self.url.scheme, authority(self.url))
    }

    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt> {
        async move {
            match self.status(deadline).await {
                Ok(status) => judge(status, self.accepted),
                Err(attempt) => attempt,
            }
        }
        .boxed_local()
    }
}

fn judge(code: u16, accepted: &[u16]) -> Attempt {
    let ready = if accepted.is_empty() { (200..400).contains(&code) } else { accepted.contains(&code) };
    let status = StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |status| status.to_string());
    match code {
        _ if ready => Attempt::Ready,
        401 | 403 => Attempt::Never(Cause::new(Kind::Authentication, format!("the answer is {status}"))),
        _ => Attempt::NotYet(format!("the answer is {status}").into()),
    }
}

fn authorization(url: &Endpoint) -> String {
    if url.user.is_none() && url.password.is_none() {
        return String::new();
    }
    let password = url.password.as_ref().map_or("", |password| password.expose());
    let login = format!("{}:{password}", url.user.as_deref().unwrap_or_default());
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(login))
}

fn authority(url: &Endpoint) -> String {
    match url.port {
        Some(port) => crate::net::Target::new(&url.host, port).name(),
        None if url.host.contains(':') => format!("[{}]", url.host),
        None => url.host.clone(),
    }
}

fn target(url: &Endpoint) -> String {
    let target = url.target.expose().split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(target, ENCODED))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::convert::Infallible;

    use http_body_util::Empty;
    use hyper::{
        Request, Response,
        body::Bytes,
        header::{AUTHORIZATION, HOST},
        server,
        service::service_fn,
    };
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::{Attempt, Deadline, Endpoint, Http, Probe};

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::of(url).unwrap()
    }

    /// Serves one connection: `status` if the request is for `/health?deep=1` and has `authorization`, else 404.
    async fn serve(status: u16, authorization: Option<&'static str>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                let brought = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap());
                let right = request.uri() == "/health?deep=1"
                    && brought == authorization
                    && request.headers()[HOST] == format!("127.0.0.1:{port}");
                let status = if right { status } else { 404 };
                Ok::<_, Infallible>(Response::builder().status(status).body(Empty::<Bytes>::new()).unwrap())
            });
            server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
                .unwrap();
        });
        port
    }

    async fn outcome(url: &Endpoint, accepted: &[u16]) -> String {
        let deadline = Deadline::after(std::time::Duration::from_secs(20));
        match Http::new(url, accepted).probe(deadline).await {
            Attempt::Ready => "ready".into(),
            Attempt::NotYet(why) => format!("not yet: {why}"),
            Attempt::Never(why) => format!("never: {why}"),
        }
    }

    #[tokio::test]
    async fn an_accepted_status_is_ready() {
        for (status, accepted, expected) in [
            (200, &[][..], "ready"),
            (302, &[], "ready"),
            (503, &[], "not yet: the answer is 503 Service Unavailable"),
            (404, &[], "not yet: the answer is 404 Not Found"),
            (401, &[], "never: the answer is 401 Unauthorized"),
            (403, &[], "never: the answer is 403 Forbidden"),
            (401, &[401], "ready"),
            (200, &[204], "not yet: the answer is 200 OK"),
        ] {
            let port = serve(status, None).await;
            let url = endpoint(&format!("http://127.0.0.1:{port}/health?deep=1"));
            assert_eq!(outcome(&url, accepted).await, expected, "{status} with {accepted:?}");
        }
    }

    #[tokio::test]
    async fn credentials_in_the_url_are_sent() {
        // printf 'me:p@ss' | base64
        let port = serve(200, Some("Basic bWU6cEBzcw==")).await;
        let url = endpoint(&format!("http://me:p%40ss@127.0.0.1:{port}/health?deep=1"));
        assert_eq!(outcome(&url, &[]).await, "ready");
    }

    #[tokio::test]
    async fn a_server_that_closes_the_connection_is_retried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = endpoint(&format!("http://{}/", listener.local_addr().unwrap()));
        tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
        assert!(outcome(&url, &[]).await.starts_with("not yet: no HTTP answer: "));
    }
}
