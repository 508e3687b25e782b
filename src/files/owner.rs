//! Whose a file is, who we are, and what to say where the one must not use what belongs to the other.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::Uid;
use nix::unistd::User;

/// On whose behalf this process opens files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Me {
    pub(super) uid: u32,
    /// All groups, the first one among them.
    pub(super) groups: Vec<u32>,
    /// What others may not do with what we make.
    pub(super) umask: u32,
}

impl Me {
    /// As the system says.
    pub(super) fn now() -> Self {
        let more = rustix::process::getgroups().unwrap_or_default();
        let groups = std::iter::once(rustix::process::getegid()).chain(more).map(rustix::process::Gid::as_raw);
        Self { uid: our_uid(), groups: groups.collect(), umask: umask().unwrap_or(0o077) }
    }
}

/// The user that this process is.
pub fn our_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// To ask the system itself would be to change it for a moment, for all threads.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// A user for a person to read: `change-events (uid 10555)`, or `uid 10555` where the system has no name for it.
pub fn user(uid: u32) -> String {
    name(uid).map_or_else(|| format!("uid {uid}"), |name| format!("{name} (uid {uid})"))
}

fn name(uid: u32) -> Option<String> {
    Some(User::from_uid(Uid::from_raw(uid)).ok()??.name)
}

/// What belongs to somebody else.
#[derive(Debug, thiserror::Error)]
struct Denied {
    /// What is closed; it may be a folder above.
    path: PathBuf,
    uid: u32,
    mode: u32,
    me: u32,
    /// The folder to be given away.
    folder: PathBuf,
    source: io::Error,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, uid, mode, me, folder, .. } = self;
        let (path, owner, me_shown) = (path.display(), user(*uid), user(*me));
        write!(f, "{path} belongs to {owner}, its mode is {mode:04o}, and this process is {me_shown}; run it as {owner}")?;
        if self.path.starts_with(folder) {
            let new_owner = name(*me).unwrap_or_else(|| me.to_string());
            write!(f, ", or give it away: chown -R {new_owner}: {}", quoted(folder))?;
        }
        Ok(())
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |character: char| character.is_alphanumeric() || "/._-+:".contains(character);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// The error with which a file of `folder`, or itself, could not be used; it says whose it is, where that is why.
pub fn explained(folder: &Path, path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    // A link says nothing of what it leads to, as far as that can be looked at.
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let metadata = |path: &Path| std::fs::metadata(path).or_else(|_| std::fs::symlink_metadata(path)).ok();
    // What cannot even be looked at is in a folder that is closed.
    let found = path.ancestors().find_map(|path| Some((path, metadata(nonempty(path))?)));
    let me = our_uid();
    match found {
        Some((path, is)) if is.uid() != me => {
            let (path, folder) = (real(nonempty(path)), real(folder));
            let denied = Denied { path, uid: is.uid(), mode: is.mode() & 0o7777, me, folder, source: error };
            io::Error::new(io::ErrorKind::PermissionDenied, denied)
        }
        _ => error,
    }
}

fn nonempty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_where_the_system_knows_one() {
        assert_eq!(user(0), "root (uid 0)");
        assert_eq!(user(3_999_999_999), "uid 3999999999");
    }

    #[test]
    fn what_is_denied_says_whose_it_is_and_what_mends_it() {
        #[track_caller]
        fn check(path: &str, me: u32, says: &str) {
            let source = io::Error::from(io::ErrorKind::PermissionDenied);
            let denied = Denied { path: path.into(), uid: 3_999_999_999, mode: 0o600, me, folder: "/var/lib/a b".into(), source };
            assert_eq!(denied.to_string(), says);
        }
        check(
            "/var/lib/a b/lock",
            0,
            "/var/lib/a b/lock belongs to uid 3999999999, its mode is 0600, and this process is root (uid 0); run it as uid 3999999999, \
             or give it away: chown -R root: '/var/lib/a b'",
        );
        check(
            "/var/lib/a b",
            3_999_999_998,
            "/var/lib/a b belongs to uid 3999999999, its mode is 0600, and this process is uid 3999999998; run it as uid 3999999999, \
             or give it away: chown -R 3999999998: '/var/lib/a b'",
        );
        check(
            "/var/lib",
            0,
            "/var/lib belongs to uid 3999999999, its mode is 0600, and this process is root (uid 0); run it as uid 3999999999",
        );
        assert_eq!(quoted(Path::new("/it's")), r"'/it'\''s'");
    }
}
