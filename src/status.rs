//! The endpoint for probes, people and Prometheus, during the start-up and during a watch.
//!
//! It has its own thread and runtime, so that it responds while a migration computes and while the terminal is
//! blocked. Closing it frees the port at once: connections are reset instead of left in TIME_WAIT, so that a server
//! without SO_REUSEADDR can bind it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{poll_fn, ready},
    io,
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::AbortHandle,
};

use crate::{
    deadline::Deadline,
    report::{
        Output, Shared, json, page, prometheus,
        startup_status::{Phase, StartupStatus},
        terminal_filter,
        watch::WatchPage,
    },
    retry::{Pauses, Retry},
    threads,
};

/// The maximum number of open connections; the oldest is closed for a new one.
const CONNECTIONS: usize = 64;
/// The time limit for the next request of a connection.
const IDLE: Duration = Duration::from_secs(5);
/// The time for the client to close after the last response. Clients that know its length close at once; others wait
/// for the end of the connection.
const LINGER: Duration = Duration::from_millis(100);

/// While the process has no free descriptor.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(100);

/// The endpoint while it is open.
#[derive(Debug)]
pub(crate) struct Endpoint {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) fn open(address: SocketAddr, output: Output, pages: Box<Pages>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let runtime = threads::runtime()?;
        let (stop, stopped) = oneshot::channel();
        let source = Arc::new(Source { output, pages });
        let thread = threads::spawn(
            "status",
            Box::new(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, source) => {}
                    }
                });
                // Drops every connection.
                runtime.shutdown_background();
            }),
        )?;
        Ok(Self { stop, thread })
    }

    /// Returns once the port is free.
    pub(crate) fn close(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// The source of the responses.
struct Source {
    output: Output,
    pages: Box<Pages>,
}

/// The answer to a path.
pub(crate) type Pages = dyn Fn(&str) -> Answer + Send + Sync;

pub(crate) struct Answer {
    status: StatusCode,
    kind: &'static str,
    text: String,
    phase: &'static str,
}

/// The pages of a start-up.
pub(crate) fn startup_pages(status: Shared, hides_details: bool) -> Box<Pages> {
    Box::new(move |path| {
        let (startup, elapsed) = status.now();
        let unready = match startup.phase {
            Phase::Ready => StatusCode::OK,
            Phase::Starting | Phase::Stopping | Phase::Blocked => StatusCode::SERVICE_UNAVAILABLE,
        };
        let json = || startup_json(&startup, elapsed, hides_details);
        let (status, kind, text) = match path {
            "/livez" => (StatusCode::OK, JSON, json()),
            "/readyz" | "/startupz" => (unready, JSON, json()),
            "/metrics" if hides_details => (StatusCode::NOT_FOUND, METRICS, String::new()),
            "/metrics" => (StatusCode::OK, METRICS, prometheus::text(&startup, elapsed, None)),
            // Also for the server's paths: a browser that is too early gets the reason.
            _ => (unready, HTML, page::html(&startup, elapsed, hides_details)),
        };
        Answer { status, kind, text, phase: startup.phase.word() }
    })
}

/// The pages of a watch. It is ready after its first round, whatever the round found.
pub(crate) fn watch_pages(page: &Arc<Mutex<WatchPage>>, hides_details: bool) -> Box<Pages> {
    let page = Arc::clone(page);
    Box::new(move |path| {
        let page = page.lock().unwrap_or_else(PoisonError::into_inner);
        let json = if hides_details || page.json.is_empty() { "{}".into() } else { page.json.clone() };
        let (status, kind, text) = match path {
            "/metrics" if hides_details => (StatusCode::NOT_FOUND, METRICS, String::new()),
            "/metrics" => (StatusCode::OK, METRICS, page.metrics.clone()),
            path if path != "/livez" && page.json.is_empty() => (StatusCode::SERVICE_UNAVAILABLE, JSON, json),
            _ => (StatusCode::OK, JSON, json),
        };
        Answer { status, kind, text, phase: "watch" }
    })
}

fn startup_json(startup: &StartupStatus, elapsed: Duration, hides_details: bool) -> String {
    let mut status = json::status(startup, elapsed);
    if hides_details && let Some(fields) = status.as_object_mut() {
        fields.retain(|name, _| ["status", "elapsed_seconds"].contains(&&**name));
    }
    status.to_string()
}

async fn accept(listener: TcpListener, source: Arc<Source>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    let mut retry = Retry::new(Pauses::even(DESCRIPTOR_PAUSE));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Probably out of descriptors, which is temporary.
            retry.pause().await;
            continue;
        };
        let source = Arc::clone(&source);
        // The connection must not stay in TIME_WAIT, however it ends.
        if stream.set_zero_linger().is_err() {
            continue;
        }
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            // Responses are immediate, so the oldest connection is idle.
            oldest.abort();
        }
        open.push_back(tokio::spawn(serve(stream, source)).abort_handle());
    }
}

