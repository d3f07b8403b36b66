//! Shared test support: the binary in a temporary folder, databases, the sample, ports.

pub mod cluster;
pub mod django;
pub mod faults;
pub mod fleet;
pub mod http;
pub mod pooler;
pub mod portcullis;
pub mod process;
pub mod project;
pub mod proxy;
pub mod rabbitmq;
pub mod redis;
pub mod sample;
pub mod server;
pub mod terminal;
pub mod time_limits;
pub mod tls;
