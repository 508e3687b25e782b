//! A disk of one's own that is soon full.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory, which takes root: where it cannot be had the test is left out, but not in CI.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(crate) fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "small"]).arg(directory.path()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        assert!(std::env::var_os("CI").is_none(), "a small file system cannot be mounted, which takes root");
        eprintln!("\n*** SKIPPED: a small file system cannot be mounted, which takes root\n");
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
