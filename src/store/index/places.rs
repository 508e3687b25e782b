//! Where names stand in a list that grows, however many there are.

use std::collections::BTreeMap;

/// Beyond so many names they are looked up, not looked through.
const FEW_NAMES: usize = 32;

/// The places of names in a list that grows.
#[derive(Debug)]
pub(super) struct Places<K>(BTreeMap<K, usize>);

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Copy + Ord> Places<K> {
    /// Where `name` is in `list`, which is the list of last time, and maybe more.
    pub(super) fn find<T>(&mut self, name: K, list: &[T], name_of: impl Fn(&T) -> K) -> Option<usize> {
        if list.len() <= FEW_NAMES {
            return list.iter().position(|one| name_of(one) == name);
        }
        let known = self.0.len();
        self.0.extend(list.get(known..).unwrap_or_default().iter().map(name_of).zip(known..));
        self.0.get(&name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn to_find_a_name_costs_the_same_however_many_there_are() {
        let looked_at = Cell::new(0);
        let name_of = |name: &usize| {
            looked_at.set(looked_at.get() + 1);
            *name
        };
        let (mut places, mut names) = (Places::default(), Vec::new());
        for place in 0..4000 {
            let name = place * 7919 % 4000;
            assert_eq!(places.find(name, &names, name_of), None);
            names.push(name);
            assert_eq!(places.find(names[place / 2], &names, name_of), Some(place / 2));
        }
        assert!(looked_at.get() < 8000, "{} names looked at", looked_at.get());
    }
}