async fn serve(stream: TcpStream, source: Arc<Source>) {
    let mut stream = answer(stream, source).await;
    let mut rest = [0; 512];
    let drained = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    if Deadline::after(LINGER).limit(drained).await.is_err() {
        close_first(stream).await;
    }
}

/// Answers the requests of one client, and returns its connection after the last one.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, source: Arc<Source>) -> S {
    let service = service_fn(move |request| ready(Ok::<_, Infallible>(source.respond(&request))));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    // An invalid request also has its response.
    let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    connection.into_parts().io.into_inner()
}

/// Answers the requests in a stream.
#[cfg(any(test, fuzzing))]
pub(crate) async fn answer_stream<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    output: Output,
    pages: Box<Pages>,
) -> S {
    answer(stream, Arc::new(Source { output, pages })).await
}

/// Closes before the client does, without TIME_WAIT: once the response is acknowledged, it drops incoming packets, sends
/// the end and then a reset.
async fn close_first(mut stream: TcpStream) {
    let mut retry = Retry::new(Pauses::even(LINGER)).until(Deadline::after(IDLE));
    while unsent(&stream) > 0 && retry.pause().await {}
    drop_incoming(&stream);
    let _ = stream.shutdown().await;
}

/// Makes the kernel drop all packets that arrive for this socket.
fn drop_incoming(stream: &TcpStream) {
    let mut drop_all = libc::sock_filter { code: BPF_RETURN, jt: 0, jf: 0, k: 0 };
    let filter = libc::sock_fprog { len: 1, filter: &raw mut drop_all };
    let size = libc::socklen_t::try_from(size_of_val(&filter)).unwrap_or_default();
    // SAFETY: the kernel copies the only instruction of the filter before the call returns.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size,
        );
    }
}

/// The number of bytes that the client has not acknowledged.
fn unsent(stream: &TcpStream) -> libc::c_int {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call writes one number.
    unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    bytes
}

/// `BPF_RET | BPF_K`: returns the number of bytes to accept.
const BPF_RETURN: u16 = 0x06;

impl Source {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let Answer { status, kind, text, phase } = (self.pages)(request.uri().path());
        // A 200 would mean that the client has a tunnel.
        let is_tunnel = request.method() == Method::CONNECT;
        let status = if is_tunnel { StatusCode::METHOD_NOT_ALLOWED } else { status };
        let response = Response::builder()
            .status(status)
            .header("content-type", kind)
            .header("cache-control", "no-store")
            .header("x-portcullis", phase);
        let response = if status == StatusCode::SERVICE_UNAVAILABLE {
            response.header("retry-after", "2")
        } else if is_tunnel {
            response.header("allow", "GET, HEAD")
        } else {
            response
        };
        // The headers are constants and valid.
        response.body(Full::from(self.shown(&text, kind == JSON))).unwrap_or_default()
    }

    fn shown(&self, text: &str, json: bool) -> String {
        let text = self.output.masked(text.trim_end());
        (if json { terminal_filter::shown_json(&text).into_owned() } else { text }) + "\n"
    }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
