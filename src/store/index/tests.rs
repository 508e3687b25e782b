use super::name::DEAD_MIN;
use super::*;
use crate::labels::LabelSet;
use crate::store::number::Number as _;
use crate::store::number::ValueNo;
use crate::store::postings::Postings;
use crate::store::steps;

fn series(place: u32) -> SeriesNo {
    SeriesNo::from_index(place).unwrap()
}

#[test]
fn values_that_no_series_has_any_more_make_room() {
    let (mut values, label) = (Values::default(), LabelName::new(NameNo(0), "label", Seed::default()));
    let add = |values: &mut Values, text: &str, number: u32| {
        let value = values.intern(text, &label).unwrap();
        values.add(value, series(number));
        value
    };
    for number in 0..10 {
        add(&mut values, &format!("stays {number}"), number);
    }
    for round in 0..50 {
        // Very many once, and some again and again.
        let count = if round == 0 { 5000 } else { 100 };
        let numbers: Vec<ValueNo> = (11..=count).map(|number| add(&mut values, &format!("{round}-{number}"), number)).collect();
        for (value, number) in numbers.into_iter().zip(11..) {
            values.remove(value, series(number), &label);
        }
        let (rows, text) = (&values.rows, |number| values.rows.get(number).map_or("", |value| &*value.text));
        assert!(rows.len() + values.sorted.count_prefix("", text) < 5000 + 4 * (100 + DEAD_MIN), "{} in round {round}", rows.len());
        assert_eq!((values.by_text.len(), values.postings("stays 7").map(Postings::len)), (10, Some(1)));
    }
}

#[test]
fn to_forget_a_value_costs_the_same_however_many_there_are() {
    const COUNT: u32 = 40_000;
    let (mut values, label) = (Values::default(), LabelName::new(NameNo(0), "label", Seed::default()));
    let numbers: Vec<ValueNo> = (0..COUNT).map(|number| values.intern(&number.to_string(), &label).unwrap()).collect();
    for (&value, number) in numbers.iter().zip(0..) {
        values.add(value, series(number));
    }
    let steps = steps::of(|| {
        for (&value, number) in numbers.iter().zip(0..COUNT / 2) {
            values.remove(value, series(number), &label);
        }
    });
    assert!(steps < u64::from(COUNT / 2) * 20, "{steps} rows looked at");
}

#[test]
fn a_name_is_forgotten_once_and_not_while_it_is_wanted() {
    let index = LabelIndex::new(Seed::default());
    let set = LabelSet::from_sorted([("event_name", "job")]).unwrap();
    let forget = |label: &LabelName| {
        index.names.forget(label);
        index.has_name("event_name")
    };
    let interned = index.intern(std::iter::once(&set)).unwrap();
    let first = index.name("event_name").unwrap();
    assert!(forget(&first), "it is pinned");
    index.add(std::iter::once((series(0), interned.labels(0).unwrap())));
    let labels = interned.labels(0).unwrap().to_vec();
    drop(interned);
    assert!(forget(&first), "it has a value");
    index.remove(&labels, series(0));
    assert!(!index.has_name("event_name"));
    let interned = index.intern(std::iter::once(&set)).unwrap();
    index.add(std::iter::once((series(0), interned.labels(0).unwrap())));
    drop(interned);
    assert_eq!(index.name("event_name").map(|label| label.number), Some(first.number), "the number is used again");
    assert!(forget(&first), "whoever is late means the name that was");
}
