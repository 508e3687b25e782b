//! A disk that fails on demand, called as a log calls it, and its open files.

use std::io;

use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::disk::Space;
use crate::log::faulty::Call;
use crate::log::faulty::DirectoryOperation;
use crate::log::faulty::Fault;
use crate::log::faulty::FaultyDisk;
use crate::log::faulty::disk_full;
use crate::log::faulty::failure;
use crate::log::faulty::inode::Inode;

/// An open file of a [`FaultyDisk`].
#[derive(Clone, Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

/// What one call on a file has to do with.
struct Access<'a> {
    inode: &'a mut Inode,
    fault: Option<Fault>,
    /// Bytes that can still be stored.
    free: usize,
    thin: bool,
}

impl FaultyFile {
    /// Runs one call on the file. What a fault leaves undone is up to `act`, except that reading calls just fail.
    fn call<T>(&self, call: Call, act: impl FnOnce(Access<'_>) -> io::Result<T>) -> io::Result<T> {
        self.disk.gate.pass(call);
        let mut state = self.disk.state.lock();
        let fault = state.begin(call);
        let (free, thin) = (state.free(), state.thin);
        let inode = state.inodes.get_mut(self.inode).ok_or(io::ErrorKind::NotFound)?;
        let outcome = act(Access { inode, fault, free, thin });
        if !matches!(call, Call::Len | Call::Read) {
            state.remember();
        }
        match fault {
            Some(_) => Err(failure(call)),
            None => outcome,
        }
    }
}

fn size(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX / 2)
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.call(Call::List, |state| Ok(state.live.keys().cloned().collect()))
    }

    fn create(&self, name: &str) -> io::Result<FaultyFile> {
        let inode = self.call(Call::Create, |state| {
            if state.files.is_some_and(|files| !state.live.contains_key(name) && state.live.len() >= files) {
                return Err(disk_full());
            }
            // A new inode also for a name that exists: nothing relies on the old one's bytes.
            let inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.change_directory(DirectoryOperation::Link { name: name.to_owned(), inode });
            Ok(inode)
        })?;
        Ok(FaultyFile { disk: self.clone(), inode })
    }

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        let inode = self.call(Call::Open, |state| state.lookup(name))?;
        Ok(FaultyFile { disk: self.clone(), inode })
    }

    fn open_writable(&self, name: &str) -> io::Result<FaultyFile> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(Call::Rename, |state| {
            let inode = state.lookup(from)?;
            let (from, to) = (from.to_owned(), to.to_owned());
            state.change_directory(DirectoryOperation::Rename { from, to, inode });
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(Call::Remove, |state| {
            state.lookup(name)?;
            state.change_directory(DirectoryOperation::Unlink { name: name.to_owned() });
            Ok(())
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.call(Call::SyncDir, |state| {
            state.durable = state.live.clone();
            state.pending.clear();
            Ok(())
        })
    }

    fn space(&self) -> io::Result<Space> {
        self.call(Call::Space, |state| {
            let size = state.capacity.unwrap_or(usize::MAX / 2) as u64;
            Ok(Space { free: state.free() as u64, size })
        })
    }

    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.call(Call::Len, |access| Ok(access.inode.live.len() as u64))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(Call::Read, |access| {
            let rest = access.inode.live.get(size(offset)..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..read), rest.get(..read)) {
                to.copy_from_slice(from);
            }
            Ok(read)
        })
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = size(offset);
        self.call(Call::Write, |access| {
            let room = access.inode.stored.saturating_add(access.free).saturating_sub(offset);
            let len = match access.fault {
                Some(Fault::Before) => 0,
                Some(Fault::Halfway) => bytes.len() / 2,
                Some(Fault::After) | None => bytes.len(),
            };
            let part = bytes.get(..len.min(room)).unwrap_or_default();
            if !part.is_empty() {
                access.inode.write(offset, part);
            }
            if len > room { Err(disk_full()) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.call(Call::Sync, |access| {
            if matches!(access.fault, None | Some(Fault::After)) {
                access.inode.settle();
            }
            access.inode.give_up();
            Ok(())
        })
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.call(Call::Truncate, |access| {
            if matches!(access.fault, None | Some(Fault::After)) {
                access.inode.resize(size(len));
                access.inode.stored = access.inode.stored.min(size(len));
            }
            Ok(())
        })
    }

    fn allocate(&mut self, len: u64) -> io::Result<()> {
        self.call(Call::Allocate, |access| {
            if matches!(access.fault, Some(Fault::Before | Fault::Halfway)) {
                return Ok(());
            }
            let len = size(len);
            let reachable = if access.thin { len } else { len.min(access.inode.stored.saturating_add(access.free)) };
            if access.inode.live.len() < reachable {
                access.inode.resize(reachable);
            }
            if !access.thin {
                access.inode.stored = access.inode.stored.max(reachable);
            }
            if reachable < len { Err(disk_full()) } else { Ok(()) }
        })
    }
}
