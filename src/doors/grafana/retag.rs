//! Other tags for an event. Those that were shown and are sent again stay what they are in the event, whatever their text could
//! be read as; those that are not sent again go; and only what is new is asked what it means.

use std::collections::HashSet;

use crate::doors::grafana::shown::Shown;
use crate::doors::grafana::shown::TYPE;
use crate::doors::grafana::shown::beside;
use crate::doors::grafana::wire::EVENT_NAME_DEFAULT;
use crate::doors::grafana::wire::Written;
use crate::labels::EVENT_NAME;
use crate::mapping::tags;
use crate::mapping::tags::EventNames;
use crate::mapping::tags::Resolved;
use crate::mapping::tags::Tags;
use crate::mapping::whole::Whole;

/// Gives the event these tags, and the name that they say. What is made up of its other fields and its labels is no tag of its
/// own, and does not go with one either.
pub(super) fn retag(shown: &Shown<'_>, whole: &mut Whole, written: &mut Written, given: Vec<Box<str>>, names: &EventNames) {
    let by_hand = shown.written_tags().is_some();
    let was = shown.tags();
    let change = Change { was: &was, given: &given, names, beside: &beside(shown.event) };
    (whole.event_name, whole.details.tags) = change.made(&whole.event_name, &whole.details.tags, by_hand, written.created);
    written.set_tags(given, &whole.event_name, &whole.details.tags);
}

/// Tags as they were shown, and as they are to be.
struct Change<'a> {
    was: &'a [Box<str>],
    given: &'a [Box<str>],
    names: &'a EventNames,
    /// Tags that are shown, and are no tags of the event.
    beside: &'a Tags,
}

impl Change<'_> {
    /// The name and the tags of the event that had these; `by_hand` where what was shown had been written here, as it was shown.
    fn made(&self, name: &str, own: &Tags, by_hand: bool, created: bool) -> (Box<str>, Tags) {
        let (before, after) = (self.resolve(self.was), self.resolve(self.given));
        let name_after = self.name(name, &before, &after, by_hand, created);
        // All that it has came of what was written here: it is what the new words come to.
        let is_written = by_hand && self.without_beside(before.tags.clone()) == *own;
        let tags = if is_written { self.without_beside(after.tags) } else { self.merged(name, &name_after, own, &before, &after) };
        (name_after, tags)
    }

    fn resolve<'t>(&self, tags: impl IntoIterator<Item = &'t Box<str>>) -> Resolved {
        tags::resolve(tags.into_iter().map(|tag| &**tag), self.names)
    }

    /// What is sent and was not shown.
    fn added(&self) -> impl Iterator<Item = &Box<str>> {
        let was = pairs(self.was);
        self.given.iter().filter(move |tag| !was.contains(&pair(tag)))
    }

    /// The name stays where the same is said of it as before; else it is by what is new, and where this door said it by all.
    fn name(&self, name: &str, before: &Resolved, after: &Resolved, by_hand: bool, created: bool) -> Box<str> {
        if before.event_name == after.event_name {
            return name.into();
        }
        let is_said_here = created || (by_hand && before.event_name.as_deref() == Some(name));
        let said = if is_said_here { after.event_name.clone() } else { self.resolve(self.added()).event_name };
        said.unwrap_or_else(|| if created { EVENT_NAME_DEFAULT.into() } else { name.into() })
    }

    /// The tags that the event had, without those that are no longer sent, and what is new.
    fn merged(&self, name: &str, name_after: &str, own: &Tags, before: &Resolved, after: &Resolved) -> Tags {
        let (was, given) = (pairs(self.was), pairs(self.given));
        let stays = |key: &str, value: &str| {
            let text = tags::text(key, value);
            match pair(&text) {
                shown if was.contains(&shown) => given.contains(&shown),
                // It is shown as the name.
                _ if key == TYPE && value == name => name == name_after,
                // Not shown: what was made of other tags goes with them.
                _ => !has(&before.tags, key, value) || has(&after.tags, key, value),
            }
        };
        let kept = own.iter().filter_map(|(key, values)| {
            let left: Vec<_> = values.iter().filter(|value| stays(key, value)).cloned().collect();
            let is_left = if values.is_empty() { stays(key, "") } else { !left.is_empty() };
            is_left.then(|| (key.clone(), left))
        });
        let kept: Tags = kept.collect();
        let mut tags = kept.clone();
        // A second name is a tag.
        let its_name: Box<str> = tags::text(EVENT_NAME, name_after).into();
        let added = self.resolve(Some(&its_name).filter(|_| name == name_after).into_iter().chain(self.added()));
        let is_type_new = added.tags.iter().any(|(key, _)| **key == *TYPE);
        for (key, values) in self.without_beside(added.tags) {
            let is_key_new = has(&after.tags, &key, "") && !has(&kept, &key, "");
            if values.is_empty() {
                tags::add(&mut tags, &key, "");
            }
            let values = values.iter().filter(|value| is_key_new || has(&after.tags, &key, value));
            tags::add_each(&mut tags, &key, values);
        }
        if is_type_new || name != name_after {
            lead_by_name(&mut tags, name_after);
        }
        tags
    }

    fn without_beside(&self, tags: Tags) -> Tags {
        tags.into_iter().filter_map(|(key, values)| without(self.beside, key, values)).collect()
    }
}

