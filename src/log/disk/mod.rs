//! The seam between the log and what it is stored on, and the directory of a real file system behind it.
//! Every call that can fail on a disk is one method, so that a test can make each of them fail.

mod lock;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FallocateFlags;

use crate::files::Audience;
use crate::files::Closed;
use crate::files::Home;
use crate::log::OpenError;
use crate::log::file::LOCK;
use crate::log::file::audience;
use lock::Lock;
use lock::LockError;

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
    home: Arc<Home>,
    /// Held for its lock only.
    _lock: Lock,
}

impl FsDisk {
    /// Makes the directory when it is not there, and locks it against other processes, so that no other user can do so from then on.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::locked(directory, Lock::take_for_good)
    }

    /// The same for a while: whoever could lock it before still can.
    pub fn open_as_it_is(directory: &Path) -> Result<Self, OpenError> {
        Self::locked(directory, Lock::take)
    }

    fn locked(directory: &Path, take: fn(&Home) -> Result<Lock, LockError>) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Io { file: directory.display().to_string(), source };
        let home = Home::open(directory).map_err(failed)?;
        let lock = take(&home).map_err(|error| match error {
            LockError::Held(by) => OpenError::InUse { directory: directory.display().to_string(), by },
            LockError::Io(source) => OpenError::Io { file: home.folder().path().join(LOCK).display().to_string(), source },
        })?;
        Ok(Self { home: Arc::new(home), _lock: lock })
    }

    /// The directory, for what is kept beside the log.
    pub fn home(&self) -> Arc<Home> {
        Arc::clone(&self.home)
    }

    /// Closes to others what programs of before, or a umask, left open. What cannot be closed is no error.
    pub fn close_to_others(&self) -> Closed {
        self.home.close_to_others(&audience)
    }
}

impl Disk for FsDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<String>> {
        self.home.names()
    }

    fn create(&self, name: &str) -> io::Result<File> {
        self.home.create(name, Audience::Group)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        self.home.read(name)
    }

    fn open_writable(&self, name: &str) -> io::Result<File> {
        self.home.write(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.home.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.home.remove(name)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.home.sync()
    }

    fn space(&self) -> io::Result<Space> {
        let figures = self.home.folder().stat_of_file_system()?;
        let bytes = |blocks: u64| blocks.saturating_mul(figures.f_frsize);
        Ok(Space { free: bytes(figures.f_bavail), size: bytes(figures.f_blocks) })
    }

    fn path(&self, name: &str) -> String {
        self.home.folder().path().join(name).display().to_string()
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
