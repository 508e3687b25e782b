//! What is allocated, as the allocator rounds it: leaves of the account of the store's memory.

use crate::event::Details;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What an allocation of this size takes: sizes are in steps of 16 bytes, and from 64 on in four for each doubling.
pub(super) fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=64 => bytes.next_multiple_of(16),
        _ => {
            let step = 1 << ((bytes - 1).ilog2() - 2);
            bytes.next_multiple_of(step)
        }
    }
}

/// What a B-tree takes with so many entries of so many bytes. A node has room for 11, and 7 on the average, whether they come in
/// order or not; those above the leaves are a seventh of all.
pub(super) fn tree(entries: usize, bytes: usize) -> usize {
    let leaf = allocated(11 * bytes + 16);
    if entries <= 11 {
        return if entries == 0 { 0 } else { leaf };
    }
    let nodes = entries.div_ceil(7);
    nodes * leaf + nodes / 7 * allocated(11 * bytes + 16 + 12 * 8)
}

/// What so many numbers take in so many lists: one or two nothing, a few a vector, and very many about six bytes each.
pub(super) fn lists(numbers: usize, lists: usize) -> usize {
    match numbers.checked_div(lists).unwrap_or(0) {
        0..=2 if numbers <= lists * 2 => 0,
        0..=2 => (numbers - lists * 2) * 32,
        few @ 3..=512 => lists * (32 + allocated(few.next_power_of_two() * 4)),
        _ => numbers * 6,
    }
}

/// What details take.
pub(super) fn of_details(details: &Details) -> usize {
    let Details { name, description, source, parent_id, source_id, links, tags, buckets, environments, metadata, extensions } = details;
    let text = |text: &str| allocated(text.len());
    let texts = |texts: &[Box<str>]| allocated(size_of_val(texts)) + texts.iter().map(|one| text(one)).sum::<usize>();
    let single = [name, description, source, parent_id, source_id, metadata].into_iter().map(|one| text(one)).sum::<usize>();
    let links = allocated(size_of_val(&**links)) + links.iter().map(|(title, url)| text(title) + text(url)).sum::<usize>();
    let tags = allocated(size_of_val(&**tags)) + tags.iter().map(|(key, values)| text(key) + texts(values)).sum::<usize>();
    let extensions =
        allocated(size_of_val(&**extensions)) + extensions.iter().map(|extension| allocated(extension.bytes.len())).sum::<usize>();
    allocated(size_of::<Details>() + 16) + single + links + tags + texts(buckets) + texts(environments) + extensions
}

/// What several take together, each of which reports to it.
#[derive(Debug, Default)]
pub(super) struct Sum(AtomicUsize);

impl Sum {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One that took `before` takes `now`.
    pub(super) fn report(&self, before: usize, now: usize) {
        self.0.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_rounded_up_a_little() {
        for (bytes, expected) in
            [(0, 0), (1, 8), (8, 8), (9, 16), (40, 48), (64, 64), (65, 80), (128, 128), (129, 160), (257, 320), (1000, 1024), (4097, 5120)]
        {
            assert_eq!(allocated(bytes), expected, "{bytes}");
        }
    }
}
