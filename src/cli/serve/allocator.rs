//! How the allocator is set up: by its environment, so before the first line of the program.

use std::env;
use std::ffi::CString;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use nix::unistd;

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
    // Started by the loader by hand, which would not find the program again.
    if program.file_name().is_some_and(|name| name.as_bytes().starts_with(b"ld-")) {
        return;
    }
    let settings = [(PURGE_DELAY, purge_delay(flags)), (HUGE_PAGES, "0")].map(|(name, value)| (name.into(), value.into()));
    let missing = settings.into_iter().filter(|(name, _)| env::var_os(name).is_none());
    let variables: Vec<OsString> = env::vars_os().chain(missing).map(|(name, value)| [name, value].join(OsStr::new("="))).collect();
    let texts = |all: Vec<OsString>| all.into_iter().map(|text| CString::new(text.into_vec())).collect::<Result<Vec<_>, _>>();
    let again = (CString::new(program.into_os_string().into_vec()), texts(env::args_os().collect()), texts(variables));
    // It returns only when that does not work; then more is resident than has to be. `Command::exec` would let a closed connection end
    // the process from then on.
    if let (Ok(program), Ok(arguments), Ok(variables)) = again {
        unistd::execve(&program, &arguments, &variables).ok();
    }
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
