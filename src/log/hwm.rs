//! The high-water mark: a side file that says how far the log was durable at least.
//! It is written after the fact and without a sync, so it may lag, but it never runs ahead. It only serves to tell a torn
//! tail from lost data; a log without it is whole.

use std::io;

use crate::log::disk::Disk;
use crate::log::disk::DiskFile;
use crate::log::file::HWM;
use crate::log::frame::take;

const MAGIC: [u8; 8] = *b"chghwm1\n";
const SLOT_BYTES: usize = 52;
/// The two slots are in different sectors, so a torn write leaves the older one.
const SLOT_OFFSETS: [u64; 2] = [0, 512];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HighWater {
    pub(crate) log_id: u64,
    /// First position of the last segment.
    pub(crate) segment: u64,
    /// Durable bytes of that segment.
    pub(crate) offset: u64,
    /// Position of the next record.
    pub(crate) next: u64,
}

impl HighWater {
    fn encode(&self, generation: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.extend_from_slice(&MAGIC);
        for field in [generation, self.log_id, self.segment, self.offset, self.next] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let (covered, mut crc) = bytes.get(..SLOT_BYTES)?.split_at_checked(SLOT_BYTES - 4)?;
        let mut fields = covered;
        if take(&mut fields)? != MAGIC || crc32c::crc32c(covered) != u32::from_le_bytes(take(&mut crc)?) {
            return None;
        }
        let mut field = || Some(u64::from_le_bytes(take(&mut fields)?));
        let generation = field()?;
        let mark = Self { log_id: field()?, segment: field()?, offset: field()?, next: field()? };
        Some((generation, mark))
    }
}

/// The side file, open for the next mark.
#[derive(Debug)]
pub(crate) struct HwmFile<F> {
    /// None until the first mark is written.
    file: Option<F>,
    generation: u64,
}

/// The newest mark in the file, with its generation; `None` when there is no file, or nothing valid in it.
fn newest<F: DiskFile>(file: &F) -> io::Result<Option<(u64, HighWater)>> {
    let mut newest: Option<(u64, HighWater)> = None;
    for offset in SLOT_OFFSETS {
        let mut slot = [0; SLOT_BYTES];
        let read = file.read_at(&mut slot, offset)?;
        let found = HighWater::decode(slot.get(..read).unwrap_or_default());
        newest = newest.into_iter().chain(found).max_by_key(|(generation, _)| *generation);
    }
    Ok(newest)
}

/// Reads the mark and changes nothing.
pub(crate) fn read<D: Disk>(disk: &D) -> io::Result<Option<HighWater>> {
    match disk.open(HWM) {
        Ok(file) => Ok(newest(&file)?.map(|(_, mark)| mark)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl<F: DiskFile> HwmFile<F> {
    /// Opens the side file, if it is there, with the mark that is in it.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D) -> io::Result<(Self, Option<HighWater>)> {
        let file = match disk.open_writable(HWM) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { file: None, generation: 0 }, None));
            }
            Err(error) => return Err(error),
        };
        let found = newest(&file)?;
        Ok((Self { file: Some(file), generation: found.map_or(0, |(generation, _)| generation) }, found.map(|(_, mark)| mark)))
    }

    /// Writes a mark over the older of the two, without a sync.
    pub(crate) fn write<D: Disk<File = F>>(&mut self, disk: &D, mark: &HighWater) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(disk.create(HWM)?),
        };
        self.generation += 1;
        let [even, odd] = SLOT_OFFSETS;
        let offset = if self.generation.is_multiple_of(2) { even } else { odd };
        file.write_at(&mark.encode(self.generation), offset)
    }

    /// Makes the newest mark durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), DiskFile::sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::faulty::Call;
    use crate::log::faulty::Fault;
    use crate::log::faulty::FaultyDisk;

    fn mark(next: u64) -> HighWater {
        HighWater { log_id: 7, segment: 42, offset: 1 << 40, next }
    }

    #[test]
    fn a_mark_round_trips_and_any_flipped_bit_is_noticed() {
        let mut bytes = mark(99).encode(3);
        assert_eq!(bytes.len(), SLOT_BYTES);
        assert_eq!(HighWater::decode(&bytes), Some((3, mark(99))));
        assert_eq!(HighWater::decode(&bytes[1..]), None);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(HighWater::decode(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    /// A log that is opened without its mark takes lost data for a torn tail.
    #[test]
    fn a_mark_that_cannot_be_opened_is_not_taken_for_none() {
        let disk = FaultyDisk::new();
        HwmFile::open(&disk).unwrap().0.write(&disk, &mark(1)).unwrap();
        disk.fail_next(Call::Open, Fault::Before);
        assert!(HwmFile::open(&disk).is_err());
        disk.fail_next(Call::Open, Fault::Before);
        assert!(read(&disk).is_err());
        assert_eq!(read(&disk).unwrap(), Some(mark(1)));
    }

    #[test]
    fn marks_take_turns_and_a_torn_one_leaves_the_one_before() {
        let disk = FaultyDisk::new();
        assert_eq!(read(&disk).unwrap(), None);
        for next in 1..6 {
            // Each by another process, which goes on where the one before ended.
            let (mut file, found) = HwmFile::open(&disk).unwrap();
            assert_eq!(found, (next > 1).then(|| mark(next - 1)));
            let before = disk.bytes(HWM).unwrap_or_default();
            file.write(&disk, &mark(next)).unwrap();
            assert_eq!(read(&disk).unwrap(), Some(mark(next)));
            let after = disk.bytes(HWM).unwrap();
            let torn = disk.fork();
            torn.change(HWM, |bytes| {
                for (byte, (was, is)) in bytes.iter_mut().zip(before.iter().chain(std::iter::repeat(&0)).zip(&after)) {
                    *byte = if was == is { *was } else { !*is };
                }
            });
            assert_eq!(read(&torn).unwrap(), found);
        }
    }
}
