//! Looks at a real RabbitMQ, and at the frames of brokers that a real one cannot be brought to be at will.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener as StdListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{frame::GREETING, *};
use crate::{
    config::{Awaited, Wait},
    steps::wait::wait,
};

/// A RabbitMQ of our own, in a folder and a PID namespace of its own; it ends with the value, and Erlang's port
/// mapper, which it leaves behind, with it.
struct Broker {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Broker {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, distribution, mapper) = (free(), free(), free());
        let path = |name: &str| folder.path().join(name);
        let conf = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = me\ndefault_pass = p@ss\ndefault_vhost = shop/eu\n\
             loopback_users.me = false\n"
        );
        fs::write(path("rabbitmq.conf"), conf).unwrap();
        let mut process = Command::new("unshare")
            .args(if nix::unistd::geteuid().is_root() { &[][..] } else { &["--user", "--map-root-user"] })
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg("/usr/lib/rabbitmq/bin/rabbitmq-server")
            .env("HOME", folder.path())
            .env("RABBITMQ_NODENAME", format!("n{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Server startup complete")), "RabbitMQ did not start");
        Self { process, port, _folder: folder }
    }

    fn url(&self, credentials: &str, vhost: &str) -> Endpoint {
        endpoint(&format!("amqp://{credentials}127.0.0.1:{}{vhost}", self.port))
    }
}

impl Drop for Broker {
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
async fn only_a_real_login_to_a_virtual_host_that_is_there_is_ready() {
    let broker = Broker::start();
    let refused = "never: 403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN";
    for (credentials, vhost, expected) in [
        ("me:p%40ss@", "/shop%2Feu", "ready"),
        ("me:p%40ss@", "/shop/eu", "ready"),
        ("me:hunter2@", "/shop%2Feu", refused),
        ("you:p%40ss@", "/shop%2Feu", refused),
        ("", "/shop%2Feu", refused),
        ("me:p%40ss@", "/shop", "never: 530 NOT_ALLOWED - vhost shop not found"),
        ("me:p%40ss@", "//", "never: 530 NOT_ALLOWED - vhost / not found"),
        ("me:p%40ss@", "", "never: 530 NOT_ALLOWED - vhost / not found"),
    ] {
        let attempt = look(&broker.url(credentials, vhost)).await;
        assert_eq!(told(attempt), expected, "{credentials} {vhost}");
    }
    let what = Awaited::Amqp { url: broker.url("me:hunter2@", "/shop%2Feu") };
    let failure = wait(0, &Wait { what, timeout: Duration::from_mins(1) }, None, &|_| unreachable!())
        .await
        .unwrap_err();
    assert_eq!(failure.code(), 77);
    assert!(!failure.to_string().contains("hunter2"), "{failure}");
}

/// A method frame, byte for byte as the specification draws it.
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

/// Answers the greeting and then each frame with the next of `answers`, hangs up after the last, and returns what
/// it was sent.
async fn scripted(answers: Vec<Vec<u8>>) -> (Attempt, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = endpoint(&format!("amqp://me:hunter2@{}/v", listener.local_addr().unwrap()));
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
    tokio::join!(look(&url), server)
}

#[tokio::test]
async fn transient_and_permanent_answers_are_told_apart() {
    let tune = || frame(TUNE, &[0, 0, 0, 2, 0, 0, 0, 60]);
    let open_ok = || frame(OPEN_OK, &[0]);
    let heartbeat = vec![8, 0, 0, 0, 0, 0, 0, 0xCE];
    for (answers, expected) in [
        (vec![start(SAYS_REFUSALS), tune(), vec![], open_ok(), frame(CLOSE_OK, &[])], "ready"),
        (vec![[heartbeat, start("")].concat(), tune(), vec![], open_ok()], "ready"),
        (vec![], "not yet: it closed the connection"),
        (vec![start("")], "never: it hung up on the login"),
        (vec![start(SAYS_REFUSALS)], "not yet: it closed the connection"),
        (
            vec![
                start(SAYS_REFUSALS),
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
        assert_eq!(told(attempt), expected);
    }
}

#[tokio::test]
async fn the_greeting_and_the_login_are_those_of_the_specification() {
    let (_, sent) = scripted(vec![start(SAYS_REFUSALS), close(403, "")]).await;
    let (greeting, login) = sent.split_at(8);
    assert_eq!(greeting, b"AMQP\0\0\x09\x01");
    assert_eq!(login[..3], [1, 0, 0]);
    assert_eq!(login[7..11], [0, 10, 0, 11]);
    assert!(login.ends_with(b"\x05PLAIN\0\0\0\x0b\0me\0hunter2\x05en_US\xce"), "{login:?}");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_looked_at_again() {
    let port = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = endpoint(&format!("amqp://127.0.0.1:{port}"));
    assert!(told(look(&url).await).ends_with("connection refused"));
}
