//! A proxy to the private cluster that a test can block: connections stay open and pass nothing.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Forwards connections until the test ends.
pub struct Proxy {
    port: u16,
    /// True if all connections are blocked.
    blocked: Arc<AtomicBool>,
    /// Connections with a lower number are blocked.
    blocked_before: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// Forwards to a port of this machine.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let blocked = Arc::new(AtomicBool::new(false));
        let (blocked_before, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (shared, before, count) =
            (Arc::clone(&blocked), Arc::clone(&blocked_before), Arc::clone(&connections));
        thread::spawn(move || {
            for client in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let client = client.unwrap();
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
                for (from, to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))] {
                    let (shared, before) = (Arc::clone(&shared), Arc::clone(&before));
                    let blocked =
                        move || shared.load(Ordering::SeqCst) || number < before.load(Ordering::SeqCst);
                    thread::spawn(move || forward(from.unwrap(), to.unwrap(), &blocked));
                }
            }
        });
        Self { port, blocked, blocked_before, connections }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Blocks old and new connections in both directions: neither data nor a close passes.
    pub fn block(&self) {
        self.blocked.store(true, Ordering::SeqCst);
    }

    /// Blocks the existing connections; new ones pass.
    pub fn block_old(&self) {
        self.blocked_before.store(self.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Unblocks every connection, as if the server closed those that it cannot reach.
    pub fn give_up(&self) {
        self.blocked.store(false, Ordering::SeqCst);
        self.blocked_before.store(0, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, blocked: &dyn Fn() -> bool) {
    let mut piece = vec![0; 65_536];
    loop {
        let length = from.read(&mut piece).unwrap_or(0);
        while blocked() {
            thread::sleep(Duration::from_millis(50));
        }
        if length == 0 || to.write_all(&piece[..length]).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
