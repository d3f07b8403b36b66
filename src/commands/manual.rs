//! Completions and manual pages, generated from the command line's definition.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{cli::Cli, failure::Failure};

pub(crate) fn completions(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    text(script)
}

/// The manual page of the program, or of the named subcommand.
pub(crate) fn page(subcommand: &[String]) -> Result<String, Failure> {
    let mut command = Cli::command();
    command.build();
    for name in subcommand {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| Failure::Usage { message: format!("unknown subcommand `{name}`") })?;
    }
    let mut page = Vec::new();
    let written: io::Result<()> = clap_mangen::Man::new(command).render(&mut page);
    written.map_err(|error| Failure::Internal { what: format!("cannot write the manual page: {error}") })?;
    text(page)
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| Failure::Internal { what: error.to_string() })
}
