// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line described to shells and to `man`.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;

/// Prints the completions of the command line for a shell.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle completions bash > ~/.local/share/bash-completion/completions/neuralstyle
  neuralstyle completions fish > ~/.config/fish/completions/neuralstyle.fish")]
pub struct Completions {
    shell: Shell,
}

/// Prints the manual page, or writes one per command into a folder.
#[derive(Args)]
#[command(after_help = "\
Examples
  neuralstyle man | man -l -
  neuralstyle man --into ~/.local/share/man/man1")]
pub struct Man {
    /// Write neuralstyle.1, neuralstyle-image.1 and so on into this folder
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

pub fn complete(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "neuralstyle", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

pub fn write(arguments: &Man) -> Result<(), Failure> {
    match &arguments.into {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            Ok(clap_mangen::generate_to(Cli::command(), folder)?)
        }
        None => Ok(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?),
    }
}
