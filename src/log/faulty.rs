//! A disk in memory that fails on demand and knows what a power loss would leave of it. For tests only.
//! Each file and the directory has what programs see (live), what is on the platter (durable), and the operations in
//! between, of which a crash keeps any subset: writes by sector, the others whole. A failed sync forgets what it should
//! have written, as Linux does. Opening the same disk again is a process that was killed; `crash` is a power loss.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::log::disk::Disk;
use crate::log::disk::DiskFile;

/// What a crash writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// The operations that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Len,
    Read,
    Write,
    Sync,
    Truncate,
    Allocate,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An I/O error, and nothing was done.
    Before,
    /// An I/O error; of a write, half was done.
    Halfway,
    /// An I/O error, and all was done.
    After,
}

#[derive(Clone, Debug)]
enum FileOperation {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Clone, Debug)]
enum DirectoryOperation {
    Link { name: String, inode: usize },
    Unlink { name: String },
    Rename { from: String, to: String, inode: usize },
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<FileOperation>,
    /// Bytes that take room.
    stored: usize,
}

#[derive(Clone, Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<DirectoryOperation>,
    calls: Vec<Call>,
    /// Calls that fail: by their number, or the next of a kind.
    faults: Vec<(Target, Fault)>,
    capacity: Option<usize>,
    thin: bool,
    history: Option<Vec<State>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Number(usize),
    Next(Call),
}

/// The disk; clones share it.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`FaultyDisk`].
#[derive(Clone, Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

impl FaultyDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the call with this number fail; the first call ever has number 0.
    pub fn fail_call(&self, number: usize, fault: Fault) {
        self.state.lock().faults.push((Target::Number(number), fault));
    }

    /// Makes the next call of this kind fail.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.state.lock().faults.push((Target::Next(call), fault));
    }

    /// Makes no call fail any more, and takes away the limit of the capacity.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        state.capacity = None;
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// Limits the bytes of all files together.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state.lock().capacity = bytes;
    }

    /// Makes room count only when it is written and not when it is reserved, as on a file system that copies on write.
    pub fn set_thin(&self) {
        self.state.lock().thin = true;
    }

    /// Bytes of all files together.
    pub fn used(&self) -> usize {
        self.state.lock().used()
    }

    /// From now on, remembers the disk after each call that changes it.
    pub fn record_history(&self) {
        self.state.lock().history = Some(Vec::new());
    }

    /// The disk as it was after each recorded call.
    pub fn history(&self) -> Vec<Self> {
        let states = self.state.lock().history.clone().unwrap_or_default();
        let disk = |state| Self { state: Arc::new(Mutex::new(state)) };
        states.into_iter().map(disk).collect()
    }

    /// Number of recorded calls.
    pub fn history_len(&self) -> usize {
        self.state.lock().history.as_ref().map_or(0, Vec::len)
    }

    /// The disk after a power loss: of what was not synced, `keep` decides for each sector and operation.
    #[must_use]
    pub fn crash(&self, keep: &mut dyn FnMut() -> bool) -> Self {
        let state = self.state.lock();
        let mut durable = state.durable.clone();
        for operation in state.pending.iter().filter(|_| keep()) {
            operation.apply(&mut durable);
        }
        let crashed = |inode: &Inode| {
            let mut bytes = inode.durable.clone();
            for operation in &inode.pending {
                operation.apply_some(&mut bytes, keep);
            }
            Inode { stored: bytes.len(), durable: bytes.clone(), live: bytes, pending: Vec::new() }
        };
        let inodes = state.inodes.iter().map(crashed).collect();
        let crashed = State { inodes, live: durable.clone(), durable, ..State::default() };
        Self { state: Arc::new(Mutex::new(crashed)) }
    }

    /// A copy that shares nothing with this disk.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state.lock().clone())) }
    }

    /// The bytes of a file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let inode = state.live.get(name)?;
        Some(state.inodes.get(*inode)?.live.clone())
    }

    /// Changes the bytes of a file, as if they had been so on the platter for long. The file is made if needed.
    pub fn change<T>(&self, name: &str, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut state = self.state.lock();
        let next = state.inodes.len();
        let inode = *state.live.entry(name.to_owned()).or_insert(next);
        state.durable.insert(name.to_owned(), inode);
        if inode == next {
            state.inodes.push(Inode::default());
        }
        let mut bytes = Vec::new();
        let mut inode = state.inodes.get_mut(inode);
        if let Some(inode) = &mut inode {
            bytes = std::mem::take(&mut inode.live);
        }
        let outcome = change(&mut bytes);
        if let Some(inode) = inode {
            *inode = Inode { stored: bytes.len(), durable: bytes.clone(), live: bytes, pending: Vec::new() };
        }
        outcome
    }

    /// Takes a file away, as if it had never been.
    pub fn lose(&self, name: &str) {
        let mut state = self.state.lock();
        state.live.remove(name);
        state.durable.remove(name);
    }
}

