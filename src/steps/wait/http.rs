//! One look at an HTTP address: GET, and judge the status.

use std::pin::pin;

use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{AUTHORIZATION, CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{network, tls};
use crate::{config::url::Endpoint, database::Attempt};

/// What a request cannot hold as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// `accepted` lists the statuses that count; empty means 200 to 399.
pub(super) async fn look(url: &Endpoint, accepted: &[u16]) -> Attempt {
    match status(url).await {
        Ok(status) => judge(status, accepted),
        Err(attempt) => attempt,
    }
}

/// The address without credentials and without its query, which may hold a key.
pub(super) fn name(url: &Endpoint) -> String {
    let path = target(url).split('?').next().unwrap_or_default().to_owned();
    format!("`{}://{}{path}`", url.scheme, authority(url))
}

/// The host, and the port where the URL names one.
fn authority(url: &Endpoint) -> String {
    match url.port {
        Some(port) => network::address(&url.host, port),
        None if url.host.contains(':') => format!("[{}]", url.host),
        None => url.host.clone(),
    }
}

/// Path and query, without the fragment, which is the reader's own.
fn target(url: &Endpoint) -> String {
    let target = url.target.expose().split('#').next().unwrap_or_default();
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(target, ENCODED))
}

fn judge(status: StatusCode, accepted: &[u16]) -> Attempt {
    let code = status.as_u16();
    let ready = if accepted.is_empty() { (200..400).contains(&code) } else { accepted.contains(&code) };
    match code {
        _ if ready => Attempt::Ready,
        401 | 403 => Attempt::Never(format!("it answered {status}")),
        _ => Attempt::NotYet(format!("it answered {status}")),
    }
}

async fn status(url: &Endpoint) -> Result<StatusCode, Attempt> {
    let request = request(url).map_err(|_| Attempt::Never("its address cannot be asked for".into()))?;
    let secure = url.scheme == "https";
    let port = url.port.unwrap_or(if secure { 443 } else { 80 });
    let stream = network::connect(&url.host, port).await.map_err(Attempt::NotYet)?;
    let answer = if secure {
        ask(tls::secure(stream, &url.host).await?, request).await
    } else {
        ask(stream, request).await
    };
    answer.map_err(|error| Attempt::NotYet(format!("no HTTP answer: {error}")))
}

fn request(url: &Endpoint) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    let mut request = Request::get(target(url))
        .header(HOST, authority(url))
        .header(USER_AGENT, concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    if url.user.is_some() || url.password.is_some() {
        let password = url.password.as_ref().map_or("", |password| password.expose());
        let login = format!("{}:{password}", url.user.as_deref().unwrap_or_default());
        request = request.header(AUTHORIZATION, format!("Basic {}", BASE64_STANDARD.encode(login)));
    }
    request.body(Empty::new())
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // A server that closes at once has still answered.
        _ = connection => answer.await,
    };
    Ok(answer?.status())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::convert::Infallible;

    use hyper::{Response, server, service::service_fn};
    use tokio::net::TcpListener;

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::of(url).unwrap()
    }

    /// Serves one connection: `status` if the request is for `/health?deep=1` and brings `authorization`, else 404.
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

    fn told(attempt: Attempt) -> String {
        match attempt {
            Attempt::Ready => "ready".into(),
            Attempt::NotYet(why) => format!("not yet: {why}"),
            Attempt::Never(why) => format!("never: {why}"),
        }
    }

    #[tokio::test]
    async fn the_status_decides() {
        for (status, accepted, expected) in [
            (200, &[][..], "ready"),
            (302, &[], "ready"),
            (503, &[], "not yet: it answered 503 Service Unavailable"),
            (404, &[], "not yet: it answered 404 Not Found"),
            (401, &[], "never: it answered 401 Unauthorized"),
            (403, &[], "never: it answered 403 Forbidden"),
            (401, &[401], "ready"),
            (200, &[204], "not yet: it answered 200 OK"),
        ] {
            let port = serve(status, None).await;
            let url = endpoint(&format!("http://127.0.0.1:{port}/health?deep=1"));
            assert_eq!(told(look(&url, accepted).await), expected, "{status} with {accepted:?}");
        }
    }

    #[tokio::test]
    async fn credentials_in_the_address_log_in() {
        // printf 'me:p@ss' | base64
        let port = serve(200, Some("Basic bWU6cEBzcw==")).await;
        let url = endpoint(&format!("http://me:p%40ss@127.0.0.1:{port}/health?deep=1"));
        assert_eq!(told(look(&url, &[]).await), "ready");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_looked_at_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = endpoint(&format!("http://{}/", listener.local_addr().unwrap()));
        tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
        assert!(told(look(&url, &[]).await).starts_with("not yet: no HTTP answer: "));
    }
}
