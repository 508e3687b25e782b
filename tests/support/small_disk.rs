//! A disk of one's own that is soon full.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory. Only an administrator may mount one: whoever may not leaves the test out, in CI too, because that
/// cannot be installed.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(crate) fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "small"]).arg(directory.path()).output().unwrap();
        if mounted.status.success() {
            return Some(Self(directory));
        }
        let said = String::from_utf8_lossy(&mounted.stderr).to_lowercase();
        assert!(["permission denied", "must be superuser", "not permitted"].iter().any(|why| said.contains(why)), "{said}");
        eprintln!("\n*** SKIPPED: a small file system cannot be mounted: {said}\n");
        None
    }

    pub(crate) fn free(&self) -> u64 {
        let figures = rustix::fs::statvfs(self.0.path()).unwrap();
        figures.f_bavail * figures.f_frsize
    }

    /// Another program takes all that is free.
    pub(crate) fn fill_up(&self) {
        let file = File::options().create(true).append(true).open(self.0.path().join("another-program")).unwrap();
        while self.free() > 0 {
            let there = file.metadata().unwrap().len();
            if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, there + self.free()).is_err() {
                return;
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}