fn without(beside: &Tags, key: Box<str>, values: Vec<Box<str>>) -> Option<(Box<str>, Vec<Box<str>>)> {
    let Some((_, known)) = beside.iter().find(|(known, _)| *known == key) else { return Some((key, values)) };
    let left: Vec<_> = values.into_iter().filter(|value| !known.contains(value)).collect();
    (!left.is_empty()).then_some((key, left))
}

/// A tag as it is compared.
fn pair(tag: &str) -> (&str, &str) {
    tags::split(tag).unwrap_or((tag, ""))
}

fn pairs(tags: &[Box<str>]) -> HashSet<(&str, &str)> {
    tags.iter().map(|tag| pair(tag)).collect()
}

/// Whether there is such a tag; with an empty value, whether there is such a key.
fn has(tags: &Tags, key: &str, value: &str) -> bool {
    let mut values = tags.iter().filter(|(known, _)| **known == *key).map(|(_, values)| values);
    values.any(|values| value.is_empty() || values.iter().any(|known| **known == *value))
}

/// Other doors read the name of an event from its first `type`.
fn lead_by_name(tags: &mut Tags, name: &str) {
    let Some((_, types)) = tags.iter_mut().find(|(key, values)| **key == *TYPE && !values.is_empty()) else { return };
    if types.first().is_none_or(|first| **first != *name) {
        types.retain(|known| **known != *name);
        types.insert(0, name.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::grafana::shown::texts;
    use proptest::prelude::*;

    const NONE: &Tags = &Tags::new();

    fn boxed<T: AsRef<str>>(texts: &[T]) -> Vec<Box<str>> {
        texts.iter().map(|text| text.as_ref().into()).collect()
    }

    fn own(tags: &[(&str, &[&str])]) -> Tags {
        tags.iter().map(|(key, values)| ((*key).into(), boxed(values))).collect()
    }

    fn made(name: &str, own: &Tags, was: Option<&[Box<str>]>, given: &[Box<str>], created: bool) -> (Box<str>, Tags) {
        let composed = texts(name, own, NONE);
        let names = EventNames::default();
        let change = Change { was: was.unwrap_or(&composed), given, names: &names, beside: NONE };
        change.made(name, own, was.is_some(), created)
    }

    /// The tags of another door's event `t`, what is sent, and what it comes to.
    #[track_caller]
    fn check(tags: &[(&str, &[&str])], given: &[&str], name: &str, expected: &[(&str, &[&str])]) {
        assert_eq!(made("t", &own(tags), None, &boxed(given), false), (name.into(), own(expected)), "{tags:?} {given:?}");
    }

    #[test]
    fn what_is_sent_again_stays_what_it_is() {
        let odd: &[(&str, &[&str])] =
            &[("type", &["t"]), ("a:b", &["c"]), ("k", &[" v ", "v", "v"]), ("App", &["q"]), ("on", &[]), ("", &["x"])];
        let shown = ["event_name:t", "a:b:c", "k: v ", "k:v", "App:q", "on", ":x"];
        assert_eq!(texts("t", &own(odd), NONE), boxed(&shown));
        let with = |more: &[&'static str]| [&shown[..], more].concat();
        check(odd, &with(&["new:1"]), "t", &[odd, &[("new", &["1"])]].concat());
        check(odd, &with(&["deploy", "event:u"]), "t", &[odd, &[("deploy", &[]), ("event", &["u"])]].concat());
        check(
            odd,
            &["a: b:c", "event_name:t", "k:v", "on "],
            "t",
            &[("type", &["t"]), ("a:b", &["c"]), ("k", &[" v ", "v", "v"]), ("on", &[])],
        );
        check(odd, &["x"], "t", &[("type", &["t"]), ("x", &[])]);
        check(odd, &["event_name:u"], "u", &[]);
        check(&[("k", &["", "v"])], &["event_name:t"], "t", &[]);
        check(&[("k", &["", "v"])], &["event_name:t", "k:v", "k:w"], "t", &[("k", &["", "v", "w"])]);
    }

    #[test]
    fn what_is_new_is_asked_what_it_means() {
        check(&[("k", &["v"])], &["event_name:t", "k:v", "svc:s"], "t", &[("k", &["v"]), ("svc", &["s"]), ("service_name", &["s"])]);
        check(&[("service", &["a"])], &["event_name:t", "service:a", "svc:s"], "t", &[("service", &["a"]), ("svc", &["s"])]);
        check(&[("app", &["a"])], &["event_name:t", "app:a", "svc:s"], "t", &[("app", &["a"]), ("svc", &["s"]), ("service_name", &["s"])]);
        check(&[("event", &["e"]), ("deploy", &[])], &["event:e", "deploy"], "t", &[("event", &["e"]), ("deploy", &[])]);
        check(&[("event", &["e"])], &["event:e", "outage"], "incident", &[("event", &["e"]), ("outage", &[])]);
        check(&[("type", &["t", "more"])], &["type:more", "event_name:u"], "u", &[("type", &["u", "more"])]);
        check(&[("type", &["t"])], &["event_name:t", "type:more"], "t", &[("type", &["t", "more"])]);
    }

    #[test]
    fn what_this_door_wrote_it_may_say_in_other_words() {
        #[track_caller]
        fn check(was: &[&str], own_too: &[(&str, &[&str])], given: &[&str], name: &str, expected: &[(&str, &[&str])]) {
            let (was, given) = (boxed(was), boxed(given));
            let resolved = tags::resolve(was.iter().map(|tag| &**tag), &EventNames::default());
            let before = [resolved.tags, own(own_too)].concat();
            let before_name = resolved.event_name.unwrap_or_else(|| EVENT_NAME_DEFAULT.into());
            assert_eq!(made(&before_name, &before, Some(&was), &given, true), (name.into(), own(expected)), "{was:?} {given:?}");
        }
        check(&["deploy", "app:a"], &[], &["outage"], "incident", &[("outage", &[])]);
        check(&["deploy", "outage"], &[], &["outage"], "incident", &[("outage", &[])]);
        check(&["deploy"], &[], &[], "annotation", &[]);
        check(&["svc:s"], &[], &["svc:s", "app:a"], "annotation", &[("svc", &["s"]), ("app", &["a"]), ("service_name", &["a"])]);
        // What was made of a tag goes with it, and what another door gave it beside stays.
        check(&["svc:s", "x"], &[("a:b", &["c"])], &["x"], "annotation", &[("x", &[]), ("a:b", &["c"])]);
        check(
            &["svc:s"],
            &[("a:b", &["c"])],
            &["svc:s", "x"],
            "annotation",
            &[("svc", &["s"]), ("service_name", &["s"]), ("a:b", &["c"]), ("x", &[])],
        );
    }

    fn any_own() -> impl Strategy<Value = Tags> {
        let value = "[ ab:]{1,4}|done|t";
        prop::collection::btree_map(
            "[ ab:]{0,3}|type|App|svc|event|event_name|deploy|state|failed",
            prop::collection::vec(value, 0..3),
            0..5,
        )
        .prop_map(|tags| tags.iter().map(|(key, values)| (key.as_str().into(), boxed(values))).collect())
    }

    /// Whether the first tags are these, in their order, each with its values first.
    fn begins_with(tags: &Tags, first: &Tags) -> bool {
        tags.len() >= first.len() && first.iter().zip(tags).all(|((key, values), (known, all))| key == known && all.starts_with(values))
    }

    proptest! {
        /// Whatever their keys and values, and however often.
        #[test]
        fn tags_of_another_door_stay_while_others_are_added(own in any_own(), new in prop::collection::vec("n[ab]|n:[ab]|svc:n|outage|failed|event:n", 1..5)) {
            let mut given = texts("t", &own, NONE);
            let mut known = (Box::<str>::from("t"), own.clone());
            let mut was: Option<Vec<Box<str>>> = None;
            for tag in new {
                given.push(tag.as_str().into());
                known = made(&known.0, &known.1, was.as_deref(), &given, false);
                prop_assert_eq!(&*known.0, "t");
                prop_assert!(begins_with(&known.1, &own), "{:?}: {:?}", given, known.1);
                was = Some(given.clone());
            }
        }

        /// Those that are left out go, and no others: what is not shown beside the name stays.
        #[test]
        fn tags_that_are_not_sent_go(own in any_own(), sent in prop::collection::vec(any::<bool>(), 12)) {
            let shown = texts("t", &own, NONE);
            let given: Vec<Box<str>> = shown.iter().zip(&sent).filter(|(_, sent)| **sent).map(|(tag, _)| tag.clone()).collect();
            let is_left = |key: &str, value: &str| {
                given.iter().any(|tag| pair(tag) == pair(&tags::text(key, value))) || (key == "type" && value == "t") || (key == EVENT_NAME && value.is_empty())
            };
            let expected = own.iter().filter_map(|(key, values)| {
                let left: Vec<Box<str>> = values.iter().filter(|value| is_left(key, value)).cloned().collect();
                (!left.is_empty() || (values.is_empty() && is_left(key, ""))).then(|| (key.clone(), left))
            });
            prop_assert_eq!(made("t", &own, None, &given, false), ("t".into(), expected.collect::<Tags>()));
        }
    }
}
