//! Looks at a real Redis server, and at the bytes of states that a real one cannot be brought into at will.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    config::{Awaited, Wait},
    failure::Failure,
    steps::wait::wait,
};

/// A Redis of our own in a folder of its own; it ends with the value.
struct Server {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .args(settings)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
        assert!(ready, "redis-server did not start");
        Self { process, port, _folder: folder }
    }

    fn url(&self, credentials: &str, database: &str) -> Endpoint {
        endpoint(&format!("redis://{credentials}127.0.0.1:{}/{database}", self.port))
    }
}

impl Drop for Server {
    #[expect(clippy::disallowed_methods, reason = "the reaper does not run in tests")]
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::of(url).unwrap()
}

fn told(attempt: Attempt) -> String {
    match attempt {
        Attempt::Ready => "ready".into(),
        Attempt::NotYet(why) => format!("not yet: {why}"),
        Attempt::Never(why) => format!("never: {why}"),
    }
}

#[tokio::test]
async fn only_a_real_login_is_ready() {
    let server = Server::start(&["--requirepass", "p@ss", "--user", "me", "on", ">secret", "+ping"]);
    for (credentials, database, expected) in [
        (":p%40ss@", "", "ready"),
        ("default:p%40ss@", "3", "ready"),
        ("me:secret@", "", "ready"),
        (":hunter2@", "", "never: WRONGPASS invalid username-password pair or user is disabled"),
        ("me:hunter2@", "", "never: WRONGPASS invalid username-password pair or user is disabled"),
        ("", "", "never: NOAUTH Authentication required"),
        (":p%40ss@", "99", "never: ERR DB index is out of range"),
    ] {
        assert_eq!(told(look(&server.url(credentials, database)).await), expected, "{credentials}{database}");
    }
    let no_permission = told(look(&server.url("me:secret@", "3")).await);
    assert!(no_permission.starts_with("never: NOPERM "), "{no_permission}");
}

#[tokio::test]
async fn a_wrong_password_ends_the_wait_at_the_first_attempt() {
    let server = Server::start(&["--requirepass", "right"]);
    let what = Awaited::Redis { url: server.url(":hunter2@", "") };
    let retries = RefCell::new(0);
    let say = |_| *retries.borrow_mut() += 1;
    let failure = wait(0, &Wait { what, timeout: Duration::from_mins(1) }, None, &say).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused { .. }));
    assert_eq!((failure.code(), *retries.borrow()), (77, 0));
    assert!(!failure.to_string().contains("hunter2"), "{failure}");
    let mut counted = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    std::io::Write::write_all(&mut counted, b"AUTH right\r\nINFO stats\r\nQUIT\r\n").unwrap();
    let stats = std::io::read_to_string(&mut counted).unwrap();
    assert!(stats.contains("total_connections_received:2\r\n"), "the wait's and this one: {stats}");
}

/// Answers whatever comes first on one connection with `answer`, and every further command with `+OK`.
async fn answering(answer: &'static str) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut answers = std::iter::once(answer).chain(std::iter::repeat("+OK\r\n"));
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
            stream.write_all(answers.next().unwrap().as_bytes()).await.unwrap();
        }
    });
    endpoint(&format!("redis://me:hunter2@127.0.0.1:{port}"))
}

#[tokio::test]
async fn transient_and_permanent_answers_are_told_apart() {
    for (answer, expected) in [
        ("-LOADING dataset in memory\r\n", "not yet: LOADING dataset in memory"),
        ("-MASTERDOWN link is down\r\n", "not yet: MASTERDOWN link is down"),
        ("-BUSY running a script\r\n", "not yet: BUSY running a script"),
        ("-ERR max number of clients reached\r\n", "not yet: ERR max number of clients reached"),
        ("-ERR wrong number of arguments for 'auth' command\r\n", "ready"),
        ("-ERR invalid password\r\n", "never: ERR invalid password"),
        ("-DENIED Redis is in protected mode. In this mode\r\n", "never: DENIED Redis is in protected mode"),
        (
            "-ERR unknown command 'AUTH', with 'hunter2'\r\n",
            "never: ERR unknown command 'AUTH', with '<secret>'",
        ),
    ] {
        assert_eq!(told(look(&answering(answer).await).await), expected, "{answer}");
    }
}

#[tokio::test]
async fn an_error_that_is_no_refusal_is_looked_at_again() {
    let url = answering("-ERR no server connection available\r\n").await;
    let without_login = Endpoint { user: None, password: None, ..url };
    assert_eq!(told(look(&without_login).await), "not yet: ERR no server connection available");
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_reached_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let url = endpoint(&format!("unix://{}?pass=right", socket.display()));
    assert!(told(look(&url).await).starts_with("not yet: cannot connect: "));
    let _server = Server::start(&["--requirepass", "right", "--unixsocket", socket.to_str().unwrap()]);
    assert_eq!(told(look(&url).await), "ready");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_not_redis_is_looked_at_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = endpoint(&format!("redis://{}", listener.local_addr().unwrap()));
    let (hung_up, ()) = tokio::join!(look(&url), async { drop(listener.accept().await.unwrap()) });
    assert!(told(hung_up).starts_with("not yet: no answer from Redis: "));
    drop(listener);
    assert!(told(look(&url).await).ends_with("connection refused"));
}
