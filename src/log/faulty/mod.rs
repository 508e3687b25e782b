//! A disk in memory that fails on demand and knows what a power loss would leave of it. For tests only.
//! Each file and the directory has what programs see (live), what is on the platter (durable), and the operations in
//! between, of which a crash keeps any subset: writes by sector, the others whole. A failed sync forgets what it should
//! have written, as Linux does. A kind of calls can be made to hang. Opening the same disk again is a process that was killed; `crash` is a power loss.

mod file;
mod inode;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub use file::FaultyFile;
use inode::Inode;
pub use inode::SECTOR_BYTES;
use parking_lot::Condvar;
use parking_lot::Mutex;

/// The operations that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Space,
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
enum DirectoryOperation {
    Link { name: String, inode: usize },
    Unlink { name: String },
    Rename { from: String, to: String, inode: usize },
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
    files: Option<usize>,
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
    gate: Arc<Gate>,
}

/// Where calls wait that hang.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<Hanging>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Hanging {
    call: Option<Call>,
    waiting: usize,
}

impl Gate {
    fn pass(&self, call: Call) {
        let mut state = self.state.lock();
        if state.call == Some(call) {
            state.waiting += 1;
            self.changed.wait_while(&mut state, |state| state.call == Some(call));
            state.waiting -= 1;
        }
    }
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

    /// Lets calls of this kind hang until the next [`FaultyDisk::go_on`].
    pub fn hang(&self, call: Call) {
        self.gate.state.lock().call = Some(call);
    }

    /// Whether a call hangs.
    pub fn hangs(&self) -> bool {
        self.gate.state.lock().waiting > 0
    }

    /// Lets no call hang any more.
    pub fn go_on(&self) {
        self.gate.state.lock().call = None;
        self.gate.changed.notify_all();
    }

    /// Makes no call fail any more, and takes away the limit of the capacity.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.faults.clear();
        (state.capacity, state.files) = (None, None);
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// Limits the bytes of all files together.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state.lock().capacity = bytes;
    }

    /// Limits the number of files.
    pub fn set_files(&self, files: Option<usize>) {
        self.state.lock().files = files;
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
        let disk = |state| Self { state: Arc::new(Mutex::new(state)), ..Self::default() };
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
        let inodes = state.inodes.iter().map(|inode| inode.crash(keep)).collect();
        let crashed = State { inodes, live: durable.clone(), durable, ..State::default() };
        Self { state: Arc::new(Mutex::new(crashed)), ..Self::default() }
    }

    /// A copy that shares nothing with this disk.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.state.lock().clone())), ..Self::default() }
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
            *inode = Inode::at_rest(bytes);
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
        self.gate.pass(call);
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
}
