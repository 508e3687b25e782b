//! The `change-events` binary: reads the command line, runs one subcommand, and turns its end into an exit code.
//! What the subcommands do is in `change_events::cli`, one file each.

use std::process::ExitCode;

use change_events::cli;
use clap::Parser;

/// Many small, short-lived objects are what a server of events allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(code) => code,
        Err(failure) => {
            cli::report(&failure);
            failure.exit_code()
        }
    }
}
