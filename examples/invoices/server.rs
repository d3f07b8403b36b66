//! Handles requests: selects the page and the status for a path.

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{database::Database, page, quarantine::Quarantine};

/// The state of the server.
pub struct Site {
    pub database: Database,
    /// The folder into which `collectstatic` wrote the style sheet.
    pub static_root: PathBuf,
    pub quarantine: Quarantine,
}

const HTML: &str = "text/html; charset=utf-8";

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, site: Site) {
    let site = Arc::new(site);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The client has closed the connection, or no descriptor is free.
            tokio::task::yield_now().await;
            continue;
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let site = Arc::clone(&site);
                async move { Ok::<_, Infallible>(site.handle(&request).await) }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                eprintln!("invoices: {error}");
            }
        });
    }
}

impl Site {
    async fn handle(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        match path.split('/').skip(1).collect::<Vec<_>>()[..] {
            ["static", "invoices.css"] => self.style_sheet(),
            [tenant, "finance", "invoices", ""] if self.quarantine.has(tenant) => {
                let page = page::problem("This account is being maintained", tenant);
                respond(StatusCode::SERVICE_UNAVAILABLE, HTML, page)
            }
            [tenant, "finance", "invoices", ""] if !tenant.is_empty() => self.invoices(tenant).await,
            _ => respond(StatusCode::NOT_FOUND, HTML, page::problem("Not found", path)),
        }
    }

    async fn invoices(&self, tenant: &str) -> Response<Full<Bytes>> {
        match self.database.invoices(tenant).await {
            Ok(Some(invoices)) => respond(StatusCode::OK, HTML, page::invoices(tenant, &invoices)),
            Ok(None) => respond(StatusCode::NOT_FOUND, HTML, page::problem("No such tenant", tenant)),
            Err(error) => {
                eprintln!("invoices: {tenant}: {error}");
                let detail = error.to_string();
                respond(StatusCode::INTERNAL_SERVER_ERROR, HTML, page::problem("Server error", &detail))
            }
        }
    }

    fn style_sheet(&self) -> Response<Full<Bytes>> {
        match std::fs::read_to_string(self.static_root.join("invoices.css")) {
            Ok(text) => respond(StatusCode::OK, "text/css", text),
            Err(_) => {
                respond(StatusCode::NOT_FOUND, HTML, page::problem("Not found", "collectstatic did not run"))
            }
        }
    }
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}
