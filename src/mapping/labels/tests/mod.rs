use super::*;
use crate::event::Identity;
use crate::event::Pairs;
use crate::event::Parts;
use crate::labels::LABELS_MAX;
use crate::labels::TEXT_MAX;
use crate::mapping::attributes::flatten;
use crate::mapping::options::PairingRule;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(old, new)| (old.to_owned(), new.to_owned())).collect()
}

fn rules(rename: &[(&str, &str)], drop: &[&str], allow: Option<&[&str]>) -> LabelRules {
    LabelRules { rename: pairs(rename), drop: owned(drop), allow: allow.map(owned) }
}

/// What is settled of an edge.
struct Settled {
    labels: LabelSet,
    verbatim: bool,
    state: EdgeState,
    identity: Identity,
    lapses: bool,
    supersede: Option<Identity>,
    warnings: Vec<Warning>,
}

impl From<Mapped> for Settled {
    fn from(Mapped { labels, verbatim, paired, uncut: _, warnings }: Mapped) -> Self {
        let Pairs { identity, lapses, supersede } = paired.by.pairs(Parts::identity);
        Self { labels, verbatim, state: paired.state, identity, lapses, supersede, warnings }
    }
}

fn map(options: MappingOptions, event_name: &str, state: Option<EdgeState>, attributes: &str) -> Settled {
    let flat = flatten(attributes).unwrap();
    Mapping::new(options).unwrap().map(&Incoming { event_name, state, attributes: &flat, cluster_labels: &[] }).unwrap().into()
}

#[track_caller]
fn check_labels(options: MappingOptions, attributes: &str, expected: &str) {
    let mapped = map(options, "e", None, attributes);
    let warnings = mapped.warnings.iter().map(|warning| format!("; {warning}")).collect::<Vec<_>>().concat();
    let labels: Vec<String> =
        mapped.labels.iter().filter(|(name, _)| *name != EVENT_NAME).map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels.join(" ") + &warnings, expected, "{attributes}");
}

fn general(labels: LabelRules) -> MappingOptions {
    MappingOptions { labels, ..MappingOptions::default() }
}

