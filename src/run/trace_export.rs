//! Sends a start-up's trace to an OpenTelemetry collector, by OTLP over HTTP in JSON. It is configured by the variables of the
//! OpenTelemetry specification, and never delays or fails the start-up by more than its time limit.

use std::{
    cell::Cell,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use percent_encoding::percent_decode_str;

use crate::{
    cause::Unavailable,
    config::{environment::Environment, url::Endpoint},
    deadline::Deadline,
    net::{http::Request, service::Service, tls::Roots},
    outcome::trace_context::TraceContext,
    report::{Report, otlp},
};

/// The time limit for everything.
const LIMIT: Duration = Duration::from_millis(500);
/// The path of `OTEL_EXPORTER_OTLP_ENDPOINT`.
const PATH: &str = "v1/traces";

/// The collector, and the identity of the trace.
pub(super) struct Exporter {
    endpoint: Endpoint,
    /// Complete lines.
    headers: String,
    resource: Vec<(String, String)>,
    /// A file of certificates that are trusted, too.
    certificates: Option<PathBuf>,
    pub(super) context: TraceContext,
    /// The collector has it.
    sent: Cell<bool>,
}

impl Exporter {
    /// None without a collector, or if the caller's trace is not recorded. An error names the variable.
    pub(super) fn new(env: &Environment) -> Result<Option<Self>, String> {
        let of_traces = |name: &str| {
            let traces = env.get(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"));
            traces.or_else(|| env.get(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let url =
            match (env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), env.get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
                (Some(url), _) => url.to_owned(),
                (None, Some(base)) => format!("{}/{PATH}", base.trim_end_matches('/')),
                (None, None) => return Ok(None),
            };
        let is_off = env.get("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"));
        if is_off || env.get("OTEL_TRACES_EXPORTER") == Some("none") {
            return Ok(None);
        }
        if of_traces("PROTOCOL") == Some("grpc") {
            return Err("OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`, and only HTTP is supported".into());
        }
        let invalid = || {
            "OTEL_EXPORTER_OTLP_ENDPOINT is not a valid URL that begins with http:// or https://".to_owned()
        };
        let endpoint = Endpoint::of_collector(&url).ok_or_else(invalid)?;
        let mut headers = String::new();
        for (name, value) in pairs(of_traces("HEADERS").unwrap_or_default()) {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(is_token) || value.contains(|c: char| c.is_control()) {
                return Err("OTEL_EXPORTER_OTLP_HEADERS is not a list of `name=value`".into());
            }
            headers += &format!("{name}: {value}\r\n");
        }
        let mut resource = pairs(env.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        if let Some(service) = env.get("OTEL_SERVICE_NAME") {
            resource.retain(|(name, _)| name != "service.name");
            resource.push(("service.name".into(), service.to_owned()));
        } else if !resource.iter().any(|(name, _)| name == "service.name") {
            resource.push(("service.name".into(), "unknown_service:portcullis".into()));
        }
        let certificates = of_traces("CERTIFICATE").map(PathBuf::from);
        let context = TraceContext::new(env.get("TRACEPARENT"));
        Ok(context.map(|context| Self {
            endpoint,
            headers,
            resource,
            certificates,
            context,
            sent: Cell::new(false),
        }))
    }

    /// The values of the headers.
    pub(super) fn secrets(env: &Environment) -> Vec<String> {
        let names = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
        let lists = names.iter().filter_map(|name| env.get(name));
        lists.flat_map(pairs).map(|(_, value)| value).collect()
    }

    /// Sends the state of the start-up, once. A failure is a message for debugging.
    pub(super) async fn send(&self, report: &Report) {
        if self.sent.get() {
            return;
        }
        let (status, elapsed) = report.status().now();
        let request = otlp::request(&self.context, &self.resource, &status, elapsed, SystemTime::now());
        let body = report.output().masked(&request.to_string());
        let deadline = Deadline::after(LIMIT);
        match deadline.limit(self.post(&body, deadline)).await {
            Ok(Ok(200..=299)) => self.sent.set(true),
            Ok(Ok(status)) => tracing::debug!(status, "the collector refused the trace"),
            Ok(Err(why)) => tracing::debug!("the trace was not sent: {why}"),
            Err(_) => tracing::debug!("the trace was not sent: no answer in time"),
        }
    }

    /// Returns the status of the answer.
    async fn post(&self, body: &str, deadline: Deadline) -> Result<u16, String> {
        let is_secure = self.endpoint.scheme == "https";
        let port = self.endpoint.port.unwrap_or(if is_secure { 443 } else { 80 });
        let roots = is_secure.then(|| Roots::with_file(self.certificates.clone()));
        let mut service = Service::with_roots(&self.endpoint.host, port, roots);
        let connected = service.connect(deadline).await;
        let mut stream = connected
            .map_err(|(Unavailable::Temporary(why) | Unavailable::Permanent(why))| why.to_string())?;
        let headers = format!("Content-Type: application/json\r\n{}", self.headers);
        let host = service.name();
        let target = self.endpoint.target.expose();
        let slash = if target.starts_with('/') { "" } else { "/" };
        let request = Request {
            method: "POST",
            host: &host,
            target: &format!("{slash}{target}"),
            headers: &headers,
            body: body.as_bytes(),
        };
        let answer = request.send(&mut stream).await;
        answer.map(|answer| answer.status).map_err(|error| error.to_string())
    }
}

/// A list of `name=value`, percent-encoded and separated by commas.
fn pairs(list: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
    let pairs = list.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}
