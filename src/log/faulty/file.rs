//! The files of a disk that fails on demand.

use std::io;

use crate::log::disk::DiskFile;
use crate::log::faulty::Call;
use crate::log::faulty::Fault;
use crate::log::faulty::FaultyDisk;
use crate::log::faulty::SECTOR_BYTES;
use crate::log::faulty::disk_full;
use crate::log::faulty::failure;

/// An open file of a [`FaultyDisk`].
#[derive(Clone, Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

#[derive(Clone, Debug)]
enum FileOperation {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What programs see.
    pub(super) live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<FileOperation>,
    /// Bytes that take room.
    pub(super) stored: usize,
}

impl FileOperation {
    fn apply_some(&self, bytes: &mut Vec<u8>, keep: &mut dyn FnMut() -> bool) {
        match self {
            Self::Resize(len) => {
                if keep() {
                    bytes.resize(*len, 0);
                }
            }
            Self::Write { offset, bytes: written } => {
                let mut at = *offset;
                let mut rest = written.as_slice();
                while !rest.is_empty() {
                    let (part, tail) = rest.split_at((SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len()));
                    if keep() {
                        put(bytes, at, part);
                    }
                    at += part.len();
                    rest = tail;
                }
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, part: &[u8]) {
    let end = offset + part.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(part);
    }
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
    pub(super) fn new(disk: FaultyDisk, inode: usize) -> Self {
        Self { disk, inode }
    }

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

impl Inode {
    /// A file whose bytes are all durable.
    pub(super) fn at_rest(bytes: Vec<u8>) -> Self {
        Self { stored: bytes.len(), durable: bytes.clone(), live: bytes, pending: Vec::new() }
    }

    /// What a power loss leaves.
    pub(super) fn crash(&self, keep: &mut dyn FnMut() -> bool) -> Self {
        let mut bytes = self.durable.clone();
        for operation in &self.pending {
            operation.apply_some(&mut bytes, keep);
        }
        Self::at_rest(bytes)
    }

    fn resize(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.pending.push(FileOperation::Resize(len));
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        self.stored = self.stored.max(offset + bytes.len());
        self.pending.push(FileOperation::Write { offset, bytes: bytes.to_vec() });
    }
}

fn size(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX / 2)
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
                let pending = std::mem::take(&mut access.inode.pending);
                for operation in pending {
                    operation.apply_some(&mut access.inode.durable, &mut || true);
                }
            }
            access.inode.pending.clear();
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
