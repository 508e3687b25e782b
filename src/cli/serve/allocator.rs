//! How the allocator is set up: by its environment, so before the first line of the program.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::config::ConfigFile;
use crate::config::Flags;

const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";
const HUGE_PAGES: &str = "MIMALLOC_ALLOW_THP";

/// Where so many bytes or more may be taken, there is room for what a moment leaves.
const AMPLE_BYTES: usize = 1 << 30;

/// Lets the allocator give back soon what is free, and use no huge pages, so that what is resident is what is on the account. It reads
/// that from the environment, so the program starts once more, with the same process id.
pub(super) fn set_up(flags: &Flags) {
    if env::var_os(PURGE_DELAY).is_some() && env::var_os(HUGE_PAGES).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut again = Command::new(program);
    again.args(env::args_os().skip(1));
    for (name, value) in [(PURGE_DELAY, purge_delay(flags)), (HUGE_PAGES, "0")] {
        if env::var_os(name).is_none() {
            again.env(name, value);
        }
    }
    // It returns only when that does not work; then more is resident than has to be.
    drop(again.exec());
}

/// For how many milliseconds the allocator keeps what is free. A moment saves a sixth of the processor time of small requests, which
/// else touch fresh memory again and again; where little may be taken nothing is kept.
fn purge_delay(flags: &Flags) -> &'static str {
    // What is no regular file can be read only once, and that is not here.
    let is_regular = |path: &&Path| path.metadata().is_ok_and(|file| file.is_file());
    let file = match flags.config_file.as_deref() {
        Some(path) => Some(path).filter(is_regular).and_then(|path| ConfigFile::load(path).ok()),
        None => Some(ConfigFile::default()),
    };
    let is_ample = file.is_some_and(|file| flags.limits(&file).memory().0.bytes >= AMPLE_BYTES);
    if is_ample { "250" } else { "0" }
}
