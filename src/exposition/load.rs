//! How many places begin in each stretch of a schedule's time, so that where nothing is anywhere near full nobody counts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Slots of a window of the pace, and of a stretch.
const WINDOW: u32 = 21;

/// Places by stretches of slots.
#[derive(Debug)]
pub(super) struct Load {
    /// The least that may begin within a window.
    least: u32,
    stretches: BTreeMap<i64, u32>,
    /// Those that have so many that a window over one of them may be full.
    heavy: BTreeSet<i64>,
}

impl Load {
    /// Nothing yet. `least` is what everybody may take of a window.
    pub(super) fn new(least: u32) -> Self {
        Self { least, stretches: BTreeMap::new(), heavy: BTreeSet::new() }
    }

    /// So many more places begin in a slot.
    pub(super) fn add(&mut self, slot: i64, by: i32) {
        let stretch = stretch_of(slot);
        let load = self.stretches.entry(stretch).or_default();
        *load = load.saturating_add_signed(by);
        // A window lies in two stretches at most, and what is settled anew begins one place in each of its slots at most.
        let is_heavy = |load: u32| load > 0 && load.saturating_add(WINDOW).saturating_mul(2) >= self.least;
        match (is_heavy(load.saturating_add_signed(-by)), is_heavy(*load)) {
            (false, true) => drop(self.heavy.insert(stretch)),
            (true, false) => drop(self.heavy.remove(&stretch)),
            (false, false) | (true, true) => {}
        }
        if *load == 0 {
            self.stretches.remove(&stretch);
        }
    }

    /// Whether no window over this slot is anywhere near full, whatever one queue settles anew.
    pub(super) fn is_light(&self, slot: i64) -> bool {
        // A window over the slot lies within its stretch and the neighbours of that, in two of them at most.
        let stretch = stretch_of(slot);
        let heavy = || self.heavy.range(stretch.saturating_sub(1)..=stretch.saturating_add(1)).next();
        self.least > 2 * WINDOW && heavy().is_none()
    }

    /// It is as these slots say, each with how many places begin in it.
    #[cfg(test)]
    pub(super) fn check(&self, slots: impl Iterator<Item = (i64, u32)>) {
        let mut stretches: BTreeMap<i64, u32> = BTreeMap::new();
        for (at, taken) in slots.filter(|(_, taken)| *taken > 0) {
            *stretches.entry(stretch_of(at)).or_default() += taken;
        }
        assert_eq!(self.stretches, stretches);
        let heavy = stretches.iter().filter(|(_, load)| (**load + WINDOW) * 2 >= self.least);
        assert_eq!(self.heavy, heavy.map(|(at, _)| *at).collect());
    }
}

fn stretch_of(slot: i64) -> i64 {
    slot.div_euclid(i64::from(WINDOW))
}
