//! The command line: one enum of subcommands, one file per subcommand.
//!
//! A subcommand is `struct Args` (its flags) and `fn run(args: &Args) -> Result<ExitCode, Failure>`.
//! To add one: a file, a `mod` line, a variant of [`Command`] and an arm of [`Cli::run`].
//! Subcommands decide and print; the work is done by the other modules.

use std::error::Error;
use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::telemetry::logging;
pub(crate) use crate::telemetry::logging::with_causes;

mod attribute;
mod check;
mod close;
mod completions;
mod exec;
mod listing;
mod open;
mod rules;
mod send;
mod serve;
mod server;
mod token;

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

/// Why a subcommand did not do what it was asked; the variant decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for what does not exist or contradicts itself.
    #[error(transparent)]
    Usage(Box<dyn Error + Send + Sync>),
    /// It was asked for properly and did not work out.
    #[error(transparent)]
    Running(Box<dyn Error + Send + Sync>),
    /// The log holds bytes that were acknowledged once and cannot be read now.
    #[error(transparent)]
    Damaged(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// A [`Failure::Usage`] from an error or a text.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Usage(error.into())
    }

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
    note(&format!("error: {}", with_causes(failure)));
}

/// Says one line on standard error; when even that is closed there is nobody left to tell.
/// Part of it may come from a server, so nothing in it reaches the terminal as a command.
pub(crate) fn note(line: &str) {
    let line = format!("change-events: {}\n", line.replace(char::is_control, " "));
    if !logging::say(&line) {
        show(&line);
    }
}

/// Writes lines of our own making to standard error.
pub(crate) fn show(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Writes to standard output. A reader that has gone (`| head`) is not a failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::running(error)),
        _ => Ok(()),
    }
}

/// Why there are no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers")]
struct RandomError(#[source] getrandom::Error);

/// Random bytes from the system.
pub(crate) fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| Failure::running(RandomError(error)))?;
    Ok(bytes)
}

/// An idempotency key that nobody else has: 128 random bits.
pub(crate) fn random_key() -> Result<String, Failure> {
    random::<16>().map(hex::encode)
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
