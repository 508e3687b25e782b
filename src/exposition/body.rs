//! The bytes of a page: its families in order, as text or as one gzip member, made a piece at a time as they are asked for.
//!
//! A page that is being written holds blocks, which it shares with other pages, and one piece of its own.

use super::block::Block;
use super::block::Room;
use super::block::Written;
use super::cache::Blocks;
use super::gzip;
use super::gzip::Compressor;
use super::gzip::Part;
use super::parallel::in_parallel;
use super::text::Family;
use super::text::Format;
use crate::account::Full;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Text is made so much at a time, and a line more.
const PIECE_BYTES: usize = 32 << 10;

/// What is smaller is copied together.
const SMALL_BYTES: usize = 512;

/// A family on a page.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) family: Family,
    pub(super) blocks: Blocks,
}

/// The bytes of a page, a piece at a time.
#[derive(Clone, Debug)]
pub struct PageBody {
    format: Format,
    parts: VecDeque<BodyPart>,
    /// How much of the first part was given out, if that is lines.
    written: Written,
    left: usize,
}

#[derive(Clone, Debug)]
enum BodyPart {
    /// As it is.
    Bytes(Bytes),
    /// The lines of a block, as text.
    Lines(Family, Arc<Block>),
}

/// Compressed lines of a block, which lives as long as somebody has them.
struct Held {
    deflated: Bytes,
    _block: Arc<Block>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.deflated
    }
}

impl PageBody {
    /// The page as text.
    pub(super) fn plain(own: String, sections: &[Section], format: Format) -> Self {
        let text = BodyPart::Bytes;
        let mut parts = VecDeque::from([text(own_lines(own))]);
        for section in sections {
            parts.push_back(text(Bytes::from_static(section.family.head().as_bytes())));
            parts.extend(section.blocks.iter().map(|block| BodyPart::Lines(section.family, Arc::clone(block))));
        }
        parts.push_back(text(Bytes::from_static(format.end().as_bytes())));
        Self::of_parts(parts, format)
    }

    /// The page as one gzip member. Only blocks that were not compressed before are compressed.
    pub(super) fn zipped(own: String, sections: &[Section], format: Format, room: Room<'_>) -> Result<Self, Full> {
        let all = sections.iter().flat_map(|section| section.blocks.iter().map(|block| (section.family, &**block)));
        let missing: Vec<(Family, &Block)> = all.filter(|(family, block)| !block.is_compressed(*family, format)).collect();
        let workspace = || (Compressor::default(), Vec::new());
        in_parallel(room.helpers, &missing, workspace, |(compressor, scratch), (family, block)| {
            // Where there was no room there may be some below, or that says so.
            let (Ok(_) | Err(_)) = block.compressed(*family, format, compressor, scratch, room);
        });
        let (mut compressor, mut scratch) = workspace();
        let mut member = vec![compressor.compress(&own_lines(own))];
        for section in sections {
            member.push(compressor.compress(section.family.head().as_bytes()));
            for block in section.blocks.iter() {
                let Part { deflated, checksum } = block.compressed(section.family, format, &mut compressor, &mut scratch, room)?.clone();
                let held = Held { deflated, _block: Arc::clone(block) };
                member.push(Part { deflated: Bytes::from_owner(held), checksum });
            }
        }
        member.push(compressor.compress(format.end().as_bytes()));
        let (head, tail) = gzip::frame(&member);
        let parts = std::iter::once(head).chain(member.into_iter().map(|part| part.deflated)).chain([tail]);
        Ok(Self::of_parts(parts.map(BodyPart::Bytes).collect(), format))
    }

    fn of_parts(parts: VecDeque<BodyPart>, format: Format) -> Self {
        let len = |part: &BodyPart| match part {
            BodyPart::Bytes(bytes) => bytes.len(),
            BodyPart::Lines(family, block) => block.text_len(*family, format),
        };
        let left = parts.iter().map(len).sum();
        Self { format, parts, written: Written::default(), left }
    }

    /// How many bytes are still to come.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// All that is still to come, as one.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.left);
        self.clone().for_each(|piece| all.extend_from_slice(&piece));
        all
    }
}

impl Iterator for PageBody {
    type Item = Bytes;

    /// The next piece: bytes that are there, or text of so many lines as make one.
    fn next(&mut self) -> Option<Bytes> {
        let mut text = Vec::new();
        while text.len() < PIECE_BYTES {
            match self.parts.front() {
                Some(BodyPart::Lines(family, block)) => {
                    let most = self.left.min(PIECE_BYTES + PIECE_BYTES / 8);
                    text.reserve_exact(most.saturating_sub(text.len()));
                    if block.push_lines(&mut text, *family, self.format, &mut self.written, PIECE_BYTES) {
                        continue;
                    }
                }
                Some(BodyPart::Bytes(bytes)) if bytes.len() < SMALL_BYTES => text.extend_from_slice(bytes),
                Some(BodyPart::Bytes(bytes)) if text.is_empty() => {
                    let bytes = bytes.clone();
                    self.parts.pop_front();
                    self.left = self.left.saturating_sub(bytes.len());
                    return Some(bytes);
                }
                Some(BodyPart::Bytes(_)) | None => break,
            }
            self.parts.pop_front();
            self.written = Written::default();
        }
        self.left = self.left.saturating_sub(text.len());
        (!text.is_empty()).then(|| text.into())
    }
}

/// Our own metrics; what follows begins on a line of its own.
fn own_lines(mut own: String) -> Bytes {
    if !own.is_empty() && !own.ends_with('\n') {
        own.push('\n');
    }
    own.into()
}
