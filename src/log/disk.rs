//! The seam between the log and what it is stored on, and the directory of a real file system behind it.
//! Every call that can fail on a disk is one method, so that a test can make each of them fail.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

use crate::log::OpenError;
use crate::log::file::LOCK;

/// A directory of files, held by one process alone.
pub trait Disk: Send + Sync {
    type File: DiskFile;

    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file, or empties the one there is, for reading and writing.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Opens a file for reading and writing.
    fn open_writable(&self, name: &str) -> io::Result<Self::File>;
    /// Gives a file another name, atomically taking the place of the one that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns when all creations, renames and removals are durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// How much room there is.
    fn space(&self) -> io::Result<Space>;
    /// The name as a person finds it.
    fn path(&self, name: &str) -> String;
}

/// Room of a file system, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// What may still be taken.
    pub free: u64,
    pub size: u64,
}

/// One open file.
#[expect(clippy::len_without_is_empty, reason = "nobody asks a file whether it is empty")]
pub trait DiskFile: Send {
    fn len(&self) -> io::Result<u64>;
    /// Reads up to a buffer full; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes or fails; after a failure any part of them may be there.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns when what was written, and the length, are durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Extends the file with zeros, reserving their room where the file system can.
    fn allocate(&mut self, len: u64) -> io::Result<()>;
}

/// A directory of the file system. Its lock file is locked as long as this value lives.
#[derive(Debug)]
pub struct FsDisk {
    directory: PathBuf,
    handle: File,
    /// Held for its lock only.
    lock: File,
}

impl FsDisk {
    /// Makes the directory when it is not there, and locks it against other processes.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { file: directory.display().to_string(), source };
        if !directory.is_dir() {
            std::fs::create_dir_all(directory).map_err(failed)?;
            sync_parent(directory).map_err(failed)?;
        }
        let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { directory: directory.display().to_string() });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self { handle: File::open(directory).map_err(failed)?, directory: directory.to_owned(), lock })
    }
}

fn sync_parent(directory: &Path) -> io::Result<()> {
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Drop for FsDisk {
    /// Closing the file is not enough: a child that another thread is about to start holds a copy of it until it runs.
    fn drop(&mut self) {
        drop(self.lock.unlock());
    }
}

impl Disk for FsDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            // A name that is not UTF-8 is not the log's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.directory.join(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.directory.join(name))
    }

    fn open_writable(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.directory.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn space(&self) -> io::Result<Space> {
        let figures = rustix::fs::fstatvfs(&self.handle)?;
        let bytes = |blocks: u64| blocks.saturating_mul(figures.f_frsize);
        Ok(Space { free: bytes(figures.f_bavail), size: bytes(figures.f_blocks) })
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&*self, FallocateFlags::empty(), 0, len) {
                Err(rustix::io::Errno::INTR) => {}
                // Not every file system reserves room; then a full disk shows when writing.
                Err(rustix::io::Errno::OPNOTSUPP) if DiskFile::len(self)? < len => return self.set_len(len),
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_can_be_opened_again_though_a_child_still_has_a_copy_of_its_lock() {
        let home = tempfile::tempdir().unwrap();
        let disk = FsDisk::open(home.path()).unwrap();
        let copy = disk.lock.try_clone().unwrap();
        assert!(FsDisk::open(home.path()).is_err());
        drop(disk);
        FsDisk::open(home.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn a_directory_without_a_parent_in_its_name_is_in_the_current_one() {
        for directory in ["logs", "./logs", "/logs"] {
            assert!(sync_parent(Path::new(directory)).is_ok(), "{directory}");
        }
        assert!(sync_parent(Path::new("not there/logs")).is_err());
    }
}
