//! A proxy in front of PostgreSQL that counts the statements and logins of its clients, and disturbs one of them or its answer.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::Linger};

use crate::support::{process::Running, time_limits::until};

/// The part of the exchange that is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The server does not get the statement.
    Statement,
    /// The server has executed the statement, and the client does not get the answer.
    Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// Both ends see an orderly end of the connection.
    Cut,
    /// Both ends get a reset.
    Reset,
    /// The client sees an end, the server does not.
    HalfCloseClient,
    /// The server sees an end, the client does not.
    HalfCloseServer,
    /// Nothing passes on this connection any more.
    Stop,
    /// Nothing passes on any connection any more.
    StopAll,
    /// Every connection is cut, and new ones are closed at once.
    CutAll,
    /// It passes after this time.
    Delay(Duration),
    /// These bytes pass instead, and then the rest.
    Corrupt(Vec<u8>),
    /// It waits for [`Proxy::release`].
    Hold,
}

/// The disturbance of statement number `at`.
#[derive(Debug, Clone)]
pub struct Plan {
    pub at: usize,
    pub side: Side,
    pub what: Disturbance,
}

pub struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    server: AtomicU16,
    plan: Option<Plan>,
    statements: AtomicUsize,
    reached: AtomicBool,
    stopped: AtomicBool,
    closed: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
    sockets: Mutex<Vec<Arc<TcpStream>>>,
}

/// One connection through the proxy.
struct Pair {
    client: Arc<TcpStream>,
    server: Arc<TcpStream>,
    /// The next answer is disturbed.
    answer: AtomicBool,
    stopped: AtomicBool,
    reset: AtomicBool,
    /// No answer passes to the client.
    deaf: AtomicBool,
    /// No statement passes to the server.
    ended: AtomicBool,
}

