//! What is said on standard error, and printed.

use std::io;
use std::io::Write as _;

use crate::cli::failure::Failure;
use crate::telemetry::logging;
use crate::telemetry::logging::with_causes;

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
