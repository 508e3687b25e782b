//! A disk that obeys, for a program that runs on it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// What the disk does from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    Its,
    HangInSync,
    FailToSync,
    HangInWrite,
}

/// To be kept as long as the program runs.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: TempDir,
}

impl Disk {
    /// Builds what stands between the program and its disk; that takes a C compiler.
    pub(crate) fn new() -> Self {
        let disk = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(disk.order(), 0_i64.to_le_bytes()).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk.c");
        let status =
            Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(disk.library()).arg(source).arg("-ldl").status().unwrap();
        assert!(status.success(), "cc: {status}");
        disk
    }

    fn order(&self) -> PathBuf {
        self.directory.path().join("order")
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("disk.so")
    }

    /// What the program has to find in its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("LD_PRELOAD", self.library()), ("DISK_OBEYS", self.order())]
    }

    pub(crate) fn does(&self, what: Does) {
        let order: i64 = match what {
            Does::Its => 0,
            Does::HangInSync => -1,
            Does::FailToSync => -2,
            Does::HangInWrite => -3,
        };
        // In place: the program has the file mapped.
        OpenOptions::new().write(true).open(self.order()).unwrap().write_all_at(&order.to_le_bytes(), 0).unwrap();
    }
}
