//! The bytes of a file on a disk that fails on demand: what programs see, what is durable, and what is on its way between.

/// What a crash writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

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

    pub(super) fn resize(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.pending.push(FileOperation::Resize(len));
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        self.stored = self.stored.max(offset + bytes.len());
        self.pending.push(FileOperation::Write { offset, bytes: bytes.to_vec() });
    }

    /// What was written is durable.
    pub(super) fn settle(&mut self) {
        for operation in std::mem::take(&mut self.pending) {
            operation.apply_some(&mut self.durable, &mut || true);
        }
    }

    /// What was written and is not durable is not tried again.
    pub(super) fn give_up(&mut self) {
        self.pending.clear();
    }
}
