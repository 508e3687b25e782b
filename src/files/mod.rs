//! Files and folders of our own. They are made for their user, whatever the umask is, and found by the handle of their
//! folder, so that nobody puts another one in its place in between. A link is not followed, and what is no regular file is
//! not opened.
//!
//! It knows neither what is in them nor who is told what.

mod home;
mod owner;

use std::ffi::CStr;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::fs::StatVfs;
use rustix::io::retry_on_intr;

pub use home::Audience;
pub use home::Closed;
pub use home::Home;
pub use home::Known;
pub use owner::explained;
pub use owner::our_uid;
pub use owner::user;

/// The file with the key of access tokens, which the server keeps beside its log.
pub const ACCESS_TOKEN_KEY: &str = "access-token.key";
/// The same while it is made.
pub const ACCESS_TOKEN_KEY_DRAFT: &str = "access-token.new";

/// Of a folder that only its user may use.
const FOLDER_MODE: u32 = 0o700;
/// Of a file that only its user may use.
pub const FILE_MODE: u32 = 0o600;
/// What a mode says of others than the user and the group.
pub(crate) const OTHERS: u32 = 0o007;

/// How a file is opened; `O_NONBLOCK` because somebody may put a pipe in its place after it was looked at.
const CAREFULLY: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    handle: File,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at a path that the user gave, which may be a link.
    pub fn open(path: &Path) -> io::Result<Self> {
        let handle = retry_on_intr(|| rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()))?;
        Ok(Self { handle: handle.into(), path: path.to_owned() })
    }

    /// The same; makes it, and those above it, for their user alone when they are not there. Those are durable then.
    pub fn open_or_make(path: &Path) -> io::Result<Self> {
        match Self::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
        missing.into_iter().try_for_each(sync_parent)?;
        Self::open(path)
    }

    /// Opens a folder in this one, which is no link.
    pub fn within(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, Mode::empty()))?;
        Ok(Self { handle: handle.into(), path: self.path.join(name) })
    }

    /// Makes a folder in this one, for its user alone.
    pub fn make(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.handle, name, mode(FOLDER_MODE))?)
    }

    /// Removes an empty folder in this one.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR)?)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How large the file system is that it is on, and what of it is free.
    pub fn stat_of_file_system(&self) -> io::Result<StatVfs> {
        Ok(rustix::fs::fstatvfs(&self.handle)?)
    }

    /// What the folder itself is.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.handle)?)
    }

    /// What a name in it stands for; a link for itself.
    pub fn stat_of(&self, name: &str) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    pub(crate) fn set_mode(&self, wanted: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.handle, mode(wanted))?)
    }

    /// The names of all that is in it. One that is not UTF-8 is not ours.
    pub fn names(&self) -> io::Result<impl Iterator<Item = io::Result<String>>> {
        let own = |name: &CStr| name.to_str().ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned);
        let entries = Dir::read_from(&self.handle)?;
        Ok(entries.filter_map(move |entry| match entry {
            Ok(entry) => own(entry.file_name()).map(Ok),
            Err(error) => Some(Err(error.into())),
        }))
    }

    /// Opens a regular file for reading.
    pub fn read(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlags::RDONLY)
    }

    /// Opens a regular file for reading and writing.
    pub fn write(&self, name: &str) -> io::Result<File> {
        self.file(name, OFlags::RDWR)
    }

    fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        regular(&self.stat_of(name)?)?;
        let file = retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags | CAREFULLY, Mode::empty()))?;
        regular(&rustix::fs::fstat(&file)?)?;
        Ok(file.into())
    }

    /// Makes a file that is not there yet, for its user alone; for reading and writing.
    pub fn create_new(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | CAREFULLY;
        let file: File = retry_on_intr(|| rustix::fs::openat(&self.handle, name, flags, mode(FILE_MODE)))?.into();
        Ok(file)
    }

    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, from, &self.handle, to)?)
    }

    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    /// Returns when all that was made, renamed and removed in it is durable.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

/// What is not a file with bytes of its own.
#[derive(Debug, thiserror::Error)]
#[error("it is {0}, not a regular file")]
struct Irregular(&'static str);

fn regular(stat: &Stat) -> io::Result<()> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, Irregular(kind)))
}

fn sync_parent(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
