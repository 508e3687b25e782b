//! What counts as it was sent, what labels lose of it, and what the build of before made of the same.

use super::*;
use proptest::prelude::*;

/// What both builds make of a start, or of another edge.
fn both(options: MappingOptions, state: Option<EdgeState>, attributes: &str) -> (Settled, Option<Settled>) {
    let flat = flatten(attributes).unwrap();
    let mapping = Mapping::new(options).unwrap();
    let incoming = Incoming { event_name: "e", state, attributes: &flat, cluster_labels: &[] };
    (mapping.map(&incoming).unwrap().into(), mapping.map_before(&incoming).map(Settled::from))
}

fn text(labels: &LabelSet) -> String {
    let labels = labels.iter().filter(|(name, _)| *name != EVENT_NAME).map(|(name, value)| format!("{name}={value}"));
    labels.collect::<Vec<_>>().join(" ")
}

/// What the labels are now and were, and whether the identity is the same.
#[track_caller]
fn check_both(attributes: &str, now: &str, before: &str, same: bool) {
    let (mapped, old) = both(MappingOptions::default(), Some(EdgeState::Stop), attributes);
    let old = old.unwrap();
    assert_eq!((&*text(&mapped.labels), &*text(&old.labels), mapped.identity == old.identity), (now, before, same), "{attributes}");
}

