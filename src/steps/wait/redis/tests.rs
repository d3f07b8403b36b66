//! Tests answers that a real server cannot be made to send on demand.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

async fn probe_once(url: &Endpoint) -> String {
    match Redis::new(url).probe(Deadline::after(Duration::from_secs(20))).await {
        Attempt::Ready => "ready".into(),
        Attempt::NotYet(why) => format!("not yet: {why}"),
        Attempt::Never(why) => format!("never: {why}"),
    }
}

/// Answers the first command on a connection with `answer`, and every further command as Redis does.
async fn answering(answer: &'static str) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut first, mut buffer) = (Some(answer), [0; 1024]);
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let is_ping = buffer[..read].ends_with(b"PING\r\n");
            let answer = first.take().unwrap_or(if is_ping { "+PONG\r\n" } else { "+OK\r\n" });
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Endpoint::of(&format!("redis://me:hunter2@127.0.0.1:{port}")).unwrap()
}

#[tokio::test]
async fn transient_and_permanent_answers_are_distinguished() {
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
        assert_eq!(probe_once(&answering(answer).await).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn an_error_that_is_not_a_rejection_is_retried() {
    let url = answering("-ERR no server connection available\r\n").await;
    let without_login = Endpoint { user: None, password: None, ..url };
    assert_eq!(probe_once(&without_login).await, "not yet: ERR no server connection available");
}

#[tokio::test]
async fn the_greeting_of_another_server_is_no_answer_to_a_ping() {
    let url = answering("+OK POP3 server ready\r\n").await;
    let without_login = Endpoint { user: None, password: None, ..url };
    let answer = probe_once(&without_login).await;
    assert!(answer.ends_with("the answer is not from Redis"), "{answer}");
}

#[tokio::test]
async fn a_missing_socket_is_retried() {
    let url = Endpoint::of("unix:///nonexistent/redis.sock?pass=right").unwrap();
    assert!(probe_once(&url).await.starts_with("not yet: cannot connect: "));
}

#[tokio::test]
async fn an_unreachable_server_or_one_that_is_not_redis_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Endpoint::of(&format!("redis://{}", listener.local_addr().unwrap())).unwrap();
    let (closed, ()) = tokio::join!(probe_once(&url), async { drop(listener.accept().await.unwrap()) });
    assert!(closed.starts_with("not yet: no answer from Redis: "));
    drop(listener);
    assert!(probe_once(&url).await.ends_with("connection refused"));
}
