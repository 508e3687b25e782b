//! The command line: one enum of subcommands, one file per subcommand.
//!
//! A subcommand is `pub struct Args` (its flags) and `pub fn run(args: &Args) -> Result<ExitCode, Failure>`.
//! To add one: a file, a `mod` line, a variant of [`Command`] and an arm of [`Cli::run`].
//! Subcommands decide and print; the work is done by the other modules.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

mod completions;
mod rules;
mod serve;

/// What `--help` shows below the list of subcommands.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed while running
  2  wrong flags or arguments
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
    Serve(serve::Args),
    Rules(rules::Args),
    Completions(completions::Args),
}

impl Cli {
    /// Runs the subcommand to its end.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match &self.command {
            Command::Serve(args) => serve::run(args),
            Command::Rules(args) => rules::run(args),
            Command::Completions(args) => completions::run(args, &mut Self::command()),
        }
    }
}

/// Why a subcommand did not do what it was asked; the variant decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for what does not exist or contradicts itself.
    #[error("{0}")]
    Usage(String),
    /// It was asked for properly and did not work out.
    #[error(transparent)]
    Running(Box<dyn Error + Send + Sync>),
    /// The log holds bytes that were acknowledged once and cannot be read now.
    #[error(transparent)]
    Damaged(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A [`Failure::Running`] from an error or a text.
    pub(crate) fn running(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Running(error.into())
    }

    /// The documented exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Running(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Damaged(_) => ExitCode::from(3),
        }
    }
}

/// Says on standard error what went wrong, with every cause.
pub fn report(failure: &Failure) {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        write!(text, ": {error}").ok();
        cause = error.source();
    }
    note(&format!("error: {text}"));
}

/// Says one line on standard error; when even that is closed there is nobody left to tell.
pub(crate) fn note(line: &str) {
    writeln!(io::stderr().lock(), "change-events: {line}").ok();
}

/// Writes to standard output. A reader that has gone (`| head`) is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::running(error)),
        _ => Ok(()),
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