impl Proxy {
    /// Forwards to a port of this machine; without a plan it only counts.
    pub fn to(server: u16, plan: Option<Plan>) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0), server, plan)
    }

    /// The same at another address of this machine.
    pub fn at(address: (Ipv4Addr, u16), server: u16, plan: Option<Plan>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            server: AtomicU16::new(server),
            held: Mutex::new(plan.as_ref().is_some_and(|plan| plan.what == Disturbance::Hold)),
            plan,
            statements: AtomicUsize::new(0),
            reached: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            released: Condvar::new(),
            sockets: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                let port = shared.server.load(Ordering::SeqCst);
                if shared.closed.load(Ordering::SeqCst) {
                    continue;
                }
                // A server that is down refuses, and the client gets an end.
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect((Ipv4Addr::LOCALHOST, port))) {
                    connect(&shared, client, server);
                }
            }
        });
        Self { port, state }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The statements and logins so far.
    pub fn statements(&self) -> usize {
        self.state.statements.load(Ordering::SeqCst)
    }

    /// Forwards new connections to another server.
    pub fn switch(&self, server: u16) {
        self.state.server.store(server, Ordering::SeqCst);
    }

    /// True as soon as the plan's statement came; false if the process ended before.
    pub fn reached(&self, running: &Running) -> bool {
        until("the statement or the end", || {
            if self.state.reached.load(Ordering::SeqCst) {
                return Some(true);
            }
            running.has_closed_its_output().then_some(false)
        })
    }

    pub fn was_reached(&self) -> bool {
        self.state.reached.load(Ordering::SeqCst)
    }

    /// Lets the held statement or answer pass.
    pub fn release(&self) {
        *self.state.held.lock().unwrap() = false;
        self.state.released.notify_all();
    }

    /// Ends every connection.
    pub fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.state.cut_all();
        self.release();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    fn cut_all(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Blocks while this connection or every connection is stopped.
    fn pass(&self, pair: &Pair) -> io::Result<()> {
        while self.stopped.load(Ordering::SeqCst) || pair.stopped.load(Ordering::SeqCst) {
            if self.closed.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Disturbs one side; returns the bytes that pass instead.
    fn disturb(&self, pair: &Pair, plan: &Plan) -> io::Result<Option<Vec<u8>>> {
        self.reached.store(true, Ordering::SeqCst);
        let ended = || Err(io::ErrorKind::ConnectionAborted.into());
        match &plan.what {
            Disturbance::Cut => {
                pair.cut();
                ended()
            }
            Disturbance::Reset => {
                pair.reset();
                ended()
            }
            Disturbance::HalfCloseClient => {
                pair.deaf.store(true, Ordering::SeqCst);
                pair.client.shutdown(Shutdown::Write)?;
                Ok(None)
            }
            Disturbance::HalfCloseServer => {
                pair.ended.store(true, Ordering::SeqCst);
                pair.server.shutdown(Shutdown::Write)?;
                Ok(None)
            }
            Disturbance::Stop => {
                pair.stopped.store(true, Ordering::SeqCst);
                self.pass(pair)?;
                Ok(None)
            }
            Disturbance::StopAll => {
                self.stopped.store(true, Ordering::SeqCst);
                self.pass(pair)?;
                Ok(None)
            }
            Disturbance::CutAll => {
                self.closed.store(true, Ordering::SeqCst);
                self.cut_all();
                ended()
            }
            Disturbance::Delay(time) => {
                thread::sleep(*time);
                Ok(None)
            }
            Disturbance::Corrupt(bytes) => Ok(Some(bytes.clone())),
            Disturbance::Hold => {
                let held = self.held.lock().unwrap();
                drop(self.released.wait_while(held, |held| *held).unwrap());
                Ok(None)
            }
        }
    }
}

impl Pair {
    fn cut(&self) {
        for socket in [&self.client, &self.server] {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// The last owner closes the socket, which then sends a reset.
    fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
        for socket in [&self.client, &self.server] {
            let now = libc::linger { l_onoff: 1, l_linger: 0 };
            setsockopt(&socket.as_fd(), Linger, &now).unwrap();
            let _ = socket.shutdown(Shutdown::Read);
        }
    }
}

fn connect(state: &Arc<State>, client: TcpStream, server: TcpStream) {
    let pair = Arc::new(Pair {
        client: Arc::new(client),
        server: Arc::new(server),
        answer: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        reset: AtomicBool::new(false),
        deaf: AtomicBool::new(false),
        ended: AtomicBool::new(false),
    });
    let resets = state.plan.as_ref().is_some_and(|plan| plan.what == Disturbance::Reset);
    if !resets {
        state.sockets.lock().unwrap().extend([Arc::clone(&pair.client), Arc::clone(&pair.server)]);
    }
    for (direction, is_answers) in
        [(statements as fn(&State, &Pair) -> io::Result<()>, false), (answers, true)]
    {
        let (state, pair) = (Arc::clone(state), Arc::clone(&pair));
        thread::spawn(move || {
            let _ = direction(&state, &pair);
            let half_closed = if is_answers { &pair.deaf } else { &pair.ended };
            if !half_closed.load(Ordering::SeqCst) && !pair.reset.load(Ordering::SeqCst) {
                pair.cut();
            }
        });
    }
}

/// Forwards messages to the server, and counts them.
fn statements(state: &State, pair: &Pair) -> io::Result<()> {
    let (mut client, mut server) = (&*pair.client, &*pair.server);
    let mut logged_in = false;
    loop {
        let mut message = Vec::new();
        let head = if logged_in { 5 } else { 4 };
        message.resize(head, 0);
        client.read_exact(&mut message)?;
        let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap());
        message.resize(head - 4 + length as usize, 0);
        client.read_exact(&mut message[head..])?;
        // Requests for encryption and for a cancellation have codes above 80877000.
        let counts = if logged_in {
            matches!(message[0], b'Q' | b'E')
        } else {
            logged_in = u32::from_be_bytes(message[4..8].try_into().unwrap()) < 80_877_000;
            logged_in
        };
        state.pass(pair)?;
        if counts
            && let number = state.statements.fetch_add(1, Ordering::SeqCst)
            && let Some(plan) = state.plan.as_ref().filter(|plan| plan.at == number)
        {
            match plan.side {
                Side::Statement => {
                    if let Some(instead) = state.disturb(pair, plan)? {
                        server.write_all(&instead)?;
                    }
                }
                Side::Answer => pair.answer.store(true, Ordering::SeqCst),
            }
        }
        server.write_all(&message)?;
    }
}

/// Forwards the server's bytes.
fn answers(state: &State, pair: &Pair) -> io::Result<()> {
    let (mut client, mut server) = (&*pair.client, &*pair.server);
    let mut piece = vec![0; 65_536];
    loop {
        let length = server.read(&mut piece)?;
        state.pass(pair)?;
        if pair.answer.swap(false, Ordering::SeqCst)
            && let Some(plan) = &state.plan
            && let Some(instead) = state.disturb(pair, plan)?
        {
            client.write_all(&instead)?;
        }
        if length == 0 {
            return Ok(());
        }
        if !pair.deaf.load(Ordering::SeqCst) {
            client.write_all(&piece[..length])?;
        }
    }
}
