//! One label name with its values: their texts, the series that have them, and what is forgotten of them.

use crate::store::number::Number as _;
use crate::store::number::SeriesNo;
use crate::store::number::Set;
use crate::store::number::ValueNo;
use crate::store::postings::Postings;
use crate::store::rows::Rows;
use crate::store::runs::Runs;
use crate::store::seed::Seed;
use crate::store::selector::MatchKind;
use crate::store::selector::Matcher;
use crate::store::sizes::Sum;
use crate::store::sizes::allocated;
use crate::store::table::Table;
use parking_lot::RwLock;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// The sorted runs are made anew when more than this many of their values are forgotten, and more than a quarter of those that
/// are left.
pub(super) const DEAD_MIN: usize = 1024;

/// So many values are looked at with each that comes or goes, when the sorted runs are made anew.
const TIDIED_AT_ONCE: usize = 8;

/// A label name of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct NameNo(pub(in crate::store) u16);

/// A label of a series: which name, which of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(2))]
pub(in crate::store) struct LabelRef {
    pub(in crate::store) name: NameNo,
    pub(in crate::store) value: ValueNo,
}

impl LabelRef {
    /// One that is yet to be set.
    pub(super) const NONE: Self = Self { name: NameNo(0), value: ValueNo::MIN };
}

impl Hash for LabelRef {
    /// As one number, which is several times faster than field by field.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (name, value) = (self.name, self.value);
        state.write_u64(u64::from(name.0) << 32 | u64::from(value.index()));
    }
}

/// One label name with its values.
#[derive(Debug)]
pub(in crate::store) struct LabelName {
    pub(in crate::store) number: NameNo,
    pub(in crate::store) name: Box<str>,
    /// How many hold references to values of it that may be on no series yet, or no longer.
    pub(super) pins: AtomicU32,
    /// It has no value, or some that are on no series, which are to be forgotten with the last pin.
    pub(super) loose: AtomicBool,
    /// Who brought it since the start; it says nothing of what is stored.
    pub(super) sender: OnceLock<u64>,
    pub(super) values: RwLock<Values>,
}

#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) rows: Rows<ValueNo, Value>,
    /// Forgotten values that the sorted runs still have, which are searched by their texts.
    dead: Vec<ValueNo>,
    /// The runs without them, as far as they are made.
    pub(super) anew: Option<Box<Anew>>,
    /// Forgotten values that the sorted runs have no more, and whose numbers are not used again yet.
    gone: Vec<ValueNo>,
    pub(super) by_text: Table<ValueNo>,
    pub(super) seed: Seed,
    pub(super) sorted: Runs,
    /// Values that were on no series while they could not be forgotten.
    idle: Vec<ValueNo>,
    /// How often a number came free, and may be another value's since.
    pub(super) vacated: u64,
    /// What the texts take, and what was said to take all.
    pub(super) text_bytes: usize,
    pub(super) reported: usize,
    /// The name is forgotten: this is not what its text means any more.
    pub(super) forgotten: bool,
}

/// Sorted runs that are made anew, a few values at a time.
#[derive(Debug, Default)]
pub(super) struct Anew {
    pub(super) sorted: Runs,
    /// The index of the row to be looked at next: values before it are in, if they were not forgotten then.
    next: usize,
    /// Forgotten values that are not in.
    gone: Vec<ValueNo>,
}

#[derive(Debug)]
pub(super) struct Value {
    pub(super) text: Box<str>,
    pub(super) series: Postings<SeriesNo>,
}

impl LabelName {
    /// A name without values.
    pub(in crate::store) fn new(number: NameNo, name: &str, seed: Seed) -> Self {
        let values = RwLock::new(Values { seed, ..Values::default() });
        Self { number, name: name.into(), pins: AtomicU32::new(0), loose: AtomicBool::new(true), sender: OnceLock::new(), values }
    }

    /// Nothing of it is forgotten until [`LabelName::unpin`]. To be called while its values are held for writing.
    pub(super) fn pin(&self) {
        self.pins.fetch_add(1, Ordering::SeqCst);
    }

    /// Forgets what could not be forgotten, if nobody else wants that. Says whether it is left without a value.
    pub(super) fn unpin(&self, sum: &Sum) -> bool {
        self.pins.fetch_sub(1, Ordering::SeqCst);
        if !self.loose.load(Ordering::SeqCst) {
            return false;
        }
        let mut values = self.values.write();
        values.sweep(self);
        values.report(sum);
        values.is_empty()
    }

    fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::SeqCst) > 0
    }

    /// Forgets that there is such a name, unless it has values or will have. Says whether it did.
    pub(in crate::store) fn forget(&self) -> bool {
        let mut values = self.values.write();
        let forgets = values.is_empty() && !self.is_pinned() && !values.forgotten;
        values.forgotten |= forgets;
        forgets
    }

    /// How many series a matcher of this label could select at most, for ordering matchers; cheap.
    pub(in crate::store) fn estimate(&self, matcher: &Matcher) -> u64 {
        match matcher.kind {
            MatchKind::Equal => self.values.read().postings(&matcher.value).map_or(0, Postings::len),
            _ => u64::MAX,
        }
    }

    /// How many values [`LabelName::matching`] would look at.
    pub(in crate::store) fn effort(&self, matcher: &Matcher) -> u64 {
        let values = self.values.read();
        let text = |number: ValueNo| values.rows.get(number).map_or("", |value| &*value.text);
        let looked_at = match matcher.kind {
            MatchKind::Regex(_) => values.sorted.count_prefix(&matcher.literal_prefix().0, text),
            _ => values.rows.len(),
        };
        looked_at as u64
    }

    /// Keeps in `set` the series that have this label with exactly this value.
    pub(in crate::store) fn intersect_equal(&self, value: &str, set: &mut Set<SeriesNo>) {
        match self.values.read().postings(value) {
            Some(postings) => postings.intersect(set),
            None => set.clear(),
        }
    }

    /// The series that have this label with exactly this value.
    pub(in crate::store) fn equal(&self, value: &str) -> Set<SeriesNo> {
        self.values.read().postings(value).map(Postings::to_set).unwrap_or_default()
    }
}

