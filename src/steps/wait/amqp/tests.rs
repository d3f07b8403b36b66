//! Tests answers that a real broker cannot be made to send on demand.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{frame::GREETING, *};

async fn probe_once(url: &Endpoint) -> String {
    match Amqp::new(url).probe(Deadline::after(Duration::from_secs(20))).await {
        Attempt::Ready => "ready".into(),
        Attempt::NotYet(why) => format!("not yet: {why}"),
        Attempt::Never(why) => format!("never: {why}"),
    }
}

/// A method frame, with the bytes of the specification.
fn frame(method: Method, arguments: &[u8]) -> Vec<u8> {
    let size = u32::try_from(arguments.len() + 4).unwrap();
    let mut frame = vec![1, 0, 0];
    frame.extend(size.to_be_bytes());
    frame.extend(method.0.to_be_bytes());
    frame.extend(method.1.to_be_bytes());
    frame.extend(arguments);
    frame.push(0xCE);
    frame
}

fn start(capability: &str) -> Vec<u8> {
    let table = if capability.is_empty() {
        Arguments::default()
    } else {
        Arguments::default().short_text(capability.as_bytes()).octet(b't').octet(1)
    };
    let arguments = Arguments::default()
        .octet(0)
        .octet(9)
        .long_text(table.bytes())
        .long_text(b"PLAIN")
        .long_text(b"en_US");
    frame(START, arguments.bytes())
}

fn close(code: u16, text: &str) -> Vec<u8> {
    frame(CLOSE, Arguments::default().short(code).short_text(text.as_bytes()).short(0).short(0).bytes())
}

/// Answers the greeting and then each frame with the next of `answers`, closes after the last, and returns what it
/// received.
async fn scripted(answers: Vec<Vec<u8>>) -> (String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Endpoint::of(&format!("amqp://me:hunter2@{}/v", listener.local_addr().unwrap())).unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = vec![0; GREETING.len()];
        stream.read_exact(&mut sent).await.unwrap();
        for (place, answer) in answers.into_iter().enumerate() {
            if place > 0 {
                let mut piece = [0; 1024];
                let read = stream.read(&mut piece).await.unwrap();
                sent.extend(&piece[..read]);
            }
            stream.write_all(&answer).await.unwrap();
        }
        sent
    };
    tokio::join!(probe_once(&url), server)
}

#[tokio::test]
async fn transient_and_permanent_answers_are_distinguished() {
    let tune = || frame(TUNE, &[0, 0, 0, 2, 0, 0, 0, 60]);
    let open_ok = || frame(OPEN_OK, &[0]);
    let heartbeat = vec![8, 0, 0, 0, 0, 0, 0, 0xCE];
    for (answers, expected) in [
        (vec![start(EXPLICIT_REJECTION), tune(), vec![], open_ok(), frame(CLOSE_OK, &[])], "ready"),
        (vec![[heartbeat, start("")].concat(), tune(), vec![], open_ok()], "ready"),
        (vec![], "not yet: it closed the connection"),
        (vec![start("")], "never: it closed the connection at the login"),
        (vec![start(EXPLICIT_REJECTION)], "not yet: it closed the connection"),
        (
            vec![
                start(EXPLICIT_REJECTION),
                close(403, "ACCESS_REFUSED - Login was refused, hunter2. See the log."),
            ],
            "never: 403 ACCESS_REFUSED - Login was refused, <secret>",
        ),
        (
            vec![start(""), tune(), vec![], close(530, "NOT_ALLOWED - vhost v not found")],
            "never: 530 NOT_ALLOWED - vhost v not found",
        ),
        (
            vec![start(""), tune(), vec![], close(530, "NOT_ALLOWED - connection limit (9) is reached")],
            "not yet: 530 NOT_ALLOWED - connection limit (9) is reached",
        ),
        (
            vec![start(""), tune(), vec![], close(541, "INTERNAL_ERROR - vhost 'v' is down")],
            "not yet: 541 INTERNAL_ERROR - vhost 'v' is down",
        ),
        (vec![b"AMQP\0\x01\0\0".to_vec()], "never: it does not speak AMQP 0-9-1"),
        (vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()], "not yet: its answer is not AMQP"),
        (vec![vec![1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]], "not yet: its answer is not AMQP"),
    ] {
        let (attempt, _) = scripted(answers).await;
        assert_eq!(attempt, expected);
    }
}

#[tokio::test]
async fn the_greeting_and_the_login_match_the_specification() {
    let (_, sent) = scripted(vec![start(EXPLICIT_REJECTION), close(403, "")]).await;
    let (greeting, login) = sent.split_at(8);
    assert_eq!(greeting, b"AMQP\0\0\x09\x01");
    assert_eq!(login[..3], [1, 0, 0]);
    assert_eq!(login[7..11], [0, 10, 0, 11]);
    assert!(login.ends_with(b"\x05PLAIN\0\0\0\x0b\0me\0hunter2\x05en_US\xce"), "{login:?}");
}

#[tokio::test]
async fn a_port_without_a_listener_is_retried() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = Endpoint::of(&format!("amqp://127.0.0.1:{port}")).unwrap();
    assert!(probe_once(&url).await.ends_with("connection refused"));
}
