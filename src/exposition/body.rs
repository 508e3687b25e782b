//! The bytes of a page: its families in order, as text or as one gzip member.

use super::block::Block;
use super::cache::Blocks;
use super::gzip;
use super::gzip::Compressor;
use super::gzip::Part;
use super::text::Family;
use super::text::Format;
use std::num::NonZero;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Most threads that work on one page.
const THREADS_MAX: usize = 4;
/// Fewer pieces of work than this are not worth another thread.
const PIECES_PER_THREAD: usize = 4;

/// A family on a page.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) family: Family,
    pub(super) blocks: Blocks,
}

/// The page as text.
pub(super) fn plain(own: &str, sections: &[Section], format: Format) -> Vec<u8> {
    let size =
        |section: &Section| section.blocks.iter().map(|block| block.size_max(section.family)).sum::<usize>() + section.family.head().len();
    let mut text = Vec::with_capacity(own.len() + sections.iter().map(size).sum::<usize>() + format.end().len() + 1);
    push_own(&mut text, own);
    for section in sections {
        text.extend_from_slice(section.family.head().as_bytes());
        for block in section.blocks.iter() {
            block.push_lines(&mut text, section.family, format);
        }
    }
    text.extend_from_slice(format.end().as_bytes());
    text
}

/// The page as one gzip member. Only blocks that were not compressed before are compressed.
pub(super) fn zipped(own: &str, sections: &[Section], format: Format) -> Vec<u8> {
    let all = sections.iter().flat_map(|section| section.blocks.iter().map(|block| (section.family, &**block)));
    let missing: Vec<(Family, &Block)> = all.filter(|(family, block)| !block.is_compressed(*family, format)).collect();
    let workspace = || (Compressor::default(), Vec::new());
    in_parallel(&missing, workspace, |(compressor, scratch), (family, block)| {
        block.compressed(*family, format, compressor, scratch);
    });
    let (mut compressor, mut scratch) = workspace();
    push_own(&mut scratch, own);
    let mut parts: Vec<Part> = vec![compressor.compress(&scratch)];
    for section in sections {
        parts.push(compressor.compress(section.family.head().as_bytes()));
        let blocks = section.blocks.iter();
        parts.extend(blocks.filter_map(|block| block.compressed(section.family, format, &mut compressor, &mut scratch)).cloned());
    }
    parts.push(compressor.compress(format.end().as_bytes()));
    gzip::join(&parts)
}

fn push_own(text: &mut Vec<u8>, own: &str) {
    text.extend_from_slice(own.as_bytes());
    if !own.is_empty() && !own.ends_with('\n') {
        text.push(b'\n');
    }
}

/// Does all the work, on a few threads when there is much; each thread has a workspace of its own.
pub(super) fn in_parallel<T: Sync, W>(pieces: &[T], workspace: impl Fn() -> W + Sync, work: impl Fn(&mut W, &T) + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(THREADS_MAX).min(pieces.len() / PIECES_PER_THREAD).max(1);
    let next = AtomicUsize::new(0);
    let run = || {
        let mut own = workspace();
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut own, piece);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without another thread this one does it all.
            drop(std::thread::Builder::new().name("page".into()).spawn_scoped(scope, run));
        }
        run();
    });
}
