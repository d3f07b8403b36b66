//! What tests share: the binary in a folder of its own, databases, the sample, ports.

pub mod cluster;
pub mod django;
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
