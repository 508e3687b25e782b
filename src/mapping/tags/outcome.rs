//! Two lists of tags, of the beginning of something and of its end: whether they are of the same, and what both say together.

use crate::mapping::tags::tag::Tags;
use crate::mapping::tags::tag::split;
use crate::mapping::tags::tag::word;
use crate::mapping::tags::words::STATE_KEYS;
use crate::mapping::tags::words::Said;
use crate::words::outcome::Rank;
use std::collections::BTreeSet;

/// Whether both have the same tags, but for those that say which end it is or how it ended.
pub fn is_same_but_for_outcome(one: &Tags, other: &Tags) -> bool {
    lasting(one) == lasting(other)
}

/// The tags of both: those of the beginning, then what only the end says. Where both say how it stands under one key, the end is
/// right.
pub fn joined(begun: &[Box<str>], ended: &[Box<str>]) -> Vec<Box<str>> {
    let mut tags = begun.to_vec();
    for tag in ended {
        let Some((key, value)) = split(tag) else { continue };
        if tags.iter().any(|known| split(known) == Some((key, value))) {
            continue;
        }
        let same_key = tags.iter().position(|known| split(known).is_some_and(|(other, value)| other == key && !value.is_empty()));
        match same_key.filter(|_| !value.is_empty() && says_outcome(&word(key))) {
            Some(place) => tags.splice(place..=place, [tag.clone()]).for_each(drop),
            None => tags.push(tag.clone()),
        }
    }
    tags
}

fn says_outcome(key: &str) -> bool {
    STATE_KEYS.contains(&key) || Rank::of(key).is_some()
}

/// The tags that say neither which end it is nor how it ended: keys and values, no value where there is none.
pub fn lasting(tags: &Tags) -> BTreeSet<(&str, &str)> {
    let lasting = tags.iter().filter(|(key, values)| {
        let key = word(key);
        !(says_outcome(&key) || values.is_empty() && Said::default().hear(&key))
    });
    lasting
        .flat_map(|(key, values)| {
            let bare = values.is_empty().then_some((&**key, ""));
            bare.into_iter().chain(values.iter().map(move |value| (&**key, &**value)))
        })
        .collect()
}
