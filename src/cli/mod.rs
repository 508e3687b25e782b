//! The command line: one enum of subcommands, one file per subcommand.
//!
//! A subcommand is `struct Args` (its flags) and `fn run(args: &Args) -> Result<ExitCode, Failure>`.
//! To add one: a file, a `mod` line, a variant of [`Command`] and an arm of [`Cli::run`].
//! Subcommands decide and print; the work is done by the other modules.

use std::process::ExitCode;

use clap::CommandFactory as _;

mod attribute;
mod check;
mod close;
mod completions;
mod exec;
mod failure;
mod given;
mod listing;
mod open;
mod random;
mod rules;
mod say;
mod send;
mod serve;
mod server;
mod token;

pub use crate::cli::failure::Failure;
pub(crate) use crate::cli::random::random;
pub(crate) use crate::cli::random::random_key;
pub(crate) use crate::cli::say::note;
pub(crate) use crate::cli::say::print;
pub use crate::cli::say::report;
pub(crate) use crate::cli::say::show;
pub(crate) use crate::telemetry::logging::with_causes;

/// What `--help` shows below the list of subcommands.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed while running
  2  wrong flags, arguments or configuration
  3  the log is damaged (see `change-events check`)
  `exec` ends with the exit code of the command it ran (128 + n when signal n ended it).";

/// Takes in change events over HTTP, keeps them durably, and gives them to the Prometheus world as timestamped samples.
#[derive(Debug, clap::Parser)]
#[command(name = "change-events", version, after_help = EXIT_CODES, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Send(send::Args),
    Exec(exec::Args),
    Open(open::Args),
    Close(close::Args),
    Token(token::Args),
    Check(check::Args),
    Rules(rules::Args),
    Completions(completions::Args),
}

impl Cli {
    /// Runs the subcommand to its end.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Serve(args) => serve::run(args),
            Command::Send(args) => send::run(args),
            Command::Exec(args) => exec::run(args),
            Command::Open(args) => open::run(args),
            Command::Close(args) => close::run(args),
            Command::Token(args) => token::run(args),
            Command::Check(args) => check::run(args),
            Command::Rules(args) => rules::run(args),
            Command::Completions(args) => completions::run(args, &mut Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
