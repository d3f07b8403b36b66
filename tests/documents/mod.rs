//! The documents: links, commands, configurations and pictures are true.

pub mod blocks;
mod commands;
mod comparison;
mod django;
mod links;
mod pictures;
