//! Another user of the machine, who reads the log and waits for its lock, to have it when the server starts again.

use crate::attacks::Attack;
use crate::attacks::NOTHING;
use crate::server::Server;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

pub(crate) const ALL: &[Attack] = &[Attack { name: "another user reads the log and waits for its lock", run: read_and_wait, ..NOTHING }];

/// Nobody of this machine.
const NOBODY: u32 = 65_534;
const PAUSE: Duration = Duration::from_millis(20);

fn read_and_wait(server: &Server, until: Instant) -> String {
    if !rustix::process::geteuid().is_root() {
        return "not as root".to_owned();
    }
    let data = server.data();
    // What is above the folder of the server lets everybody through.
    std::fs::set_permissions(data.parent().unwrap(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut lock = nobody("flock").arg(data.join("lock")).arg("true").spawn().unwrap();
    let (mut tried, mut read) = (0, 0);
    while Instant::now() < until {
        tried += 1;
        read += usize::from(nobody("cat").arg(data.join("00000000000000000001.log")).status().unwrap().success());
        std::thread::sleep(PAUSE);
    }
    let waits = lock.try_wait().unwrap().is_none();
    lock.kill().ok();
    lock.wait().unwrap();
    format!("read {read} of {tried} times, {} for the lock", if waits { "waits" } else { "cannot wait" })
}

fn nobody(program: &str) -> Command {
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
