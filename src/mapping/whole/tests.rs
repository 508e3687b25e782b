use super::*;
use crate::mapping::Mapping;
use crate::mapping::clusters::Clusters;

#[track_caller]
fn check(event_name: &str, details: Details, labels: &[(&str, &str)]) {
    let (mapping, clusters) = (Mapping::default(), Clusters::default());
    let context = Context {
        organization: "".into(),
        now: Timestamp::from_millis(5),
        mapping: &mapping,
        clusters: &clusters,
        earlier: crate::event::record::Earlier::default(),
    };
    let at = Timestamp::from_millis(1000);
    let whole = Whole { id: "7".into(), event_name: event_name.into(), at, end: End::At(at), details, cluster: "".into() };
    let (put, _) = whole.put(None, &context).unwrap();
    assert_eq!(put.start.labels.iter().collect::<Vec<_>>(), labels);
    assert_eq!(put.stop.unwrap().labels, put.start.labels);
    assert_eq!(put.start.identity, Identity::of_id("7"));
}

fn texts(values: &[&str]) -> Vec<Box<str>> {
    values.iter().map(|value| (*value).into()).collect()
}

#[test]
fn details_become_labels() {
    check("custom", Details::default(), &[("event_name", "custom")]);
    check(
        "deployment",
        Details {
            name: "Release 4".into(),
            source: "jenkins".into(),
            buckets: texts(&["bkt_b", "bkt_a"]),
            environments: texts(&["*"]),
            description: "not a label".into(),
            metadata: r#"{"commit":"abc"}"#.into(),
            parent_id: "p".into(),
            links: vec![("log".into(), "http://x".into())],
            ..Details::default()
        },
        &[
            ("bucket", "bkt_a,bkt_b"),
            ("event_name", "deployment"),
            ("name", "Release 4"),
            ("service_name", "bkt_a,bkt_b"),
            ("source", "jenkins"),
        ],
    );
    check(
        "deploy",
        Details {
            tags: vec![
                ("type".into(), texts(&["deploy", "rollout"])),
                ("service".into(), texts(&["web", "api"])),
                ("bug.number".into(), texts(&["7"])),
                ("__owner".into(), texts(&["ops"])),
                ("environment".into(), texts(&["prod"])),
                ("event_name".into(), texts(&["x"])),
            ],
            ..Details::default()
        },
        &[
            ("bug_number", "7"),
            ("deployment_environment", "prod"),
            ("environment", "prod"),
            ("event_name", "deploy"),
            ("exported_event_name", "x"),
            ("service", "api,web"),
            ("service_name", "api,web"),
            ("type", "rollout"),
        ],
    );
}
