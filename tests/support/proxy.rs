//! A way to the private cluster that a test can block: nothing passes any more, and nobody is told.

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

/// Forwards connections for as long as the test lasts.
pub struct Proxy {
    port: u16,
    /// Of all connections.
    blocked: Arc<AtomicBool>,
    /// The connections before this one pass nothing.
    blocked_before: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    /// To a port of this machine.
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

    /// From now on nothing passes, in either direction, on old connections or new ones: neither data nor an end.
    pub fn block(&self) {
        self.blocked.store(true, Ordering::SeqCst);
    }

    /// The same for the connections that there are; new ones pass.
    pub fn block_old(&self) {
        self.blocked_before.store(self.connections.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// As the server ends what it cannot reach any more.
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