#[test]
fn what_the_build_of_before_made() {
    for (attributes, now, before, same) in [
        (r#"{"a":"1","b":"2"}"#, "a=1 b=2", "a=1 b=2", true),
        (r#"{"a.b":"1"}"#, "a_b=1", "a_b=1", false),
        (r#"{"a.b":"1","a_b":"2"}"#, "a_b=2", "a_b=2", false),
        (r#"{"a":" 1\n"}"#, "a=1", "a= 1\n", false),
        (r#"{"a":"1\r\n2"}"#, "a=1\n2", "a=1\r\n2", true),
        (r#"{"a":"1","b":" "}"#, "a=1", "a=1 b= ", false),
        (r#"{"entity_id":"1\n"}"#, "entity_id=1", "entity_id=1\n", false),
        (
            r#"{"entity_id":"1","deployment.environment.name":"p"}"#,
            "deployment_environment=p deployment_environment_name=p entity_id=1",
            "deployment_environment_name=p entity_id=1",
            false,
        ),
        (r#"{"commit":"c","service_version":"2"}"#, "commit=c service_version=2 version=2", "commit=c service_version=2 version=c", true),
        (r#"{"result":"success","duration_ms":12,"exit_result":0}"#, "result=success", "duration_ms=12 exit_result=0 result=success", true),
    ] {
        check_both(attributes, now, before, same);
    }
    assert!(both(MappingOptions::default(), None, r#"{"__a":"1"}"#).1.is_none(), "it was refused");
    // What was configured stays, but for what could not be.
    let alias = |names: &[&str]| MappingOptions { aliases: vec![("version".to_owned(), owned(names))], ..MappingOptions::default() };
    let (now, before) = both(alias(&["service.version", "tag"]), None, r#"{"service.version":"2","tag":"t"}"#);
    assert_eq!(
        (&*text(&now.labels), &*text(&before.unwrap().labels)),
        ("service_version=2 tag=t version=2", "service_version=2 tag=t version=t")
    );
    let (now, before) = both(general(rules(&[("\u{73af}", "environment")], &[], None)), None, "{\"\u{73af}\":\"x\"}");
    assert_eq!((&*text(&now.labels), &*text(&before.unwrap().labels)), ("deployment_environment=x environment=x", "_=x"));
}

#[test]
fn names_that_become_the_same_label_are_two() {
    let (environment, host) = ("\u{73af}\u{5883}", "\u{4e3b}\u{673a}");
    for (start, stop, expected) in [
        (format!("{{\"{environment}\":\"x\"}}"), format!("{{\"{host}\":\"x\"}}"), None),
        (format!("{{\"{environment}\":\"x\",\"{host}\":\"y\"}}"), format!("{{\"{environment}\":\"z\",\"{host}\":\"y\"}}"), None),
        (format!("{{\"{environment}\":\"x\",\"{host}\":\"y\"}}"), format!("{{\"{host}\":\"y\",\"{environment}\":\"x\"}}"), Some(true)),
        (r#"{"a.b":"1","a_b":"2"}"#.to_owned(), r#"{"a_b":"2"}"#.to_owned(), None),
        (r#"{"a.b":"1"}"#.to_owned(), r#"{"a_b":"1"}"#.to_owned(), None),
        (r#"{"a.b":"1"}"#.to_owned(), r#"{"a.b":"1","build.result":"x","build-duration":2}"#.to_owned(), Some(true)),
        (r#"{"a":"1"}"#.to_owned(), r#"{"a":"1","__typename":"x"}"#.to_owned(), None),
        (r#"{"a":"1","b":"\u2028 "}"#.to_owned(), r#"{"a":"\u00a01\u001e\r\n"}"#.to_owned(), Some(true)),
        (r#"{"entity_id":"1.2\n"}"#.to_owned(), r#"{"entity_id":"1.2"}"#.to_owned(), Some(false)),
    ] {
        check_pair(&start, &stop, expected);
    }
}

#[test]
fn names_as_sent_can_be_configured() {
    let (environment, host) = ("\u{73af}\u{5883}", "\u{4e3b}\u{673a}");
    let sent = format!("{{\"{environment}\":\"x\",\"{host}\":\"y\"}}");
    check_labels(
        general(rules(&[(environment, "environment"), (host, "host")], &[], None)),
        &sent,
        "deployment_environment=x environment=x host=y",
    );
    check_labels(general(rules(&[("a_b", "x"), ("a.b", "y")], &[], None)), r#"{"a.b":"1"}"#, "y=1");
    check_labels(general(rules(&[("a.b", "y")], &[], None)), r#"{"a.b":"1","a_b":"2"}"#, "a_b=2 y=1");
    check_labels(general(rules(&[], &["a.*"], None)), r#"{"a.b":"1","a_c":"2"}"#, "a_c=2");
    check_labels(
        general(rules(&[("a.b", "y")], &["a.b"], None)),
        r#"{"a.b":"1","y":"2"}"#,
        "y=2; label y: taken from attribute \"y\"; 1 more of that name stay on the event, without a label",
    );
    check_labels(general(rules(&[], &[], Some(&["a.b"]))), r#"{"a.b":"1","b":"2"}"#, "a_b=1");
    let volatile = MappingOptions { volatile: owned(&["run.*"]), ..MappingOptions::default() };
    let of = |sent: &str| map(volatile.clone(), "e", Some(EdgeState::Start), sent).identity;
    assert_eq!(of(r#"{"a":"1","run.id":"7"}"#), of(r#"{"a":"1","run.id":"8"}"#));
    assert_ne!(of(r#"{"a":"1","run_id":"7"}"#), of(r#"{"a":"1","run_id":"8"}"#));
    let by = |sent: &str| map(pairing(&[rule("e", "e", &[host], &[environment], false)]), "e", Some(EdgeState::Start), sent);
    let (one, other) = (by(&sent), by(&format!("{{\"{environment}\":\"z\",\"{host}\":\"y\"}}")));
    assert!(one.identity == other.identity && !one.lapses && one.supersede.is_some() && one.supersede != other.supersede);
}

#[test]
fn what_only_a_run_is_about_is_no_label() {
    let stop = |labels: LabelRules, sent: &str| text(&map(general(labels), "e", Some(EdgeState::Stop), sent).labels);
    let exec = r#"{"result":"failure","duration_ms":1200,"exit_result":3}"#;
    let none = LabelRules::default;
    assert_eq!(stop(none(), exec), "result=failure");
    assert_eq!(stop(rules(&[("duration_ms", "took_ms")], &[], None), exec), "result=failure took_ms=1200");
    assert_eq!(stop(rules(&[], &[], Some(&["exit_result"])), exec), "exit_result=3");
    for (sent, expected) in [
        (r#"{"result":"failure","duration_ms":"1200","exit_result":3}"#, "duration_ms=1200 exit_result=3 result=failure"),
        (r#"{"result":"failure","duration_ms":1200}"#, "duration_ms=1200 result=failure"),
        (r#"{"result":"failure","duration_ms":1,"exit_result":256}"#, "duration_ms=1 exit_result=256 result=failure"),
        (r#"{"duration_ms":1200,"exit_result":3}"#, "duration_ms=1200 exit_result=3"),
    ] {
        assert_eq!(stop(none(), sent), expected);
    }
    assert_eq!(text(&map(none_at_all(), "e", Some(EdgeState::Start), exec).labels), "duration_ms=1200 exit_result=3 result=failure");
}

fn none_at_all() -> MappingOptions {
    MappingOptions::default()
}

#[test]
fn names_that_no_label_has_are_told() {
    check_labels(
        MappingOptions::default(),
        r#"{"__typename":"Deploy","a":"1"}"#,
        "a=1; attribute \"__typename\": names that start with __ are no labels; the event keeps it",
    );
    check_labels(
        MappingOptions::default(),
        r#"{"__b":{"c":1},"__a":"1"}"#,
        "; attribute \"__a\", and 1 more: names that start with __ are no labels; the event keeps it",
    );
    assert!(!map(MappingOptions::default(), "e", None, r#"{"__a":"1"}"#).verbatim);
}

fn members(names: &[&str], others: usize) -> String {
    let others = (0..others).map(|number| format!("b{number:03}"));
    let members = names.iter().map(|&name| name.to_owned()).chain(others).map(|name| format!("\"{name}\":\"1\""));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[test]
fn more_labels_than_have_a_place_are_left_out_in_an_order() {
    let names = |options: MappingOptions, cluster: &[(Box<str>, Box<str>)], sent: &str| {
        let flat = flatten(sent).unwrap();
        let incoming = Incoming { event_name: "e", state: None, attributes: &flat, cluster_labels: cluster };
        let mapped = Mapping::new(options).unwrap().map(&incoming).unwrap();
        let names: Vec<String> = mapped.labels.iter().map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with('b')).collect();
        (mapped.labels.iter().count() - 1, names.join(" "), mapped)
    };
    let limited = |labels: usize| MappingOptions { limits: Limits { labels, ..Limits::default() }, ..MappingOptions::default() };
    let zone: [(Box<str>, Box<str>); 1] = [("zone".into(), "z".into())];
    let sent = members(&["service_name", "version", "x_result", "team", "author", "z"], 30);
    for (limit, expected) in [
        (4, "event_name service_name team version x_result"),
        (5, "author event_name service_name team version x_result"),
        (6, "author event_name service_name team version x_result zone"),
        (20, "author event_name service_name team version x_result zone"),
        (37, "author event_name service_name team version x_result z zone"),
    ] {
        let (count, names, mapped) = names(limited(limit), &zone, &sent);
        assert_eq!((count, &*names), (limit, expected));
        assert_eq!(mapped.uncut.is_some(), limit < 37);
        assert_eq!(mapped.warnings.len(), usize::from(limit < 37));
    }
    assert_eq!(names(MappingOptions::default(), &[], &members(&[], 21)).0, 20);
    let paired = MappingOptions { pairing: vec![rule("x", "y", &["z"], &[], false)], ..limited(4) };
    assert_eq!(names(paired, &[], &members(&["z"], 30)).1, "event_name z");
    let (_, _, all) = names(limited(126), &[], &members(&[], 40));
    let (_, _, some) = names(limited(4), &[], &members(&[], 40));
    let identity = |mapped: &Mapped| mapped.paired.by.pairs(Parts::identity).identity;
    assert_eq!(
        (identity(&all), Some(all.labels.encoding())),
        (identity(&some), some.uncut.as_deref()),
        "identity and id are not of what is left"
    );
    let text = some.warnings[0].to_string();
    assert!(text.starts_with("labels left out, 36 of them, beyond the limits of an event: \"b004, b005"), "{text}");
}

#[test]
fn what_is_too_long_for_a_label_is_left_out() {
    let long = |length: usize| "n".repeat(length);
    check_labels(
        MappingOptions::default(),
        &format!(r#"{{"a":"1","{}":"2"}}"#, long(129)),
        &format!("a=1; labels left out, 1 of them, beyond the limits of an event: \"{}\"...; it keeps the attributes", long(80)),
    );
    let nine: Vec<String> = (0..9).map(|number| format!("\"a{number}\":\"{}\"", long(1000))).collect();
    let mapped = map(MappingOptions::default(), "e", None, &format!("{{{},\"z\":\"1\"}}", nine.join(",")));
    assert_eq!(
        mapped.labels.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "event_name", "z"]
    );
}

/// Pieces of text as Python's `str.splitlines` has them, which OpenMetrics parsers in use go by.
fn split_lines(text: &str) -> usize {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    text.replace("\r\n", "\n").matches(ends).count()
}

proptest! {
    #[test]
    fn no_label_splits_otherwise_than_at_line_feeds(
        name in "[a\r\n\u{b}\u{1c}\u{85}\u{2028}]{1,6}",
        value in prop_oneof!["[a\r\n\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}\u{a0}]{0,9}", any::<String>()],
    ) {
        let sent = serde_json::json!({ "a": value }).to_string();
        let mapped = map(MappingOptions::default(), &name, None, &sent);
        for (name, text) in &mapped.labels {
            prop_assert_eq!(split_lines(text), text.matches('\n').count(), "{}: {:?}", name, text);
        }
        let label = mapped.labels.value("a").unwrap_or_default();
        prop_assert_eq!(label.trim(), label);
    }
}
