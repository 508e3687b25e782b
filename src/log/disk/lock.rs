//! The lock of a folder: as long as one process has it, no other one opens the log.
//! Whoever may open the file for reading can hold it, so it is made for its user alone; and where others could open it, another
//! file takes its place once we hold it, so that what they have open is worth nothing from then on.

use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::fs::Stat;

use crate::files;
use crate::files::Audience;
use crate::files::Home;
use crate::log::file::LOCK;
use crate::log::file::LOCK_DRAFT;

/// How often the file may have been replaced between opening and locking it.
const TRIES: usize = 16;

/// The lock, held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// The file before, where others may have it open: programs of before that found it just now must not get it.
    before: Option<File>,
}

/// Why the lock is not held.
pub(super) enum LockError {
    /// By whom, as far as the system tells.
    Held(String),
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Lock {
    /// Takes it, or says at once who has it.
    pub(super) fn take(home: &Home) -> Result<Self, LockError> {
        for _ in 0..TRIES {
            let file = home.keep(LOCK, Audience::Writers)?;
            lock(&file, home)?;
            let is = rustix::fs::fstat(&file).map_err(io::Error::from)?;
            if home.folder().stat_of(LOCK).is_ok_and(|now| same(&now, &is)) {
                return Ok(Self { file, before: None });
            }
        }
        Err(LockError::Io(io::Error::other("it is replaced all the time")))
    }

    /// The same, and puts another file in its place where others could open it.
    pub(super) fn take_for_good(home: &Home) -> Result<Self, LockError> {
        let mut lock = Self::take(home)?;
        let is = rustix::fs::fstat(&lock.file).map_err(io::Error::from)?;
        if home.is_open(&is, Audience::Writers)
            && let Ok(new) = renewed(home)
        {
            lock.before = Some(std::mem::replace(&mut lock.file, new));
        }
        Ok(lock)
    }
}

/// Puts a locked file in the place of the lock that nobody has open.
fn renewed(home: &Home) -> io::Result<File> {
    match home.remove(LOCK_DRAFT) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = home.create(LOCK_DRAFT, Audience::Writers)?;
    file.try_lock()?;
    home.rename(LOCK_DRAFT, LOCK)?;
    Ok(file)
}

impl Drop for Lock {
    /// Closing the file is not enough: a child that another thread is about to start holds a copy of it until it runs.
    fn drop(&mut self) {
        drop(self.file.unlock());
        drop(self.before.as_ref().map(File::unlock));
    }
}

fn lock(file: &File, home: &Home) -> Result<(), LockError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let path = home.folder().path().join(LOCK);
            Err(LockError::Held(holder(file).unwrap_or_else(|| format!("which `fuser -v {}` may name", path.display()))))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

/// The process that has a file locked, where the system tells.
fn holder(file: &File) -> Option<String> {
    let is = file.metadata().ok()?;
    let id = format!("{:02x}:{:02x}:{}", rustix::fs::major(is.dev()), rustix::fs::minor(is.dev()), is.ino());
    let process = locker(&std::fs::read_to_string("/proc/locks").ok()?, &id)?;
    let folder = PathBuf::from(format!("/proc/{process}"));
    let name = std::fs::read_to_string(folder.join("comm")).ok()?;
    let owner = std::fs::metadata(&folder).ok()?.uid();
    Some(format!("{} ({process}) of {}", name.trim_end().escape_debug(), files::user(owner)))
}

/// The process that holds the lock of a file, in the text of `/proc/locks`.
fn locker(locks: &str, file: &str) -> Option<u32> {
    // `1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF`; who waits has `->` after the number.
    let holds = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.get(1..6) {
            Some(["FLOCK", _, _, process, of]) if *of == file => process.parse().ok(),
            _ => None,
        }
    };
    locks.lines().find_map(holds)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> Result<Lock, String> {
        Lock::take_for_good(&Home::open(path).unwrap()).map_err(|error| match error {
            LockError::Held(by) => by,
            LockError::Io(error) => panic!("{error}"),
        })
    }

    #[test]
    fn can_be_taken_again_though_a_child_still_has_a_copy_of_it() {
        let home = tempfile::tempdir().unwrap();
        let lock = open(home.path()).unwrap();
        let copy = lock.file.try_clone().unwrap();
        assert!(open(home.path()).is_err());
        drop(lock);
        open(home.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn who_has_it_is_named() {
        let home = tempfile::tempdir().unwrap();
        let _lock = open(home.path()).unwrap();
        let by = open(home.path()).unwrap_err();
        assert!(by.contains(&format!("({}) of ", std::process::id())), "{by}");
    }

    #[test]
    fn what_others_could_open_before_is_no_lock_any_more() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(LOCK);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (old, program_of_before) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        // Who only looks leaves it as it is.
        drop(Lock::take(&Home::open(home.path()).unwrap()).ok().unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        let lock = open(home.path()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(program_of_before.try_lock().is_err() && File::open(&path).unwrap().try_lock().is_err());
        drop(lock);
        old.try_lock().unwrap();
        let lock = open(home.path()).unwrap();
        assert!(lock.before.is_none());
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn holders_are_found_in_the_list_of_the_system() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:131 0 EOF\n2: FLOCK  ADVISORY  WRITE 22 08:01:13 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 33 08:01:131 0 EOF\n3: -> FLOCK  ADVISORY  WRITE 44 08:01:131 0 EOF\n";
        assert_eq!(locker(locks, "08:01:131"), Some(33));
        assert_eq!(locker(locks, "08:01:7"), None);
        assert_eq!(locker("garbage\n\n", "08:01:7"), None);
    }
}
