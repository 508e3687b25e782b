//! Label names that come, go and come again with other numbers.

use super::*;

const SELECTORS: [&str; 8] = [
    r#"{n0="v1"}"#,
    r#"{n1=~"v.*"}"#,
    r#"{event_name="job",n2!="v1"}"#,
    r#"{event_name="job",n3=""}"#,
    r#"{n0=~"v1|v2",n4!=""}"#,
    r#"{event_name="job",n5!~"v0|v2"}"#,
    r#"{n5="v0",n4="v0"}"#,
    r#"{event_name=~"j.*"}"#,
];

proptest! {
    #[test]
    fn selectors_answer_like_a_filter_after_names_came_and_went(
        steps in prop::collection::vec(prop::option::weighted(0.8, (0u8..64, 0u8..3)), 1..40),
    ) {
        let store = Store::new(Options::default());
        let mut model: Vec<(i64, LabelSet)> = Vec::new();
        for (time, step) in (0..).zip(steps) {
            if let Some((bits, value)) = step {
                let names = (0..6).filter(|bit| bits >> bit & 1 == 1).map(|bit| format!("n{bit}"));
                let mut labels: BTreeMap<String, String> = names.map(|name| (name, format!("v{value}"))).collect();
                labels.insert("event_name".to_owned(), "job".to_owned());
                let labels = LabelSet::from_sorted(labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))).unwrap();
                let said = Said { state: EdgeState::Point, at: time, entity: 1, outcome: 0, superseding: false };
                put(&store, &Edge { identity: Identity::of([&*time.to_string()]), labels: labels.clone(), ..said.edge() }, time);
                model.push((time, labels));
            } else {
                let before = time - 3;
                // Long after, since nothing is retired that is less than a day old.
                store.apply(at(1 << 40), &Command::Retire { before: at(before), upto: 0 });
                model.retain(|(received, _)| *received >= before);
            }
            let Some(tenant) = store.tenant("acme") else { continue };
            let names: BTreeSet<&str> = model.iter().flat_map(|(_, labels)| labels.iter().map(|(name, _)| name)).collect();
            prop_assert_eq!(tenant.index.names(), names.len());
            for text in SELECTORS {
                let matchers = selector::parse(text).unwrap();
                let fits = |labels: &LabelSet| matchers.iter().all(|matcher| matcher.matches(labels.value(&matcher.name).unwrap_or_default()));
                let expected: BTreeMap<i64, LabelSet> = model.iter().filter(|(_, labels)| fits(labels)).cloned().collect();
                let found = tenant.select(&Query { selectors: vec![matchers.clone()], ..everything() }).events;
                let found: BTreeMap<i64, LabelSet> =
                    found.into_iter().filter_map(|event| event.start).map(|start| (start.at.millis(), start.labels)).collect();
                prop_assert_eq!(found, expected, "{}", text);
            }
        }
    }
}
