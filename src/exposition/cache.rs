//! The blocks of one cluster's pages, kept while they are asked for again.
//!
//! Holds no truth: a page is the same without it, only slower. Whoever renders holds it, so that two scrapers who come at
//! once do not both compress. Pages filtered by `match[]` go past it.

use super::block;
use super::block::Block;
use super::block::BlockKey;
use super::block::Known;
use super::block::Room;
use super::block::Seed;
use super::entry::Entry;
use super::look::Shown;
use super::parallel::in_parallel;
use super::text::Family;
use crate::account::Full;
use crate::store::ClusterId;
use crate::store::Tenant;
use crate::time::Timestamp;
use hashbrown::HashMap;
use hashbrown::HashSet;
use std::sync::Arc;
use std::sync::OnceLock;

/// For how many renders a block is kept that none of them used.
const RENDERS_UNUSED_MAX: u64 = 4;

/// What was rendered of one cluster.
#[derive(Debug, Default)]
pub(super) struct Cache {
    seed: Seed,
    renders: u64,
    /// With the render that used it last.
    blocks: HashMap<BlockKey, (u64, Arc<Block>)>,
    edges: Option<(Arc<Shown>, Blocks)>,
    open: Option<Open>,
    /// When a page was last rendered.
    pub(super) used: Timestamp,
}

/// The lines of a family on a page.
pub(super) type Blocks = Arc<[Arc<Block>]>;

/// Entries that make a block, and the block once it is there.
type Piece<'a> = (BlockKey, &'a [Entry], OnceLock<Arc<Block>>);

#[derive(Debug)]
struct Open {
    version: u64,
    from: Timestamp,
    until: Timestamp,
    blocks: Blocks,
}

impl Cache {
    /// The edges that a page shows.
    pub(super) fn edges(&mut self, shown: &Arc<Shown>, tenant: &Tenant, room: Room<'_>) -> Result<Blocks, Full> {
        if let Some((_, blocks)) = self.edges.as_ref().filter(|(of, _)| Arc::ptr_eq(of, shown)) {
            return Ok(Arc::clone(blocks));
        }
        let blocks = self.blocks_of(Family::Edges, &shown.rows, tenant, room)?;
        self.edges = Some((Arc::clone(shown), Arc::clone(&blocks)));
        Ok(blocks)
    }

    /// What is open at `now`, oldest first.
    pub(super) fn open(&mut self, tenant: &Tenant, cluster: ClusterId, now: Timestamp, room: Room<'_>) -> Result<Blocks, Full> {
        let version = tenant.open_version();
        if let Some(open) = self.open.as_ref().filter(|open| open.version == version && (open.from..open.until).contains(&now)) {
            return Ok(Arc::clone(&open.blocks));
        }
        let until = tenant.next_change(now).unwrap_or(Timestamp::MAX);
        let blocks = self.blocks_of(Family::Open, &open_entries(tenant, cluster, now), tenant, room)?;
        self.open = Some(Open { version, from: now, until, blocks: Arc::clone(&blocks) });
        Ok(blocks)
    }

    fn blocks_of(&mut self, family: Family, entries: &[Entry], tenant: &Tenant, room: Room<'_>) -> Result<Blocks, Full> {
        let known = |entries| {
            let key = BlockKey::of(family, entries, self.seed);
            let block = self.blocks.get(&key).map(|(_, block)| OnceLock::from(Arc::clone(block)));
            (key, entries, block.unwrap_or_default())
        };
        let pieces: Vec<Piece<'_>> = block::cut(entries).map(known).collect();
        let missing: Vec<_> = pieces.iter().filter(|(.., block)| block.get().is_none()).collect();
        let kept: HashSet<*const Block> = pieces.iter().filter_map(|(.., block)| block.get()).map(Arc::as_ptr).collect();
        let before = if family == Family::Open {
            self.open.as_ref().map(|open| &open.blocks)
        } else {
            self.edges.as_ref().map(|(_, blocks)| blocks)
        };
        let mut labels = Known::new();
        for gone in before.into_iter().flat_map(|blocks| blocks.iter()).filter(|block| !kept.contains(&Arc::as_ptr(block))) {
            gone.make_known(&mut labels);
        }
        in_parallel(room.helpers, &missing, String::new, |scratch, (_, entries, block)| {
            if let Ok(made) = Block::of(family, entries, &labels, tenant, scratch, room) {
                drop(block.set(Arc::new(made)));
            }
        });
        let mut blocks = Vec::with_capacity(pieces.len());
        for (key, _, block) in pieces {
            let block = block.into_inner().ok_or_else(|| room.full())?;
            self.blocks.insert(key, (self.renders, Arc::clone(&block)));
            blocks.push(block);
        }
        Ok(blocks.into())
    }

    /// Forgets what is not on the last page of its kind.
    pub(super) fn forget_unused(&mut self) {
        self.blocks.retain(|_, (_, block)| Arc::strong_count(block) > 1);
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets what is neither on the last page of its kind nor was on another one lately.
    pub(super) fn end_render(&mut self, now: Timestamp) {
        self.used = now;
        let renders = self.renders;
        self.blocks.retain(|_, (used, block)| *used + RENDERS_UNUSED_MAX > renders || Arc::strong_count(block) > 1);
        self.renders += 1;
    }

    /// How many blocks it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }
}

/// The open gauges at `now`, oldest first as the store gives them.
pub(super) fn open_entries(tenant: &Tenant, cluster: ClusterId, now: Timestamp) -> Vec<Entry> {
    let mut entries = Vec::new();
    tenant.open_gauges(cluster, now, &mut |gauge| {
        entries.push(Entry { series: gauge.series, exposed: Timestamp::MIN, at: gauge.since, value: 1.0 });
    });
    entries
}
