//! Manual pages, generated from the command line's definition.

use std::{io, path::Path};

use clap::CommandFactory;

use crate::{cli::Cli, failure::Failure};

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

/// Writes the manual pages of the program and of every subcommand, for packages.
pub(crate) fn write_pages(folder: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Cli::command(), folder)
        .map_err(|error| Failure::Usage { message: format!("cannot write to {}: {error}", folder.display()) })
}

pub(super) fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| Failure::Internal { what: error.to_string() })
}
