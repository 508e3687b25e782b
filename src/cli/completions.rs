//! `change-events completions`: what a shell needs to complete this command line.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::cli;
use crate::cli::Failure;

const EXAMPLES: &str = "\
Examples:
  change-events completions bash > /etc/bash_completion.d/change-events
  change-events completions zsh > ~/.zfunc/_change-events
  change-events completions fish > ~/.config/fish/completions/change-events.fish";

/// Print the completions of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell to print them for.
    shell: Shell,
}

/// Prints the completions on standard output.
pub(crate) fn run(args: &Args, command: &mut clap::Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "change-events", &mut script);
    cli::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
