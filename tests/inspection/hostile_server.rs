//! A server that sends malformed, huge or endless messages: the start ends with a box, and its memory stays small.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use crate::support::{cluster::Database, portcullis::Portcullis};

/// In KiB; a debug binary of 60 MB without an attack needs 26,000.
const MAX_MEMORY: usize = 64 * 1024;

const CONFIG: &str = r#"
[server]
command = ["true"]
[notify]
command = ["sh", "-c", "grep VmHWM /proc/1/status > memory"]
[database]
url = "${DATABASE_URL}"
[lock]
timeout = "2s"
[tenants]
registry = { table = "tenants", schema_column = "name" }
[migrations]
shared = "shared"
tenant = "tenant"
"#;

/// When the server attacks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Login,
    /// Instead of the salt and the iterations of a login by SCRAM.
    Scram,
    AfterLogin,
    Query,
}

/// What the server sends, and whether it sends the second part without end.
struct Attack {
    first: Vec<u8>,
    endless: Vec<u8>,
}

fn message(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], content].concat()
}

fn columns(count: u16) -> Vec<u8> {
    let column = [&b"c\0"[..], &[0; 18]].concat();
    message(b'T', &[&count.to_be_bytes()[..], &column.repeat(count.into())].concat())
}

fn row(values: u16, content: &[u8]) -> Vec<u8> {
    message(b'D', &[&values.to_be_bytes()[..], content].concat())
}

fn once(first: impl Into<Vec<u8>>) -> Attack {
    Attack { first: first.into(), endless: Vec::new() }
}

fn endless(first: impl Into<Vec<u8>>, endless: &[u8]) -> Attack {
    let times = (1 << 20) / endless.len();
    Attack { first: first.into(), endless: endless.repeat(times.max(1)) }
}

/// A server that accepts every login and answers every query with no rows, until it attacks.
fn server(phase: Phase, attack: Attack) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            // The client closes the connection when it refuses the messages.
            let _ = serve(&mut client.unwrap(), phase, &attack);
        }
    });
    port
}

