//! The frame codec: pure functions between bytes and frames, used by segments and checkpoints alike.
//! The layout is documented to the byte in ARCHITECTURE.md, "The log".

use bytes::Bytes;

use crate::log::Position;

/// Bytes of a frame before its payload.
pub(crate) const FRAME_HEADER_BYTES: usize = 40;
/// What every frame starts with; the fourth byte of the magic is the kind.
pub(crate) const FRAME_MAGIC: [u8; 3] = *b"chg";

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Records at consecutive positions.
    Records,
    /// Records that each carry their own position (only in checkpoints).
    Carried,
    /// Where a repair lost positions: what follows goes on elsewhere.
    Splice,
    /// The end of a checkpoint, or of a log that was closed cleanly.
    Footer,
}

impl FrameKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Records => b'R',
            Self::Carried => b'C',
            Self::Splice => b'S',
            Self::Footer => b'F',
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'R' => Some(Self::Records),
            b'C' => Some(Self::Carried),
            b'S' => Some(Self::Splice),
            b'F' => Some(Self::Footer),
            _ => None,
        }
    }
}

/// The value every header checksum of a file starts from: a frame is only valid in the file that it was written for.
pub(crate) fn seed(log_id: u64, first: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&log_id.to_le_bytes()), &first.to_le_bytes())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// Bytes of the payload.
    pub(crate) len: u32,
    /// Position of the first record, or of the next one to come when there is none. In a checkpoint, where positions are
    /// in the records, the number of records before this frame.
    pub(crate) first: u64,
    /// Number of records.
    pub(crate) count: u32,
    /// Header checksum of the frame before; of the file header for the first frame.
    pub(crate) prev_crc: u32,
    /// Bytes of this file that were durable when the frame was written.
    pub(crate) durable_upto: u64,
    pub(crate) payload_crc: u32,
}

impl FrameHeader {
    /// What the next frame calls `first`, unless this is a splice.
    pub(crate) const fn next(&self) -> u64 {
        self.first.saturating_add(self.count as u64)
    }

    /// Bytes of the whole frame.
    pub(crate) const fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + self.len as u64
    }

    /// Appends the header's bytes, answering their checksum: what the next frame calls `prev_crc`.
    pub(crate) fn encode(&self, seed: u32, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        out.extend_from_slice(&FRAME_MAGIC);
        out.push(self.kind.byte());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.prev_crc.to_le_bytes());
        out.extend_from_slice(&self.durable_upto.to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, out.get(start..).unwrap_or_default());
        out.extend_from_slice(&crc.to_le_bytes());
        crc
    }

    /// The header and its checksum, when the bytes are one.
    pub(crate) fn decode(seed: u32, bytes: &[u8]) -> Option<(Self, u32)> {
        let (covered, mut crc) = bytes.get(..FRAME_HEADER_BYTES)?.split_at_checked(FRAME_HEADER_BYTES - 4)?;
        let crc = u32::from_le_bytes(take(&mut crc)?);
        let mut fields = covered;
        if take(&mut fields)? != FRAME_MAGIC || crc32c::crc32c_append(seed, covered) != crc {
            return None;
        }
        let [kind] = take(&mut fields)?;
        let header = Self {
            kind: FrameKind::from_byte(kind)?,
            len: u32::from_le_bytes(take(&mut fields)?),
            first: u64::from_le_bytes(take(&mut fields)?),
            count: u32::from_le_bytes(take(&mut fields)?),
            prev_crc: u32::from_le_bytes(take(&mut fields)?),
            durable_upto: u64::from_le_bytes(take(&mut fields)?),
            payload_crc: u32::from_le_bytes(take(&mut fields)?),
        };
        Some((header, crc))
    }
}

/// Where the log goes on after a splice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// Position of the next record.
    pub(crate) resume: u64,
    /// The `prev_crc` of the next frame or file header.
    pub(crate) crc: u32,
}

impl Splice {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(12);
        payload.extend_from_slice(&self.resume.to_le_bytes());
        payload.extend_from_slice(&self.crc.to_le_bytes());
        payload
    }

    pub(crate) fn decode(mut payload: &[u8]) -> Option<Self> {
        let splice = Self { resume: u64::from_le_bytes(take(&mut payload)?), crc: u32::from_le_bytes(take(&mut payload)?) };
        payload.is_empty().then_some(splice)
    }
}

/// Takes `N` bytes off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

/// Takes one length-prefixed record off the front.
fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u32::from_le_bytes(take(bytes)?);
    let (record, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(record)
}

/// Verified records that were written together. Cheap to clone and to send to another thread: the bytes are shared.
#[derive(Clone, Debug)]
pub struct Frame {
    kind: FrameKind,
    first: u64,
    count: u32,
    payload: Bytes,
}

impl Frame {
    /// `None` when the payload is not what the header says.
    pub(crate) fn parse(header: &FrameHeader, payload: Bytes) -> Option<Self> {
        let frame = Self { kind: header.kind, first: header.first, count: header.count, payload };
        let mut records = frame.records();
        let mut found: u32 = 0;
        let mut previous = 0;
        for (position, _) in records.by_ref() {
            // Positions of a checkpoint ascend; those of a segment do by construction.
            if position.0 <= previous {
                return None;
            }
            previous = position.0;
            found += 1;
        }
        (found == header.count && records.bytes.is_empty()).then_some(frame)
    }

