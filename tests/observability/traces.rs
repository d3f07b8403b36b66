//! A start-up as a trace at an OpenTelemetry collector.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::Value;

use crate::run::credentials::Clouds;
use crate::support::{
    portcullis::Portcullis,
    project::{Project, sh, steps},
    time_limits::was_quick,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Accepts one request; returns its head and its body.
fn collector() -> (JoinHandle<(String, Value)>, String) {
    let (listener, url) = listener();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let received = read(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        received
    });
    (thread, url)
}

fn read(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "the request ends early");
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let announced = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if body.len() >= announced.parse().unwrap() {
            return (head.to_owned(), serde_json::from_str(body).unwrap());
        }
    }
}

fn spans(request: &Value) -> &Vec<Value> {
    request["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap()
}

fn is_id(id: &Value, length: usize) -> bool {
    let id = id.as_str().unwrap();
    id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

fn time(span: &Value, key: &str) -> u128 {
    span[key].as_str().unwrap().parse().unwrap()
}

fn two_steps() -> Portcullis {
    steps(&(sh("one", "", "echo parent=$TRACEPARENT") + &sh("two", "", "true")))
}

#[test]
fn a_start_is_one_trace_with_a_span_for_each_step() {
    let (collector, url) = collector();
    let outcome = two_steps()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cret%20value")
        .env("OTEL_SERVICE_NAME", "shop")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,service.name=other")
        .env("TRACEPARENT", &format!("00-{TRACE}-{PARENT}-01"))
        .run(["run", "--", "echo", "served"])
        .exits(0);
    let (head, request) = collector.join().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: application/json") && head.contains("api-key: s3cret value"),
        "{head}"
    );
    let attributes = request["resourceSpans"][0]["resource"]["attributes"].to_string();
    assert!(attributes.contains("deployment.environment") && attributes.contains("shop"), "{attributes}");
    assert!(!attributes.contains("other"), "{attributes}");
    let [start, one, two] = spans(&request).as_slice() else { panic!("{request}") };
    assert_eq!(start["parentSpanId"], PARENT);
    for (span, name) in [(start, "portcullis start-up"), (one, "one"), (two, "two")] {
        assert_eq!((&span["traceId"], &span["name"]), (&TRACE.into(), &name.into()));
        assert!(is_id(&span["traceId"], 32) && is_id(&span["spanId"], 16), "{span}");
        assert!(time(span, "startTimeUnixNano") <= time(span, "endTimeUnixNano"), "{span}");
        assert!(time(span, "startTimeUnixNano") >= time(start, "startTimeUnixNano"), "{span}");
        assert_eq!((&span["kind"], &span["status"]["code"]), (&1.into(), &1.into()));
    }
    assert!(time(one, "endTimeUnixNano") <= time(two, "startTimeUnixNano"), "{request}");
    for step in [one, two] {
        assert_eq!(step["parentSpanId"], start["spanId"]);
    }
    assert_ne!(one["spanId"], two["spanId"]);
    // The spans of the step's own program nest below the step.
    outcome.prints(&format!("parent=00-{TRACE}-{}-01", one["spanId"].as_str().unwrap()));
}

#[test]
fn a_failed_start_is_sent_too_and_a_wrong_parent_is_ignored() {
    let (collector, url) = collector();
    steps(&(sh("one", "", "exit 3") + &sh("two", "", "true")))
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &format!("{url}/custom"))
        .env("TRACEPARENT", "00-0-0-01")
        .run(["run", "--", "echo", "served"])
        .exits(79);
    let (head, request) = collector.join().unwrap();
    assert!(head.starts_with("POST /custom HTTP/1.1\r\n"), "{head}");
    let [start, one] = spans(&request).as_slice() else { panic!("{request}") };
    assert!(start.get("parentSpanId").is_none() && is_id(&start["traceId"], 32), "{start}");
    assert_eq!((&start["status"]["code"], &one["status"]["code"]), (&2.into(), &2.into()));
    assert!(start["status"]["message"].as_str().unwrap().contains("exited with 3"), "{start}");
    let attributes = start["attributes"].to_string();
    assert!(
        attributes.contains("command-failed") && attributes.contains("\"intValue\":\"79\""),
        "{attributes}"
    );
}

#[test]
fn a_slow_and_a_failed_tenant_have_a_span_below_their_step() {
    let (collector, url) = collector();
    let project = Project::complete("jobs = 1, on_tenant_failure = \"continue\"").file(
        "tenant/2_uneven.sql",
        "DO $$ BEGIN IF current_schema() = 'a' THEN PERFORM pg_sleep(1.1); END IF; \
         IF current_schema() = 'b' THEN RAISE 'not here'; END IF; END $$;\n",
    );
    project.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).start().exits(1);
    let (_, request) = collector.join().unwrap();
    let spans = spans(&request);
    let named = |name: &str| spans.iter().find(|span| span["name"] == name);
    let step = named("tenant schemas").unwrap();
    for (tenant, code) in [("a", 1), ("b", 2)] {
        let span = named(tenant).unwrap_or_else(|| panic!("{tenant}: {request}"));
        assert_eq!((&span["parentSpanId"], &span["status"]["code"]), (&step["spanId"], &code.into()));
        assert!(spans.iter().filter(|other| other["spanId"] == span["spanId"]).count() == 1, "{request}");
        assert!(time(span, "startTimeUnixNano") >= time(step, "startTimeUnixNano"), "{request}");
    }
    let slow = named("a").unwrap();
    assert!(time(slow, "endTimeUnixNano") - time(slow, "startTimeUnixNano") >= 1_000_000_000, "{slow}");
    assert!(named("c").is_none(), "{request}");
}

#[test]
fn a_collector_with_tls_must_be_trusted() {
    let collector = Clouds::secure();
    let start = || two_steps().env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url());
    start().run(["run", "--", "echo", "served"]).exits(0);
    assert_eq!(collector.requests(), [""; 0]);
    let trusted = collector.path("trusted.pem");
    let start = start().env("OTEL_EXPORTER_OTLP_CERTIFICATE", trusted.to_str().unwrap());
    start.run(["run", "--", "echo", "served"]).exits(0);
    assert!(collector.requests()[0].starts_with("POST /v1/traces"), "{:?}", collector.requests());
}

#[test]
fn a_collector_that_is_silent_or_refuses_delays_no_start() {
    let (silent, url) = listener();
    let started = Instant::now();
    two_steps()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .run(["run", "--", "echo", "served"])
        .exits(0)
        .prints("served");
    drop(silent);
    two_steps()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .run(["run", "--", "echo", "served"])
        .exits(0)
        .prints("served");
    was_quick(started);
}

#[test]
fn nothing_is_sent_without_a_collector_or_if_it_is_disabled() {
    let (listener, url) = listener();
    let parent = format!("00-{TRACE}-{PARENT}-00");
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        // The caller does not record its trace.
        ("TRACEPARENT", &parent),
    ] {
        let portcullis = two_steps().env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env(name, value);
        portcullis.run(["run", "--", "echo", "served"]).exits(0);
    }
    two_steps().run(["run", "--", "echo", "served"]).exits(0).prints("parent=\n");
    let grpc =
        two_steps().env("OTEL_EXPORTER_OTLP_ENDPOINT", &url).env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    grpc.run(["run", "--", "echo", "served"]).exits(0).prints("only HTTP is supported");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}