fn serve(client: &mut TcpStream, phase: Phase, attack: &Attack) -> std::io::Result<()> {
    let mut request = [0; 8 * 1024];
    // The request for encryption; the login.
    client.read_exact(&mut request[..8])?;
    client.write_all(b"N")?;
    let _ = client.read(&mut request)?;
    let ready = message(b'Z', b"I");
    if phase == Phase::Login {
        return send(client, attack);
    }
    if phase == Phase::Scram {
        client.write_all(&message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0"))?;
        let length = client.read(&mut request)?;
        let first = String::from_utf8_lossy(&request[..length]).into_owned();
        let nonce = first.split_once(",r=").unwrap().1;
        let answer = [b"\0\0\0\x0br=", nonce.as_bytes(), b"x", &attack.first].concat();
        return send(client, &once(message(b'R', &answer)));
    }
    client.write_all(&message(b'R', &[0; 4]))?;
    if phase == Phase::AfterLogin {
        return send(client, attack);
    }
    client
        .write_all(&[message(b'S', b"server_version\x0015.4\0"), message(b'K', &[0; 8]), ready].concat())?;
    let _ = client.read(&mut request)?;
    send(client, attack)
}

fn send(client: &mut TcpStream, attack: &Attack) -> std::io::Result<()> {
    client.write_all(&attack.first)?;
    while !attack.endless.is_empty() {
        client.write_all(&attack.endless)?;
    }
    // Waits for the client to close the connection.
    client.read_to_end(&mut Vec::new()).map(drop)
}

/// The attacks with the phase in which they come, and a part of the message.
fn attacks() -> Vec<(Phase, Attack, &'static str)> {
    use Phase::{AfterLogin, Login, Query, Scram};
    let error = |text: &[u8]| message(b'E', &[b"SERROR\0VERROR\0CXX000\0M", text, b"\0\0"].concat());
    let parameters: Vec<u8> =
        (0..1000).flat_map(|number| message(b'S', format!("name{number}\0\0").as_bytes())).collect();
    let notice = message(b'N', &[b"SNOTICE\0C00000\0M", &[b'x'; 1000][..], b"\0\0"].concat());
    let huge = "which Portcullis does not accept";
    vec![
        (Login, endless(b"S\x7f\xff\xff\xff", &[b'x'; 65536]), huge),
        (Login, endless(b"E\x7f\xff\xff\xffSERROR\0M", &[b'x'; 65536]), huge),
        (Login, endless(b"HTTP/1.1 400 Bad Request\r\n", b"\r\n"), "not"),
        (Login, once(error(&[b'x'; 4_000_000])), huge),
        (Scram, once(",s=QUJD,i=4294967295"), "SCRAM iteration count exceeds the maximum allowed"),
        (Login, once(message(b'?', b"")), "unknown message tag"),
        (AfterLogin, endless([], &parameters), "parameters"),
        (AfterLogin, endless([], &notice), "an endless login"),
        (AfterLogin, endless([], &columns(65535)), huge),
        (Query, endless(b"D\xff\xff\xff\xff", &[b'x'; 65536]), huge),
        (Query, endless([columns(1), b"D\x40\0\0\x0a\0\x01\x40\0\0\0".to_vec()].concat(), &[0; 65536]), huge),
        (Query, endless([], &columns(65535)), "columns"),
        (Query, endless(columns(1), &row(1, b"\0\0\0\x01x")), "the server's answer exceeds 32 MiB"),
        (Query, endless(columns(0), &row(0, b"")), "the server's answer exceeds 32 MiB"),
        (
            Query,
            endless([], &[columns(1600), row(1600, &[0xff; 6400])].concat()),
            "the server's answer exceeds 32 MiB",
        ),
        (Query, once(error(&[b'x'; 7_000_000])), "(7000000 bytes)"),
        (Query, endless([], &parameters), "parameters"),
        (Query, once([columns(1), row(500, b"")].concat()), "error parsing response"),
        (Query, once([columns(1), row(1, b"\0\0\x20\0x")].concat()), ""),
        (Query, once(message(b'E', b"SERROR")), ""),
        (Query, once(message(b'G', b"\0\0\0")), "unexpected message"),
    ]
}

#[test]
fn a_hostile_server_gets_a_box_and_little_memory() {
    let database = Database::fresh();
    let project = Portcullis::new()
        .config(CONFIG)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text);\n")
        .file("tenant/1_item.sql", "CREATE TABLE item (n bigint);\n")
        .env("DATABASE_URL", &database.url())
        .in_own_pid_namespace();
    project.run(["manifest", "sql"]).exits(0);
    let (mut number, mut gives_up) = (0, false);
    for (phase, attack, cause) in attacks() {
        let port = server(phase, attack);
        let wait = ("wait.database = { timeout = \"10s\" }", 74);
        let statement = ("sql = { run = \"SELECT 1\" }", 79);
        let gate = ("verify = { tenants = \"all\" }", 74);
        let migration = ("migrate.tenants = {}", 74);
        let actions = match phase {
            Phase::Query if gives_up => vec![statement],
            Phase::Query => vec![statement, gate, migration],
            _ => vec![wait],
        };
        // After an answer without end, the end of a transaction is awaited for ten seconds.
        gives_up |= cause.contains("exceeds 32 MiB");
        for (action, code) in actions {
            number += 1;
            attacked(number, &project, port, action, code, cause);
        }
    }
}

/// The start with this action has a box with the code and the cause, and takes little memory.
fn attacked(number: usize, project: &Portcullis, port: u16, action: &str, code: i32, cause: &str) {
    let portcullis = project
        .copy()
        .config(&format!("{CONFIG}[[step]]\nname = \"database\"\n{action}\n"))
        .env("DATABASE_URL", &format!("postgres://me:secret@127.0.0.1:{port}/db"));
    let outcome = portcullis.run(["run"]);
    assert_eq!(outcome.code, Some(code), "attack {number}: {outcome}");
    let printed = outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains(cause) && outcome.stderr.len() < 20_000, "attack {number}: {outcome}");
    let memory = memory(&fs::read_to_string(portcullis.path("memory")).unwrap());
    assert!(memory < MAX_MEMORY, "attack {number} takes {memory} KiB: {outcome}");
}

/// The largest resident memory, in KiB.
fn memory(status: &str) -> usize {
    status.split_whitespace().nth(1).unwrap().parse().unwrap()
}
