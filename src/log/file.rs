//! What is common to the files of a log: their names, and the header that segments and checkpoints start with.

use crate::files::ACCESS_TOKEN_KEY;
use crate::files::ACCESS_TOKEN_KEY_DRAFT;
use crate::files::Audience;
use crate::log::frame::take;

/// Bytes of the header of a segment or checkpoint.
pub(crate) const FILE_HEADER_BYTES: usize = 40;
const LOG_ID_OFFSET: usize = 16;
/// The newest file format that this version reads, and the one it writes.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// The side file with the high-water mark.
pub(crate) const HWM: &str = "hwm";
/// What is kept back for the next checkpoint: room, and nothing that is read.
pub(crate) const RESERVE: &str = "reserve";
/// The same for the next segment; zeros.
pub(crate) const SEGMENT_RESERVE: &str = "reserve-segment";
/// The file that is locked as long as a process has the log open.
pub(crate) const LOCK: &str = "lock";
/// The same while it is made anew.
pub(crate) const LOCK_DRAFT: &str = "lock.tmp";
/// Names, with a number where there are several, the copies that a repair makes of damaged files.
pub(crate) const DAMAGED: &str = ".damaged";
/// Ends the names of files that are not complete yet.
pub(crate) const TEMPORARY: &str = ".tmp";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Segment,
    Checkpoint,
}

impl FileKind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"chgsegm\n",
            Self::Checkpoint => *b"chgckpt\n",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Segment => ".log",
            Self::Checkpoint => ".checkpoint",
        }
    }

    /// The name of the file whose header says `position`; names sort as positions do.
    pub(crate) fn name(self, position: u64) -> String {
        format!("{position:020}{}", self.extension())
    }

    /// The position in a name; `None` where no log ever has one: 0 means nothing, and after the last number there is no other.
    fn parse_name(self, name: &str) -> Option<u64> {
        let digits = name.strip_suffix(self.extension())?;
        let position = digits.parse().ok()?;
        (self.name(position) == name && position > 0 && position < u64::MAX).then_some(position)
    }
}

/// The header of a segment or checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) kind: FileKind,
    /// Drawn when the log is created; the same in all its files.
    pub(crate) log_id: u64,
    /// Segment: its first position. Checkpoint: the last position that it stands for.
    pub(crate) position: u64,
    /// Segment: header checksum of the last frame of the segment before (0: there is none). Checkpoint: 0.
    pub(crate) prev_crc: u32,
}

/// Why bytes are not a header of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    Damaged,
    Newer(u32),
}

impl FileHeader {
    /// The header's bytes and their checksum: what the first frame calls `prev_crc`.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut bytes = Vec::with_capacity(FILE_HEADER_BYTES);
        bytes.extend_from_slice(&self.kind.magic());
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.log_id.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.prev_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    pub(crate) fn decode(kind: FileKind, bytes: &[u8]) -> Result<(Self, u32), BadHeader> {
        let (mut fields, crc) = Self::checked(kind, bytes).ok_or(BadHeader::Damaged)?;
        let mut parse = || {
            let version = u32::from_le_bytes(take(&mut fields)?);
            let _reserved: [u8; 4] = take(&mut fields)?;
            let header = Self {
                kind,
                log_id: u64::from_le_bytes(take(&mut fields)?),
                position: u64::from_le_bytes(take(&mut fields)?),
                prev_crc: u32::from_le_bytes(take(&mut fields)?),
            };
            Some((version, header))
        };
        match parse().ok_or(BadHeader::Damaged)? {
            (FORMAT_VERSION, header) => Ok((header, crc)),
            (version, _) => Err(BadHeader::Newer(version)),
        }
    }

    /// What a header that is not valid says about the log's number.
    pub(crate) fn claimed_log_id(bytes: &[u8]) -> Option<u64> {
        let mut field = bytes.get(LOG_ID_OFFSET..)?;
        Some(u64::from_le_bytes(take(&mut field)?))
    }

    /// What follows the magic, when the checksum is right. All versions of the format keep the magic, the version
    /// after it, and this checksum where they are, so that a newer file is told from a damaged one.
    fn checked(kind: FileKind, bytes: &[u8]) -> Option<(&[u8], u32)> {
        let (covered, mut crc) = bytes.get(..FILE_HEADER_BYTES)?.split_at_checked(FILE_HEADER_BYTES - 4)?;
        let crc = u32::from_le_bytes(take(&mut crc)?);
        let mut fields = covered;
        (take(&mut fields)? == kind.magic() && crc32c::crc32c(covered) == crc).then_some((fields, crc))
    }
}