#[test]
fn aliases_fill_absent_canonical_labels() {
    for (attributes, expected) in [
        (r#"{"service":"a"}"#, "service=a service_name=a"),
        (r#"{"service":"a","service_name":"b"}"#, "service=a service_name=b"),
        (r#"{"bucket":"b","service":"a"}"#, "bucket=b service=a service_name=a"),
        (r#"{"bucket":"b","service":null}"#, "bucket=b service_name=b"),
        (r#"{"env":"x","environment":"y"}"#, "deployment_environment=y env=x environment=y"),
        (r#"{"commit_sha":"1","commit":"2"}"#, "commit=2 commit_sha=1 version=2"),
        (r#"{"build.id":3}"#, "build_id=3 version=3"),
        (r#"{"deployment.environment.name":"p","env":"q"}"#, "deployment_environment=p deployment_environment_name=p env=q"),
        (r#"{"service.version":"2","commit":"c"}"#, "commit=c service_version=2 version=2"),
        (r#"{"service_version":"2"}"#, "service_version=2 version=2"),
        (r#"{"vcs.ref.head.revision":"r"}"#, "vcs_ref_head_revision=r version=r"),
        (r#"{"vcs.ref.head.revision":"r","commit_sha":"s"}"#, "commit_sha=s vcs_ref_head_revision=r version=s"),
        (r#"{"deployment.id":"7"}"#, "deployment_id=7"),
    ] {
        check_labels(MappingOptions::default(), attributes, expected);
    }
    let off = MappingOptions { aliases: Vec::new(), ..MappingOptions::default() };
    check_labels(off, r#"{"service":"a","env":"x"}"#, "env=x service=a");
    let own = MappingOptions { aliases: vec![("team".to_owned(), owned(&["owner", "squad"]))], ..MappingOptions::default() };
    check_labels(own, r#"{"service":"a","squad":"s"}"#, "service=a squad=s team=s");
}

#[test]
fn labels_are_renamed_dropped_and_allowed() {
    const TAKEN: &str = "; label b: taken from attribute \"b\"; 1 more of that name stay on the event, without a label";
    for (labels, attributes, expected) in [
        (rules(&[("a", "z")], &[], None), r#"{"a":"1","b":"2"}"#, "b=2 z=1".to_owned()),
        (rules(&[("a_b", "z")], &[], None), r#"{"a.b":"1"}"#, "z=1".to_owned()),
        (rules(&[("a", "service")], &[], None), r#"{"a":"1"}"#, "service=1 service_name=1".to_owned()),
        (rules(&[("a", "b"), ("b", "a")], &[], None), r#"{"a":"1","b":"2"}"#, "a=2 b=1".to_owned()),
        (rules(&[("a", "b")], &[], None), r#"{"a":"1","b":"2"}"#, format!("b=2{TAKEN}")),
        (rules(&[], &["a", "x_*"], None), r#"{"a":"1","b":"2","x.y":"3"}"#, "b=2".to_owned()),
        (rules(&[("a", "z")], &["z"], None), r#"{"a":"1"}"#, String::new()),
        (rules(&[], &["service"], None), r#"{"service":"1"}"#, "service_name=1".to_owned()),
        (rules(&[], &[], Some(&["service_name", "v*"])), r#"{"service":"1","commit":"2","b":"3"}"#, "service_name=1 version=2".to_owned()),
        (rules(&[], &["b"], Some(&["a", "b"])), r#"{"a":"1","b":"2"}"#, "a=1".to_owned()),
        (rules(&[], &[], Some(&[])), r#"{"a":"1"}"#, String::new()),
    ] {
        check_labels(general(labels), attributes, &expected);
    }
}

#[test]
fn rules_of_one_event_come_first() {
    let options = || MappingOptions {
        labels: rules(&[("a", "general")], &["x"], Some(&["general"])),
        events: vec![("e".to_owned(), rules(&[("a", "own")], &["y"], Some(&["own", "x", "y", "b"])))],
        ..MappingOptions::default()
    };
    check_labels(options(), r#"{"a":"1","b":"2","x":"3","y":"4"}"#, "b=2 own=1");
    let other = map(options(), "f", None, r#"{"a":"1","b":"2","x":"3","y":"4"}"#);
    assert_eq!(other.labels.iter().collect::<Vec<_>>(), [("event_name", "f"), ("general", "1")]);
}

#[test]
fn what_labels_lose_still_identifies() {
    let sent = r#"{"run":"1","a":"2"}"#;
    let plain = map(MappingOptions::default(), "e", Some(EdgeState::Start), sent);
    for labels in [rules(&[("run", "b")], &[], None), rules(&[], &["run"], None), rules(&[], &[], Some(&[]))] {
        let mapped = map(general(labels), "e", Some(EdgeState::Start), sent);
        assert_eq!(mapped.identity, plain.identity);
        assert_ne!(mapped.labels, plain.labels);
        assert!(!mapped.verbatim);
    }
    let long = |end: &str| format!(r#"{{"run":"{}{end}"}}"#, "x".repeat(2000));
    let (one, other) = (map(MappingOptions::default(), "e", None, &long("1")), map(MappingOptions::default(), "e", None, &long("2")));
    assert_eq!(one.labels, other.labels);
    assert_ne!(one.identity, other.identity);
}

/// Whether a start with the first attributes and a stop with the second pair, and whether they lapse.
#[track_caller]
fn check_pair(start: &str, stop: &str, expected: Option<bool>) {
    let start = map(MappingOptions::default(), "e", Some(EdgeState::Start), start);
    let stop = map(MappingOptions::default(), "e", Some(EdgeState::Stop), stop);
    assert_eq!(start.lapses, stop.lapses);
    assert_eq!((start.identity == stop.identity).then_some(start.lapses), expected);
}

#[test]
fn identities_without_configuration() {
    for (start, stop, expected) in [
        // rule 4: all but the volatile attributes
        ("{}", "{}", Some(true)),
        (r#"{"a":"1"}"#, r#"{"a":"1","result":"ok","outcome":"x","status":1,"conclusion":"c"}"#, Some(true)),
        (r#"{"a":"1"}"#, r#"{"a":"1","duration":1,"build_duration_ms":2,"job_end_time":"t","x_result":"r"}"#, Some(true)),
        (r#"{"a":"1"}"#, r#"{"a":"1","idempotency_key":"k","timestamp_source":"s"}"#, Some(true)),
        (r#"{"a":"1"}"#, r#"{"a":1}"#, Some(true)),
        (r#"{"a":"1"}"#, r#"{"a":"2"}"#, None),
        (r#"{"a":"1"}"#, r#"{"a":"1","b":"1"}"#, None),
        (r#"{"a":"1"}"#, r#"{"a":"1","results":"1"}"#, None),
        (r#"{"a":"bc"}"#, r#"{"ab":"c"}"#, None),
        (r#"{"service":"a"}"#, r#"{"service":"a","service_name":"a"}"#, None),
        // rule 3: an entity, its state and environment
        (r#"{"entity_id":"1","x":"2"}"#, r#"{"entity_id":"1","y":"3"}"#, Some(false)),
        (r#"{"deployment_id":"1"}"#, r#"{"deployment_id":"1","spinnaker_execution_id":"2"}"#, Some(false)),
        (r#"{"entity_id":"1","state":"queued"}"#, r#"{"entity_id":"1","state":"running"}"#, None),
        (r#"{"entity_id":"1","state":"queued"}"#, r#"{"entity_id":"1"}"#, None),
        (r#"{"entity_id":"1","env":"a"}"#, r#"{"entity_id":"1","deployment_environment":"a"}"#, Some(false)),
        (r#"{"entity_id":"1","env":"a"}"#, r#"{"entity_id":"1","env":"b"}"#, None),
        (r#"{"entity_id":"1"}"#, r#"{"deployment_id":"1"}"#, None),
        (r#"{"entity_id":""}"#, "{}", Some(true)),
    ] {
        check_pair(start, stop, expected);
    }
    let sent = r#"{"entity_id":"1"}"#;
    let of = |name: &str, state: Option<EdgeState>| map(MappingOptions::default(), name, state, sent).identity;
    assert_ne!(of("e", Some(EdgeState::Start)), of("f", Some(EdgeState::Start)));
    assert_ne!(of("e", Some(EdgeState::Start)), of("e", None), "a point meets no span");
    assert!(!map(MappingOptions::default(), "e", None, "{}").lapses);
}

fn pairing(rules: &[PairingRule]) -> MappingOptions {
    MappingOptions { pairing: rules.to_vec(), ..MappingOptions::default() }
}

fn rule(start: &str, stop: &str, labels: &[&str], supersede: &[&str], point: bool) -> PairingRule {
    PairingRule { start: start.to_owned(), stop: stop.to_owned(), labels: owned(labels), point, supersede: owned(supersede) }
}

#[test]
fn pairing_rules_join_different_names() {
    let options = || pairing(&[rule("begin", "end", &["service_name", "version"], &[], false), rule("up", "down", &[], &[], false)]);
    let edge = |name: &str, said: Option<EdgeState>, sent: &str| map(options(), name, said, sent);
    let begin = edge("begin", None, r#"{"service":"a","commit":"1","host":"x"}"#);
    assert_eq!((begin.state, begin.lapses, begin.labels.event_name()), (EdgeState::Start, false, "begin"));
    for (sent, same) in [
        (r#"{"service_name":"a","version":1}"#, true),
        (r#"{"service_name":"a","version":"2"}"#, false),
        (r#"{"service_name":"a"}"#, false),
        ("{}", false),
    ] {
        let end = edge("end", None, sent);
        assert_eq!((end.state, end.labels.event_name()), (EdgeState::Stop, "end"));
        assert_eq!(end.identity == begin.identity, same, "{sent}");
    }
    assert_eq!(edge("end", Some(EdgeState::Start), "{}").state, EdgeState::Start, "what the sender says wins");
    // without the rule's labels, and with none in it, rules 3 and 4 pair the two names
    for (start, stop) in [("begin", "end"), ("up", "down")] {
        assert_eq!(edge(start, None, r#"{"host":"x"}"#).identity, edge(stop, None, r#"{"host":"x","result":"ok"}"#).identity);
        assert_eq!(edge(start, None, r#"{"entity_id":"x"}"#).identity, edge(stop, None, r#"{"entity_id":"x","a":1}"#).identity);
        assert!(edge(start, None, r#"{"host":"x"}"#).lapses && !edge(start, None, r#"{"entity_id":"x"}"#).lapses);
    }
    assert_ne!(edge("begin", None, r#"{"host":"x"}"#).identity, edge("up", None, r#"{"host":"x"}"#).identity);
}

#[test]
fn pairing_rules_make_points_and_supersede() {
    let options = || pairing(&[rule("flag", "flag", &[], &[], true), rule("deploy", "deploy", &[], &["service_name", "env"], false)]);
    let flag = |said: Option<EdgeState>| map(options(), "flag", said, r#"{"a":"1"}"#).state;
    assert_eq!(
        [flag(None), flag(Some(EdgeState::Start)), flag(Some(EdgeState::Stop))],
        [EdgeState::Point, EdgeState::Point, EdgeState::Stop]
    );

    let deploy = |said: Option<EdgeState>, sent: &str| map(options(), "deploy", said, sent);
    let one = deploy(Some(EdgeState::Start), r#"{"service":"a","env":"x","run":"1"}"#);
    let two = deploy(Some(EdgeState::Start), r#"{"service":"a","env":"x","run":"2"}"#);
    assert!(one.supersede.is_some() && one.supersede == two.supersede && one.identity != two.identity);
    assert_ne!(one.supersede, deploy(Some(EdgeState::Start), r#"{"service":"a","env":"y"}"#).supersede);
    assert_eq!(deploy(None, r#"{"service":"a"}"#).state, EdgeState::Point, "one name implies no state");
    assert_eq!(deploy(Some(EdgeState::Stop), r#"{"service":"a"}"#).supersede, None);
    assert_eq!(deploy(Some(EdgeState::Start), r#"{"run":"1"}"#).supersede, None, "none of its labels");
}

#[test]
fn refuses_contradictions() {
    let default = MappingOptions::default;
    let limits = |limits: Limits| MappingOptions { limits, ..default() };
    for (options, expected) in [
        (MappingOptions { aliases: vec![("a-b".to_owned(), owned(&["c"]))], ..default() }, "labels.aliases \"a-b\": must match"),
        (
            MappingOptions { aliases: vec![("event_name".to_owned(), owned(&["c"]))], ..default() },
            "labels.aliases \"event_name\": must match",
        ),
        (
            MappingOptions { aliases: vec![("a".to_owned(), owned(&[""]))], ..default() },
            "labels.aliases \"\": must be the name of an attribute",
        ),
        (general(rules(&[("a", "event_state")], &[], None)), "labels.rename \"event_state\": must match"),
        (general(rules(&[("a", "__name__")], &[], None)), "labels.rename \"__name__\": must match"),
        (general(rules(&[("__a", "c")], &[], None)), "labels.rename \"__a\": must be the name"),
        (general(rules(&[("a", "b.c")], &[], None)), "labels.rename \"b.c\": must match"),
        (
            MappingOptions { events: vec![("e".to_owned(), LabelRules::default()), ("e".to_owned(), LabelRules::default())], ..default() },
            "labels.events \"e\": given twice",
        ),
        (pairing(&[rule("a", "", &[], &[], false)]), "pairing \"\": must name an event"),
        (pairing(&[rule("a", "b", &[], &[], false), rule("c", "a", &[], &[], false)]), "pairing \"a\": is in two rules"),
        (pairing(&[rule("a", "a", &["__x"], &[], false)]), "pairing \"__x\": must be the name"),
        (pairing(&[rule("a", "a", &[], &[""], false)]), "pairing \"\": must be the name"),
        (limits(Limits { labels: 127, ..Limits::default() }), "limits.labels \"127\": must be 4 to 126"),
        (limits(Limits { value_bytes: 0, ..Limits::default() }), "limits.label_value_bytes \"0\": must be 4 to 16383"),
        (limits(Limits { name_bytes: 1 << 14, ..Limits::default() }), "limits.label_name_bytes \"16384\": must be 4 to 16383"),
    ] {
        let error = Mapping::new(options).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

mod sent;

#[test]
fn the_widest_limits_still_make_a_set() {
    let limits = Limits {
        labels: LABELS_MAX - 1,
        name_bytes: 512,
        value_bytes: TEXT_MAX,
        total_bytes: LABELS_MAX * TEXT_MAX,
        item_bytes: usize::MAX,
        batch_items: 4,
    };
    let value = "v".repeat(TEXT_MAX + 1);
    let members: Vec<String> = (0..LABELS_MAX - 1).map(|number| format!("\"a{number}\":\"{value}\"")).collect();
    let mapped = map(MappingOptions { limits, ..MappingOptions::default() }, "e", None, &format!("{{{}}}", members.join(",")));
    assert_eq!(mapped.labels.iter().count(), LABELS_MAX);
    assert_eq!(mapped.warnings.len(), LABELS_MAX - 1);
}