    /// Whether a checkpoint carried its records, each under its own position.
    pub fn is_carried(&self) -> bool {
        self.kind == FrameKind::Carried
    }

    /// Position of the first record.
    pub fn first(&self) -> Position {
        Position(match self.kind {
            FrameKind::Carried => self.records().next().map_or(self.first, |(position, _)| position.0),
            FrameKind::Records | FrameKind::Splice | FrameKind::Footer => self.first,
        })
    }

    /// Number of records.
    #[expect(clippy::len_without_is_empty, reason = "a frame that is visited has records")]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Size of all records with their length prefixes.
    pub fn bytes(&self) -> usize {
        self.payload.len()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The records in order, each with its position.
    pub fn records(&self) -> Records<'_> {
        Records { kind: self.kind, next: self.first, left: self.count, bytes: &self.payload }
    }

    /// The frame without its records at or before `upto`; `None` when nothing is left.
    pub(crate) fn after(mut self, upto: u64) -> Option<Self> {
        let mut records = self.records();
        let mut kept = (records.next, records.left, records.bytes.len());
        while let Some((position, _)) = records.next() {
            if position.0 > upto {
                break;
            }
            kept = (records.next, records.left, records.bytes.len());
        }
        let (next, left, bytes) = kept;
        self.payload = self.payload.slice(self.payload.len() - bytes..);
        (self.first, self.count) = (next, left);
        (left > 0).then_some(self)
    }
}

/// The records of one [`Frame`].
#[derive(Clone, Debug)]
pub struct Records<'a> {
    kind: FrameKind,
    next: u64,
    left: u32,
    bytes: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = (Position, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let position = match self.kind {
            FrameKind::Carried => u64::from_le_bytes(take(&mut self.bytes)?),
            FrameKind::Records | FrameKind::Splice | FrameKind::Footer => self.next,
        };
        self.next = position.checked_add(1)?;
        Some((Position(position), take_record(&mut self.bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader { kind: FrameKind::Records, len: 7, first: 42, count: 3, prev_crc: 0xdead_beef, durable_upto: 1 << 40, payload_crc: 17 }
    }

    #[test]
    fn header_round_trips_and_any_flipped_bit_is_noticed() {
        let seed = seed(1, 2);
        let mut bytes = Vec::new();
        let crc = header().encode(seed, &mut bytes);
        assert_eq!(bytes.len(), FRAME_HEADER_BYTES);
        assert_eq!(FrameHeader::decode(seed, &bytes), Some((header(), crc)));
        assert_eq!(FrameHeader::decode(seed ^ 1, &bytes), None);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(seed, &bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    fn payload(records: &[(Option<u64>, &[u8])]) -> Bytes {
        let mut bytes = Vec::new();
        for (position, record) in records {
            if let Some(position) = position {
                bytes.extend_from_slice(&position.to_le_bytes());
            }
            bytes.extend_from_slice(&u32::try_from(record.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(record);
        }
        Bytes::from(bytes)
    }

    #[track_caller]
    fn check(kind: FrameKind, count: u32, payload: Bytes, after: u64, expected: Option<&[(u64, &[u8])]>) {
        let header = FrameHeader { kind, count, ..header() };
        let got = Frame::parse(&header, payload).map(|frame| {
            frame.after(after).map_or_else(Vec::new, |frame| {
                assert_eq!(frame.len(), frame.records().count());
                assert_eq!(Some(frame.first()), frame.records().next().map(|(position, _)| position));
                frame.records().map(|(position, record)| (position.0, record.to_vec())).collect()
            })
        });
        let expected = expected.map(|records| records.iter().map(|(position, record)| (*position, record.to_vec())).collect::<Vec<_>>());
        assert_eq!(got, expected);
    }

    #[test]
    fn frames_give_their_records_after_a_position() {
        let dense = || payload(&[(None, b"a"), (None, b""), (None, b"ccc")]);
        let all: &[(u64, &[u8])] = &[(42, b"a"), (43, b""), (44, b"ccc")];
        check(FrameKind::Records, 3, dense(), 0, Some(all));
        check(FrameKind::Records, 3, dense(), 42, Some(&all[1..]));
        check(FrameKind::Records, 3, dense(), 43, Some(&all[2..]));
        check(FrameKind::Records, 3, dense(), 44, Some(&[]));
        let sparse = || payload(&[(Some(3), b"a"), (Some(9), b"bb")]);
        check(FrameKind::Carried, 2, sparse(), 0, Some(&[(3, b"a"), (9, b"bb")]));
        check(FrameKind::Carried, 2, sparse(), 8, Some(&[(9, b"bb")]));
    }

    #[test]
    fn a_payload_that_is_not_what_the_header_says_is_refused() {
        let dense = || payload(&[(None, b"a"), (None, b"bb")]);
        check(FrameKind::Records, 1, dense(), 0, None);
        check(FrameKind::Records, 3, dense(), 0, None);
        check(FrameKind::Records, 2, dense().slice(..dense().len() - 1), 0, None);
        check(FrameKind::Carried, 2, payload(&[(Some(9), b"a"), (Some(9), b"b")]), 0, None);
    }
}
