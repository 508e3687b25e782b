//! Several users of one machine: a folder of theirs, and the binary as each of them runs it. That takes root.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ended, Running, binary, run};

/// A user and a group that nobody else is in.
pub(crate) type User = (u32, u32);
pub(crate) const ROOT: User = (0, 0);
pub(crate) const US: User = (64_321, 64_321);
pub(crate) const SOMEBODY: User = (64_322, 64_322);

/// A place that all users reach, with a copy of the binary in it.
pub(crate) struct Machine {
    directory: TempDir,
}

impl Machine {
    /// Nothing, loudly, where this is not run by root.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skipped();
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        set_mode(directory.path(), 0o755);
        let program = directory.path().join("change-events");
        fs::hard_link(binary(), &program).or_else(|_| fs::copy(binary(), &program).map(drop)).unwrap();
        Some(Self { directory })
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A folder of that user, with exactly this mode.
    pub(crate) fn folder(&self, name: &str, (uid, gid): User, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        chown(&path, Some(uid), Some(gid)).unwrap();
        set_mode(&path, mode);
        path
    }

    /// The binary as that user runs it, with that umask.
    pub(crate) fn command(&self, (uid, gid): User, umask: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\"")).arg(self.path("change-events"));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").uid(uid).gid(gid);
        command
    }

    /// A server on `path` that was started, has taken an event, and was stopped.
    #[track_caller]
    pub(crate) fn serve_once(&self, user: User, umask: &str, path: &Path, flags: &[&str]) -> String {
        let mut server = self.serve(user, umask, path, flags).unwrap_or_else(|said| panic!("{said}"));
        server.put("once");
        server.stop();
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// A server, when it is ready; else what it said.
    pub(crate) fn serve(&self, user: User, umask: &str, path: &Path, flags: &[&str]) -> Result<Server, String> {
        let mut command = self.command(user, umask);
        command.args(["serve", "--web.listen-address=127.0.0.1:0"]).arg(format!("--storage.path={}", path.display())).args(flags);
        let log = self.path("log");
        command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut running = Running::start(&mut command);
        let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        match url {
            Some(url) if lines.any(|line| line.starts_with("ready")) => Ok(Server { running, url }),
            _ => {
                let code = running.code();
                Err(format!("{code:?}: {}", fs::read_to_string(&log).unwrap()))
            }
        }
    }

    /// A subcommand to its end.
    pub(crate) fn call(&self, user: User, arguments: &[&str]) -> Ended {
        run(self.command(user, "022").args(arguments))
    }
}

/// A server that runs.
pub(crate) struct Server {
    running: Running,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn put(&self, name: &str) {
        let body = serde_json::json!({"event_name": name, "attributes": {"secret": "hunter2"}});
        ureq::put(self.events()).send_json(body).unwrap();
    }

    /// The names of all events, the newest first.
    pub(crate) fn names(&self) -> Vec<String> {
        let text = ureq::get(self.events()).call().unwrap().body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["events"].as_array().unwrap().iter().map(|event| event["event_name"].as_str().unwrap().to_owned()).collect()
    }

    fn events(&self) -> String {
        format!("{}/api/v4/organizations/default/change_events", self.url)
    }

    pub(crate) fn stop(&mut self) {
        self.running.signal(Signal::TERM);
        assert_eq!(self.running.code(), Some(0));
    }
}

#[expect(clippy::print_stderr, reason = "a test that is left out says so")]
fn skipped() {
    eprintln!("\n*** SKIPPED: only root can be several users\n");
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The modes of all files below a folder, by name.
pub(crate) fn modes(folder: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut modes: Vec<_> = entries.map(|entry| (entry.file_name().into_string().unwrap(), mode(&entry.path()))).collect();
    modes.sort();
    modes
}

/// All files have this mode.
#[track_caller]
pub(crate) fn all_have(folder: &Path, wanted: u32) {
    let modes = modes(folder);
    let others: Vec<String> = modes.iter().filter(|(_, mode)| *mode != wanted).map(|(name, mode)| format!("{name} {mode:o}")).collect();
    assert!(!modes.is_empty() && others.is_empty(), "not {wanted:o}: {others:?}");
}
