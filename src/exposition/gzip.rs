//! One gzip member from parts that were compressed apart, so that only what changed is compressed again.
//!
//! Each part is raw deflate that refers to nothing before it and ends on a byte with a flush; the member joins them and
//! closes with an empty block. Readers that stop after the first member, as curl and browsers do, get everything.

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::Compress;
use flate2::Compression;
use flate2::FlushCompress;
use flate2::Status;

/// Fast, and within a fifth of what the slow levels reach on text like ours.
const LEVEL: u32 = 2;
/// Shorter texts are not worth the set-up of a compressor.
const STORED_MAX: usize = 512;

/// A compressed part, or one stored as it is.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) deflated: Bytes,
    pub(super) checksum: Hasher,
}

/// Compresses parts one after the other with the same memory.
#[derive(Debug, Default)]
pub(super) struct Compressor(Option<Compress>);

impl Compressor {
    /// A part of its own.
    pub(super) fn compress(&mut self, text: &[u8]) -> Part {
        let mut checksum = Hasher::new();
        checksum.update(text);
        let deflated = if text.len() <= STORED_MAX { stored(text) } else { self.deflate(text).unwrap_or_else(|| stored(text)) };
        Part { deflated: deflated.into(), checksum }
    }

    /// `None` when the compressor refuses, which it has no reason to.
    fn deflate(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let compress = self.0.get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        compress.reset();
        let mut deflated = Vec::with_capacity(text.len() / 6 + 1024);
        loop {
            let taken = usize::try_from(compress.total_in()).ok()?;
            let status = compress.compress_vec(text.get(taken..)?, &mut deflated, FlushCompress::Sync).ok()?;
            // A flush is complete when it left room to write more.
            if usize::try_from(compress.total_in()).ok()? == text.len() && deflated.len() < deflated.capacity() {
                deflated.shrink_to_fit();
                return Some(deflated);
            }
            if status == Status::StreamEnd {
                return None;
            }
            // That is twice as much at least.
            deflated.reserve(1);
        }
    }
}

/// Deflate blocks that hold `text` as it is, and an empty one after it, as a flush leaves it.
fn stored(text: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(text.len() + text.len() / 8192 + 16);
    for block in text.chunks(usize::from(u16::MAX)).chain([&[][..]]) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        deflated.push(0);
        deflated.extend_from_slice(&length.to_le_bytes());
        deflated.extend_from_slice(&(!length).to_le_bytes());
        deflated.extend_from_slice(block);
    }
    deflated
}

/// What stands before and after these parts in a member that inflates to their texts, one after the other.
pub(super) fn frame(parts: &[Part]) -> (Bytes, Bytes) {
    let mut checksum = Hasher::new();
    for part in parts {
        checksum.combine(&part.checksum);
    }
    let mut tail = Vec::with_capacity(10);
    let [a, b, c, d, ..] = checksum.total_len().to_le_bytes();
    tail.extend_from_slice(&[3, 0]);
    tail.extend_from_slice(&checksum.finalize().to_le_bytes());
    tail.extend_from_slice(&[a, b, c, d]);
    (Bytes::from_static(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]), tail.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::bufread::GzDecoder;
    use proptest::prelude::*;
    use std::io::Read;
    use xxhash_rust::xxh3::xxh3_64;

    fn check(texts: &[Vec<u8>]) {
        let mut compressor = Compressor::default();
        let parts: Vec<Part> = texts.iter().map(|text| compressor.compress(text)).collect();
        let (head, tail) = frame(&parts);
        let deflated = parts.iter().map(|part| &part.deflated);
        let member: Vec<u8> = std::iter::once(&head).chain(deflated).chain([&tail]).flatten().copied().collect();
        let (mut decoder, mut inflated) = (GzDecoder::new(&member[..]), Vec::new());
        decoder.read_to_end(&mut inflated).unwrap();
        assert!(inflated == texts.concat(), "{} parts inflate to something else", texts.len());
        assert!(decoder.into_inner().is_empty(), "something follows the member");
    }

    #[test]
    fn nothing_is_a_member() {
        check(&[]);
        check(&[vec![], vec![]]);
    }

    #[test]
    fn large_and_incompressible_texts() {
        check(&[noise(300_000).collect(), vec![b'a'; 5_000_000], b"last9_change_events{}".repeat(10_000), stored(&vec![7; 200_000])]);
    }

    /// Bytes without a pattern.
    fn noise(count: u64) -> impl Iterator<Item = u8> {
        (0..count).map(|number| (xxh3_64(&number.to_le_bytes()) & 0xff) as u8)
    }

    /// More than is set aside for it at first, and less than the text all the same.
    #[test]
    fn what_compresses_badly_is_compressed() {
        let digits: Vec<u8> = noise(300_000).map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect();
        let part = Compressor::default().compress(&digits);
        assert!(part.deflated.len() * 10 < digits.len() * 7, "{} bytes of {}", part.deflated.len(), digits.len());
        assert!(part.deflated.len() > digits.len() / 6 + 1024, "{} bytes need no more room", part.deflated.len());
    }

    proptest! {
        #[test]
        fn parts_inflate_to_their_texts(texts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2000),
            "[ab]{0,3000}".prop_map(String::into_bytes),
        ], 0..6)) {
            check(&texts);
        }
    }
}
