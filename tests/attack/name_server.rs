//! A name server for one process, which gives each look-up the answer that a test chooses.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{portcullis::Portcullis, time_limits::until};

/// The name server answers for every name. This one has no address elsewhere.
pub const NAME: &str = "service.test";

#[derive(Debug, Clone)]
pub enum Answer {
    Addresses(Vec<Ipv4Addr>),
    Late(Duration, Vec<Ipv4Addr>),
    /// The response code of RFC 1035, section 4.1.1.
    Code(u8),
    /// The name server asks for a query by TCP, and refuses it.
    Truncated,
    /// The answer to another query, or an answer with invalid records.
    Garbage,
    Nothing,
}

/// Dropping it ends the name server.
pub struct NameServer {
    address: Ipv4Addr,
    lookups: Arc<AtomicUsize>,
}

impl NameServer {
    /// `answer` gets the number of the look-up. Only root can listen on port 53.
    pub fn start(answer: impl Fn(usize) -> Answer + Send + 'static) -> Self {
        let (address, socket) = until("an address for the name server", || {
            let address = Ipv4Addr::new(127, 53, fastrand::u8(..), fastrand::u8(..));
            match UdpSocket::bind((address, 53)) {
                Ok(socket) => Some((address, socket)),
                Err(error) if error.kind() == ErrorKind::AddrInUse => None,
                Err(error) => panic!("cannot listen on port 53: {error}"),
            }
        });
        let lookups = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&lookups);
        thread::spawn(move || serve(&Arc::new(socket), &counter, answer));
        Self { address, lookups }
    }

    /// The number of look-ups so far; an attempt of the client to get a lost answer is a look-up, too.
    pub fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }

    /// The command for a start that uses this name server, with these options of resolv.conf(5).
    pub fn command(&self, project: &Portcullis, options: &str) -> Command {
        let resolver = project.path("resolv.conf");
        std::fs::write(&resolver, format!("nameserver {}\noptions {options}\n", self.address)).unwrap();
        // The static program has another resolver; `make test` attacks it.
        let program = std::env::var("PORTCULLIS_TEST_STATIC")
            .map_or(env!("CARGO_BIN_EXE_portcullis").to_owned(), |folder| format!("{folder}/portcullis"));
        let start = project.command(["run"]);
        let mut command = Command::new("unshare");
        let script = "mount --bind resolv.conf /etc/resolv.conf && exec \"$0\" run";
        command.args(["--mount", "sh", "-c", script, &program]).current_dir(project.folder()).env_clear();
        command.envs(start.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = UdpSocket::bind((self.address, 0)).and_then(|socket| socket.send_to(&[], (self.address, 53)));
    }
}

fn serve(socket: &Arc<UdpSocket>, lookups: &AtomicUsize, answer: impl Fn(usize) -> Answer) {
    let mut query = [0; 512];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut query) else { return };
        // Only `drop` sends an empty query.
        let Some((header, question)) = query[..length].split_at_checked(12) else { return };
        // A client asks for the addresses of both versions at the same time, first for those of version 4.
        let is_version_4 = question.ends_with(&[0, 1, 0, 1]);
        let number = if is_version_4 {
            lookups.fetch_add(1, Ordering::SeqCst)
        } else {
            lookups.load(Ordering::SeqCst).saturating_sub(1)
        };
        let answer = answer(number);
        let delay = if let Answer::Late(delay, _) = &answer { *delay } else { Duration::ZERO };
        if let Some(message) = message(header, question, is_version_4, answer) {
            let socket = Arc::clone(socket);
            thread::spawn(move || {
                thread::sleep(delay);
                socket.send_to(&message, client)
            });
        }
    }
}

/// The message of an answer (RFC 1035, section 4.1). No name has an address of version 6.
fn message(header: &[u8], question: &[u8], is_version_4: bool, answer: Answer) -> Option<Vec<u8>> {
    const FROM_A_RECURSIVE_SERVER: [u8; 2] = [0x81, 0x80];
    let head = |flags: [u8; 2], records: u8| {
        [&header[..2], &flags, &[0, 1, 0, records, 0, 0, 0, 0], question].concat()
    };
    let [first, second] = FROM_A_RECURSIVE_SERVER;
    Some(match answer {
        Answer::Nothing => return None,
        Answer::Code(code) => head([first, second | code], 0),
        Answer::Truncated => head([first | 2, second], 0),
        Answer::Garbage if header[1].is_multiple_of(2) => {
            [vec![!header[0]], head([first, second], 0).split_off(1)].concat()
        }
        Answer::Garbage => [head([first, second], 9), vec![0xc0; 40]].concat(),
        Answer::Addresses(_) | Answer::Late(..) if !is_version_4 => head([first, second], 0),
        Answer::Addresses(addresses) | Answer::Late(_, addresses) => {
            let mut message = head([first, second], u8::try_from(addresses.len()).unwrap());
            for address in addresses {
                // The name of the question, type A, class IN, no time to live, four bytes.
                message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                message.extend(address.octets());
            }
            message
        }
    })
}