/// The files of a log, by what their names say. Other files in the directory are not the log's and are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// First positions, ascending.
    pub(crate) segments: Vec<u64>,
    /// Positions, ascending.
    pub(crate) checkpoints: Vec<u64>,
    pub(crate) temporary: Vec<String>,
}

impl Listing {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let mut listing = Self::default();
        for name in names {
            if let Some(first) = FileKind::Segment.parse_name(&name) {
                listing.segments.push(first);
            } else if let Some(upto) = FileKind::Checkpoint.parse_name(&name) {
                listing.checkpoints.push(upto);
            } else if is_temporary(&name) {
                listing.temporary.push(name);
            }
        }
        listing.segments.sort_unstable();
        listing.checkpoints.sort_unstable();
        listing
    }
}

/// For whom a file in the directory of the log is; `None` where the name is none that the server gives.
pub(crate) fn audience(name: &str) -> Option<Audience> {
    let numbered = |rest: &str| rest.is_empty() || rest.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok());
    let name = match name.rsplit_once(DAMAGED) {
        Some((name, rest)) if numbered(rest) => name,
        _ => name.strip_suffix(TEMPORARY).unwrap_or(name),
    };
    match name {
        LOCK | ACCESS_TOKEN_KEY | ACCESS_TOKEN_KEY_DRAFT => Some(Audience::Writers),
        HWM | RESERVE | SEGMENT_RESERVE => Some(Audience::Group),
        _ if FileKind::Segment.parse_name(name).is_some() || FileKind::Checkpoint.parse_name(name).is_some() => Some(Audience::Group),
        _ => None,
    }
}

fn is_temporary(name: &str) -> bool {
    name.strip_suffix(TEMPORARY)
        .is_some_and(|name| FileKind::Segment.parse_name(name).is_some() || FileKind::Checkpoint.parse_name(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_directory_are_told_from_others() {
        #[track_caller]
        fn check(name: &str, expected: Option<Audience>) {
            assert_eq!(audience(name), expected, "{name}");
        }
        for name in ["lock", "lock.tmp", "access-token.key", "access-token.new"] {
            check(name, Some(Audience::Writers));
        }
        for ending in ["", ".tmp", ".damaged", ".damaged-2", ".damaged-12"] {
            check(&format!("00000000000000000001.log{ending}"), Some(Audience::Group));
            check(&format!("00000000000000000001.checkpoint{ending}"), Some(Audience::Group));
            check(&format!("hwm{ending}"), Some(Audience::Group));
            check(&format!("reserve{ending}"), Some(Audience::Group));
            check(&format!("reserve-segment{ending}"), Some(Audience::Group));
            check(&format!("1.log{ending}"), None);
        }
        for name in ["00000000000000000001.log.damaged-x", "00000000000000000001.log.bak", "README", "", ".damaged", "lock.damaged-"] {
            check(name, None);
        }
    }

    #[test]
    fn header_round_trips_and_any_flipped_bit_is_noticed() {
        let header = FileHeader { kind: FileKind::Segment, log_id: 7, position: 99, prev_crc: 3 };
        let (mut bytes, crc) = header.encode();
        assert_eq!(bytes.len(), FILE_HEADER_BYTES);
        assert_eq!(FileHeader::decode(FileKind::Segment, &bytes), Ok((header, crc)));
        assert_eq!(FileHeader::decode(FileKind::Checkpoint, &bytes), Err(BadHeader::Damaged));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::decode(FileKind::Segment, &bytes), Err(BadHeader::Damaged), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let (mut bytes, _) = FileHeader { kind: FileKind::Segment, log_id: 7, position: 99, prev_crc: 3 }.encode();
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..FILE_HEADER_BYTES - 4]);
        bytes[FILE_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(FileHeader::decode(FileKind::Segment, &bytes), Err(BadHeader::Newer(2)));
    }

    #[test]
    fn names_are_sorted_into_what_they_are() {
        let names = [
            "00000000000000000012.log",
            "00000000000000000001.log",
            "1.log",
            "00000000000000000012.log.damaged",
            "00000000000000000011.checkpoint",
            "00000000000000000014.checkpoint.tmp",
            "notes.tmp",
            "00000000000000000000.log",
            "18446744073709551615.checkpoint",
            "hwm",
            "lock",
        ];
        let listing = Listing::new(names.map(str::to_owned).to_vec());
        assert_eq!(
            listing,
            Listing { segments: vec![1, 12], checkpoints: vec![11], temporary: vec!["00000000000000000014.checkpoint.tmp".to_owned()] }
        );
    }
}
