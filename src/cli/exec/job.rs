//! The command that `exec` runs, and how it ended.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;

use rustix::process::Pid;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;

use super::signals::AdoptError;
use super::signals::Relay;
use super::signals::asks_for_the_end;

/// How a job ended, or why it did not begin.
#[derive(Debug)]
pub(super) enum Ending {
    /// By itself, with this exit code.
    Exited(u8),
    /// By this signal, or by its coming before the beginning.
    Killed(i32),
    /// It cannot be run; the exit code is that of a shell.
    NotStarted { code: u8, error: RunError },
}

/// Why a job cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("no command is given")]
    NoCommand,
    #[error("cannot run {}", .program.display())]
    Start { program: OsString, source: io::Error },
    #[error("cannot wait for {}", .program.display())]
    Wait { program: OsString, source: io::Error },
}

impl Ending {
    /// What `exec` exits with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(code) | Self::NotStarted { code, .. } => *code,
            Self::Killed(signal) => u8::try_from(128 + signal).unwrap_or(255),
        }
    }

    /// The attribute `result`. A job that was asked to end, by the signal `asked`, and did not end well was cancelled, however it
    /// put that.
    pub(super) fn result(&self, asked: Option<i32>) -> &'static str {
        match self {
            Self::Exited(0) => "success",
            Self::Killed(signal) if asks_for_the_end(*signal) => "cancelled",
            Self::Exited(_) | Self::Killed(_) if asked.is_some() => "cancelled",
            _ => "failure",
        }
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(u8::try_from(code).unwrap_or(255)),
            (None, Some(signal)) => Self::Killed(signal),
            (None, None) => Self::Exited(255),
        }
    }
}

/// Runs it to its end, with our own standard input, output and error.
pub(super) fn run(command: &[OsString], relay: &Relay) -> Ending {
    let Some((program, arguments)) = command.split_first() else {
        return Ending::NotStarted { code: 127, error: RunError::NoCommand };
    };
    let start = || Command::new(program).args(arguments).spawn();
    let started = match relay.adopt(start) {
        Err(AdoptError::Failed(error)) if error.kind() == io::ErrorKind::WouldBlock && relay.make_room() => relay.adopt(start),
        started => started,
    };
    let mut child = match started {
        Ok(child) => child,
        Err(AdoptError::Asked(signal)) => return Ending::Killed(signal),
        Err(AdoptError::Failed(source)) => {
            let code = if source.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            return Ending::NotStarted { code, error: RunError::Start { program: program.clone(), source } };
        }
    };
    wait_without_reaping(&child);
    relay.release();
    match child.wait() {
        Ok(status) => status.into(),
        Err(source) => Ending::NotStarted { code: 126, error: RunError::Wait { program: program.clone(), source } },
    }
}

/// As long as it is not reaped its number belongs to nobody else, so that no signal reaches a stranger.
fn wait_without_reaping(child: &Child) {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options)).ok();
}

#[cfg(test)]
mod tests {
    use super::Ending;
    use super::RunError;

    #[test]
    fn exit_codes_and_results() {
        #[track_caller]
        fn check(outcome: &Ending, asked: Option<i32>, code: u8, result: &str) {
            assert_eq!((outcome.exit_code(), outcome.result(asked)), (code, result), "{outcome:?}");
        }
        check(&Ending::Exited(0), None, 0, "success");
        check(&Ending::Exited(0), Some(15), 0, "success");
        check(&Ending::Exited(3), None, 3, "failure");
        check(&Ending::Exited(3), Some(15), 3, "cancelled");
        check(&Ending::Killed(15), None, 143, "cancelled");
        check(&Ending::Killed(2), Some(15), 130, "cancelled");
        check(&Ending::Killed(9), None, 137, "failure");
        check(&Ending::Killed(9), Some(15), 137, "cancelled");
        check(&Ending::Killed(10), None, 138, "failure");
        check(&Ending::NotStarted { code: 127, error: RunError::NoCommand }, Some(15), 127, "failure");
    }
}
