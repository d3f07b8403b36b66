//! A Redis for one test, on a free port; dropping it ends the process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::http::free_port;

pub struct Redis {
    process: Child,
    port: u16,
}

impl Redis {
    pub fn start() -> Self {
        Self::with(free_port(), &[])
    }

    /// On this port, with further arguments.
    pub fn with(port: u16, settings: &[&str]) -> Self {
        let mut process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()])
            .args(settings)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
        assert!(ready, "redis-server did not start");
        Self { process, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