impl DirectoryOperation {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link { name, inode } => drop(names.insert(name.clone(), *inode)),
            Self::Unlink { name } => drop(names.remove(name)),
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
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

fn failure(call: Call) -> io::Error {
    io::Error::other(format!("injected failure of {call:?}"))
}

fn disk_full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl State {
    fn used(&self) -> usize {
        let inodes = self.live.values().filter_map(|inode| self.inodes.get(*inode));
        inodes.map(|inode| inode.stored).sum()
    }

    fn free(&self) -> usize {
        self.capacity.map_or(usize::MAX / 2, |capacity| capacity.saturating_sub(self.used()))
    }

    /// Counts a call, answering how it fails.
    fn begin(&mut self, call: Call) -> Option<Fault> {
        let number = self.calls.len();
        self.calls.push(call);
        let hit = |(target, _): &(Target, Fault)| *target == Target::Number(number) || *target == Target::Next(call);
        let index = self.faults.iter().position(hit)?;
        Some(self.faults.remove(index).1)
    }

    fn remember(&mut self) {
        if let Some(mut history) = self.history.take() {
            history.push(self.clone());
            self.history = Some(history);
        }
    }

    fn lookup(&self, name: &str) -> io::Result<usize> {
        self.live.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    fn change_directory(&mut self, operation: DirectoryOperation) {
        operation.apply(&mut self.live);
        self.pending.push(operation);
    }
}

impl FaultyDisk {
    /// Runs one call on the directory.
    fn call<T>(&self, call: Call, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        let fault = state.begin(call);
        if matches!(fault, Some(Fault::Before | Fault::Halfway)) {
            return Err(failure(call));
        }
        let outcome = act(&mut state);
        state.remember();
        match fault {
            Some(_) => Err(failure(call)),
            None => outcome,
        }
    }

    fn file(&self, inode: usize) -> FaultyFile {
        FaultyFile { disk: self.clone(), inode }
    }
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn list(&self) -> io::Result<Vec<String>> {
        self.call(Call::List, |state| Ok(state.live.keys().cloned().collect()))
    }

    fn create(&self, name: &str) -> io::Result<FaultyFile> {
        let inode = self.call(Call::Create, |state| {
            // A new inode also for a name that exists: nothing relies on the old one's bytes.
            let inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.change_directory(DirectoryOperation::Link { name: name.to_owned(), inode });
            Ok(inode)
        })?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        let inode = self.call(Call::Open, |state| state.lookup(name))?;
        Ok(self.file(inode))
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

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state.lock().free() as u64)
    }

    fn path(&self, name: &str) -> String {
        name.to_owned()
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
    /// Runs one call on the file. What a fault leaves undone is up to `act`, except that reading calls just fail.
    fn call<T>(&self, call: Call, act: impl FnOnce(Access<'_>) -> io::Result<T>) -> io::Result<T> {
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
