//! A child process with its log in a file, killed when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log_path: PathBuf,
}

impl Process {
    /// Starts the command with both of its outputs appended to the file `log_path`.
    pub(crate) fn spawn(mut command: Command, log_path: &Path) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = File::options().create(true).append(true).open(log_path).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name, log_path: log_path.to_owned() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log_path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The exit status, when it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGKILL: it gets no say, and is gone when this returns.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then the exit status. Fails the test when it does not end by itself.
    pub(crate) fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        wait::until(&format!("{} to end after SIGTERM", self.name), limit, || self.ended())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Awaits what `probe` looks for, and gives up at once, with the end of the log, when the process ends first.
    pub(crate) fn ready<T>(&mut self, limit: Duration, mut probe: impl FnMut(&mut Self) -> Option<T>) -> T {
        let what = format!("{} to be ready", self.name);
        wait::until_ok(&what, limit, || {
            if let Some(status) = self.ended() {
                panic!("{} ended with {status} instead of getting ready: {}", self.name, self.tail());
            }
            probe(self).ok_or_else(|| self.tail())
        })
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself: nothing to kill then.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
