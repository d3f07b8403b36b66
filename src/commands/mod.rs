//! One file for each subcommand that is not `run`.

pub(crate) mod init;