impl Values {
    /// Whether no value is on any series.
    pub(super) fn is_empty(&self) -> bool {
        self.by_text.is_empty()
    }

    pub(super) fn find(&self, hash: u64, text: &str) -> Option<ValueNo> {
        self.by_text.find(hash, |number| self.rows.get(number).is_some_and(|value| *value.text == *text))
    }

    pub(super) fn postings(&self, text: &str) -> Option<&Postings<SeriesNo>> {
        self.find(self.seed.hash(text), text).and_then(|number| self.rows.get(number)).map(|value| &value.series)
    }

    /// The number of a text of this label, which is pinned.
    pub(super) fn intern(&mut self, text: &str, label: &LabelName) -> Option<ValueNo> {
        let hash = self.seed.hash(text);
        if let Some(number) = self.find(hash, text) {
            return Some(number);
        }
        self.text_bytes += allocated(text.len());
        let number = self.rows.insert(Value { text: text.into(), series: Postings::None })?;
        let rows = &self.rows;
        let text_of = |number: ValueNo| rows.get(number).map_or("", |value| &*value.text);
        self.by_text.insert(hash, number);
        self.sorted.insert(number, text_of);
        if let Some(anew) = self.anew.as_mut().filter(|anew| (number.index() as usize) < anew.next) {
            anew.sorted.insert(number, text_of);
        }
        self.is_idle(number, label);
        self.tidy();
        Some(number)
    }

    pub(super) fn add(&mut self, number: ValueNo, series: SeriesNo) {
        if let Some(value) = self.rows.get_mut(number) {
            value.series.insert(series);
        }
    }

    pub(super) fn remove(&mut self, number: ValueNo, series: SeriesNo, label: &LabelName) {
        let Some(value) = self.rows.get_mut(number) else { return };
        value.series.remove(series);
        if value.series.is_empty() {
            self.is_idle(number, label);
            if !label.is_pinned() {
                self.sweep(label);
            }
        }
    }

    /// It is on no series, and may be wanted.
    fn is_idle(&mut self, number: ValueNo, label: &LabelName) {
        self.idle.push(number);
        label.loose.store(true, Ordering::SeqCst);
    }

    /// Forgets the values that are on no series, if none of them is wanted.
    fn sweep(&mut self, label: &LabelName) {
        if !label.is_pinned() {
            label.loose.store(false, Ordering::SeqCst);
            let mut idle = std::mem::take(&mut self.idle);
            for number in idle.drain(..) {
                self.forget(number);
            }
            self.idle = idle;
        }
    }

    /// Forgets a value if it is on no series.
    fn forget(&mut self, number: ValueNo) {
        let Some(value) = self.rows.get(number).filter(|value| value.series.is_empty()) else { return };
        let hash = self.seed.hash(&*value.text);
        if !self.by_text.remove(hash, |candidate| candidate == number) {
            // Forgotten already: it was idle twice.
            return;
        }
        // Its text stays until the sorted runs are made anew: they are searched by it.
        match self.anew.as_mut().filter(|anew| anew.next <= number.index() as usize) {
            Some(anew) => anew.gone.push(number),
            None => self.dead.push(number),
        }
        if self.anew.is_none() && self.dead.len() > DEAD_MIN && self.dead.len() * 4 > self.by_text.len() {
            self.anew = Some(Box::new(Anew { gone: std::mem::take(&mut self.dead), ..Anew::default() }));
        }
        self.tidy();
    }

    /// Goes on to free what is forgotten: a few values at a time, however many there are.
    fn tidy(&mut self) {
        for number in self.gone.drain(self.gone.len().saturating_sub(TIDIED_AT_ONCE)..) {
            if let Some(value) = self.rows.get_mut(number) {
                self.text_bytes -= allocated(std::mem::take(&mut value.text).len());
            }
            self.rows.vacate(number);
            self.vacated += 1;
        }
        let Some(mut anew) = self.anew.take() else { return };
        let text_of = |number: ValueNo| self.rows.get(number).map_or("", |value| &*value.text);
        for _ in 0..TIDIED_AT_ONCE {
            let number = u32::try_from(anew.next).ok().and_then(ValueNo::from_index);
            let Some(number) = number.filter(|_| anew.next < self.rows.len()) else {
                self.sorted = anew.sorted;
                // The one before is short by now, or empty.
                std::mem::swap(&mut self.gone, &mut anew.gone);
                self.gone.append(&mut anew.gone);
                return;
            };
            anew.next += 1;
            let text = text_of(number);
            if self.find(self.seed.hash(text), text) == Some(number) {
                anew.sorted.insert(number, text_of);
            }
        }
        self.anew = Some(anew);
    }
}
