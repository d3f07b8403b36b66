//! A way to the private cluster that a test can block: nothing passes any more, and nobody is told.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Forwards connections for as long as the test lasts.
pub struct Proxy {
    port: u16,
    blocked: Arc<AtomicBool>,
}

impl Proxy {
    /// To a port of this machine.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let blocked = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&blocked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).unwrap();
                for (from, to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))] {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || forward(from.unwrap(), to.unwrap(), &shared));
                }
            }
        });
        Self { port, blocked }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing passes, in either direction, on old connections or new ones: neither data nor an end.
    pub fn block(&self) {
        self.blocked.store(true, Ordering::SeqCst);
    }

    /// As the server ends what it cannot reach any more.
    pub fn give_up(&self) {
        self.blocked.store(false, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, blocked: &AtomicBool) {
    let mut piece = vec![0; 65_536];
    loop {
        let length = from.read(&mut piece).unwrap_or(0);
        while blocked.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
        if length == 0 || to.write_all(&piece[..length]).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}
