//! Waits for a real Redis and a real RabbitMQ: only a login that the service accepts ends them.

use crate::support::{
    http::free_port, portcullis::Portcullis, process::Outcome, project::steps, rabbitmq::RabbitMq,
    redis::Redis,
};

fn wait(kind: &str, url: &str) -> Outcome {
    let wait = format!("wait.{kind} = {{ url = \"{url}\", timeout = \"50s\" }}");
    steps(&format!("[[step]]\nname = \"service\"\n{wait}\n")).run(["run"])
}

/// The text of the box without line breaks; empty if the service was ready.
fn refusal(kind: &str, url: &str) -> String {
    let outcome = wait(kind, url).prints_not("hunter2");
    if outcome.code == Some(0) {
        return String::new();
    }
    assert_eq!(outcome.code, Some(77), "{outcome}");
    outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn redis_is_ready_after_a_real_login_only() {
    let port = free_port();
    let _server = Redis::with(port, &["--requirepass", "p@ss", "--user", "me", "on", ">secret", "+ping"]);
    for (credentials, database, cause) in [
        (":p%40ss@", "", ""),
        ("default:p%40ss@", "3", ""),
        ("me:secret@", "", ""),
        (":hunter2@", "", "WRONGPASS"),
        ("me:hunter2@", "", "WRONGPASS"),
        ("", "", "NOAUTH"),
        ("me:secret@", "3", "NOPERM"),
        (":p%40ss@", "99", "DB index is out of range"),
    ] {
        let message = refusal("redis", &format!("redis://{credentials}127.0.0.1:{port}/{database}"));
        assert!(
            message.is_empty() == cause.is_empty() && message.contains(cause),
            "{credentials}{database}: {message}"
        );
    }
}

#[test]
fn redis_is_reached_by_its_socket() {
    let folder = Portcullis::new();
    let socket = folder.path("redis.sock");
    let socket = socket.to_str().unwrap();
    let _server = Redis::with(free_port(), &["--requirepass", "right", "--unixsocket", socket]);
    assert_eq!(refusal("redis", &format!("unix://{socket}?password=right")), "");
    assert!(refusal("redis", &format!("unix://{socket}?password=hunter2")).contains("WRONGPASS"));
}

#[test]
fn a_wrong_password_is_tried_once() {
    let server = Redis::with(free_port(), &["--requirepass", "right"]);
    refusal("redis", &format!("redis://:hunter2@127.0.0.1:{}", server.port()));
    let mut counted = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    std::io::Write::write_all(&mut counted, b"AUTH right\r\nINFO stats\r\nQUIT\r\n").unwrap();
    let stats = std::io::read_to_string(&mut counted).unwrap();
    assert!(stats.contains("total_connections_received:2\r\n"), "the wait's and this one: {stats}");
}

#[test]
fn rabbitmq_is_ready_after_a_real_login_to_a_virtual_host() {
    let broker = RabbitMq::start();
    let refused = "ACCESS_REFUSED - Login was refused";
    for (credentials, vhost, cause) in [
        ("me:p%40ss@", "/shop%2Feu", ""),
        ("me:p%40ss@", "/shop/eu", ""),
        ("me:hunter2@", "/shop%2Feu", refused),
        ("you:p%40ss@", "/shop%2Feu", refused),
        ("", "/shop%2Feu", refused),
        ("me:p%40ss@", "/shop", "vhost shop not found"),
        ("me:p%40ss@", "//", "vhost / not found"),
        ("me:p%40ss@", "", "vhost / not found"),
    ] {
        let message = refusal("amqp", &broker.url(credentials, vhost));
        assert!(
            message.is_empty() == cause.is_empty() && message.contains(cause),
            "{credentials} {vhost}: {message}"
        );
    }
}
