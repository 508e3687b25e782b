use super::*;
use crate::event::Edge;
use crate::event::record::Earlier;
use crate::mapping::Mapping;
use crate::mapping::clusters::Cluster;
use crate::mapping::clusters::Clusters;
use crate::mapping::options::LabelRules;
use crate::mapping::options::MappingOptions;

mod hostile;
mod model;

macro_rules! payload {
    ($name:literal) => {
        include_str!(concat!("../../../../../examples/payloads/", $name))
    };
}

const NOW: Timestamp = Timestamp::from_millis(1_771_600_000_000);

fn with<R>(mapping: &Mapping, read: impl FnOnce(&Context<'_>) -> R) -> R {
    let clusters = Clusters::default();
    read(&Context { organization: "acme".into(), now: NOW, mapping, clusters: &clusters, earlier: Earlier::default() })
}

fn parse(body: &[u8]) -> Result<Parsed, FormatError> {
    let mut options = MappingOptions::default();
    // Larger than any of the other limits, which are what is looked at.
    options.limits.item_bytes = 8 << 20;
    with(&Mapping::new(options).unwrap(), |context| parse_one(body, context))
}

fn edge(body: &str) -> Edge {
    parse(body.as_bytes()).unwrap().edge
}

/// `event_name{label="value", ...}` without the event name among the labels.
fn shown(edge: &Edge) -> String {
    let labels: Vec<String> =
        edge.labels.iter().filter(|(name, _)| *name != "event_name").map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{:?} {} {}{{{}}}", edge.state, edge.at, edge.labels.event_name(), labels.join(", "))
}

const JOB: &str = r#"entity_id="job-4711", queue="render-eu", state="queued", team="graphics""#;

#[test]
fn reads_what_known_senders_send() {
    for (payload, expected) in [
        (
            payload!("github-action-stop.json"),
            r#"Stop 2026-02-20T10:00:00.000Z deployment{actor="jane", commit_message="Serve \"v2\"\n\nCloses #7", commit_sha="4bfc8480c1ff6a7fb8a7c3cf5d4d4a8bb1a4d1f0", deployment_environment="production", env="production", exported_event_name="push", ref="refs/heads/main", repository="acme/api", run_attempt="1", run_id="13437209811", run_number="7", service_name="api", version="4bfc8480c1ff6a7fb8a7c3cf5d4d4a8bb1a4d1f0", workflow="Deploy"}"#,
        ),
        (
            payload!("jenkins-start.json"),
            r#"Start 2026-08-18T10:00:00.000Z deployment{build_param_region="eu", deployment_environment="production", deployment_id="0b3f1c5e-7f0a-4b57-9c36-0a6e2b9f6a11", env_build_tag="jenkins-team-deploy-42", jenkins_build_number="42", jenkins_build_start_time="2026-08-18T10:00:00Z", jenkins_build_url="https://ci.example.com/job/42/", jenkins_build_user="jane", jenkins_job_name="team/deploy", jenkins_node_name="n1", scm_author="jane", scm_branch="origin/main", scm_commit_sha="ec23f7a5b7d1a4f1f1e7c2b9a8d6e5f4c3b2a190", scm_url="https://git.example.com/team/payments.git", service="payments-api", service_name="payments-api"}"#,
        ),
        (
            payload!("buildkite-stop.json"),
            r#"Stop 2026-02-20T10:00:48.000Z deployment{actor="Jane Doe", branch="main", build_id="0195233e-8d7f-4a3c-b2f5-6f1f1f6f6f6f", build_number="812", build_url="https://buildkite.com/acme/checkout/builds/812", commit_message="Faster checkout", commit_sha="a16ca34d0e6b0b1f0b9f3c2d1e0f9a8b7c6d5e4f", deployment_environment="production", duration_ms="48211", env="production", pipeline_name="Checkout", pipeline_slug="checkout", result="success", service="checkout", service_name="checkout", step_key="deploy", step_label=":rocket: Deploy", version="0195233e-8d7f-4a3c-b2f5-6f1f1f6f6f6f"}"#,
        ),
        (
            payload!("spinnaker-stop.json"),
            r#"Stop 2026-02-20T10:04:11.987Z deployment{artifact_count="1", artifacts="[{\"type\":\"docker/image\",\"reference\":\"registry.example.com/cart:1.4.2\"}]", bridge_source="spinnaker", deployment_environment="staging", idempotency_key="99aa1f7e03b2c4d5", image="registry.example.com/cart:1.4.2", outcome="success", revision="1.4.2", service_name="cart", spinnaker_application="cart", spinnaker_event_type="orca:pipeline:complete", spinnaker_execution_id="01JMJ3Q5V3K9Y6B6V2E5A0T7ZK", spinnaker_pipeline="Deploy to staging", spinnaker_status="SUCCEEDED", timestamp_source="execution.endTime", trigger_type="manual", trigger_user="jane"}"#,
        ),
        (
            payload!("sample-client.json"),
            r#"Start 2026-02-20T15:06:40.000Z deployment{deployment_environment="production", environment="production", revision="8c9a66d", user="john.smith"}"#,
        ),
        (payload!("job-queued-start.json"), &format!("Start 2026-02-20T04:30:00.000Z job_lifecycle{{{JOB}}}")),
        (payload!("job-queued-stop.json"), &format!("Stop 2026-02-20T09:32:07.000Z job_lifecycle{{{JOB}}}")),
        (
            payload!("feature-flag-point.json"),
            r#"Point 2026-02-20T10:00:00.000Z feature_flag_toggle{deployment_environment="production", flag_enabled="true", flag_key="new-checkout", flag_rollout="12.50", service_name="web", tags="beta,web"}"#,
        ),
        (
            payload!("config-change-value.json"),
            r#"Start 2026-02-20T10:00:00.000Z scaling{replicas="12", service="web", service_name="web"}"#,
        ),
    ] {
        assert_eq!(shown(&edge(payload)), expected);
    }
}

#[test]
fn start_and_stop_of_a_sender_pair() {
    let pairs = [
        (payload!("github-action-both-start.json"), payload!("github-action-both-stop.json"), true),
        (payload!("jenkins-start.json"), payload!("jenkins-stop.json"), false),
        (payload!("buildkite-start.json"), payload!("buildkite-stop.json"), true),
        (payload!("spinnaker-start.json"), payload!("spinnaker-stop.json"), false),
        (payload!("job-queued-start.json"), payload!("job-queued-stop.json"), false),
    ];
    let mut identities = Vec::new();
    for (start, stop, lapses) in pairs {
        let (start, stop) = (edge(start), edge(stop));
        assert_eq!(start.identity, stop.identity, "{}", shown(&start));
        assert_eq!((start.lapses, stop.lapses), (lapses, lapses), "{}", shown(&start));
        assert_eq!((start.state, stop.state), (EdgeState::Start, EdgeState::Stop));
        assert_ne!(start.id(), stop.id());
        identities.push(start.identity);
    }
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), pairs.len());
    assert_eq!(edge(payload!("github-action-stop.json")).identity, edge(payload!("github-action-both-start.json")).identity);
}

#[test]
fn a_batch_gives_an_answer_for_each() {
    let mapping = Mapping::default();
    let Body::Many(batch) = with(&mapping, |context| parse_body(payload!("batch.json").as_bytes(), context)).unwrap() else {
        panic!("an array is many");
    };
    let lines: Vec<_> = payload!("batch.ndjson").lines().map(|line| parse(line.as_bytes())).collect();
    assert_eq!(batch, lines);
    let edges: Vec<_> = batch.into_iter().map(|item| item.unwrap().edge).collect();
    assert_eq!(edges[0].identity, edges[2].identity);
    assert_ne!(edges[0].identity, edges[1].identity);

    let mixed = format!("[{},7,{{\"event_name\":1}}]", payload!("sample-client.json"));
    let Body::Many(batch) = with(&mapping, |context| parse_body(mixed.as_bytes(), context)).unwrap() else { panic!("an array is many") };
    let answers: Vec<String> = batch.iter().map(|item| item.as_ref().map_or_else(ToString::to_string, |_| "taken".to_owned())).collect();
    assert_eq!(answers, ["taken", "body 7: must be a JSON object, or an array of them", "event_name 1: must be a string, not a number"]);
}

#[test]
fn a_batch_is_bounded() {
    let mut options = MappingOptions::default();
    options.limits.batch_items = 4;
    let mapping = Mapping::new(options).unwrap();
    for (body, expected) in [
        ("[]", "400 body: an empty array holds no event"),
        (" [1,2,3,4,5]", "413 5 events in one array: at most 4; send more of them as NDJSON"),
        ("[1,2", "400 body: EOF while parsing a list at line 1 column 4"),
        ("[{}]\n[{}]", "400 body: another value follows the first one: send application/x-ndjson, one event to a line, or an array"),
    ] {
        let error = with(&mapping, |context| parse_body(body.as_bytes(), context)).unwrap_err();
        assert_eq!(format!("{} {error}", error.status()), expected);
    }
    let long = format!("{{\"event_name\":\"a\",\"attributes\":{{\"a\":\"{}\"}}}}", "a".repeat(64 << 10));
    let error = with(&mapping, |context| parse_one(long.as_bytes(), context)).unwrap_err();
    assert_eq!(format!("{} {error}", error.status()), "413 the event is longer than 65536 bytes");
    let one = with(&mapping, |context| parse_body(b" {}", context)).unwrap();
    assert_eq!(one, Body::One(Err(FormatError::malformed("event_name", "must be given"))));
}

#[test]
fn absent_fields_have_defaults() {
    for body in [
        r#"{"event_name":"e"}"#,
        r#"{"event_name":"e","event_state":null,"timestamp":null,"attributes":null,"data_source_name":null,"value":null}"#,
        "\u{feff} {\"event_name\":\"e\",\"attributes\":{}, \"data_source_name\": \"\"}\r\n",
    ] {
        let Parsed { edge, warnings } = parse(body.as_bytes()).unwrap();
        assert_eq!(shown(&edge), "Point 2026-02-20T15:06:40.000Z e{}");
        assert_eq!((&*edge.organization, &*edge.cluster, edge.value, edge.attributes), ("acme", "", 1.0, None));
        assert_eq!(warnings, []);
    }
    let body = r#"{"event_name":"e","event_state":"stop","value":-2.5e1,"data_source_name":"payments-ds"}"#;
    let edge = edge(body);
    assert_eq!((edge.state, edge.value, &*edge.cluster), (EdgeState::Stop, -25.0, "payments-ds"));
}

#[test]
fn attributes_stay_as_sent_unless_the_labels_say_the_same() {
    for (attributes, expected) in [
        (r#"{"a":"1","b":"x y"}"#, None),
        (r#"{ "b" : "\u0041\nb", "a":"1" }"#, None),
        (r#"{"a":"1\n"}"#, Some(r#"{"a":"1\n"}"#)),
        (r#"{"a":"1\r\n2"}"#, Some(r#"{"a":"1\r\n2"}"#)),
        (r#"{"a":"1","__b":"2"}"#, Some(r#"{"a":"1","__b":"2"}"#)),
        ("{}", None),
        (r#"{"a":1.50}"#, Some(r#"{"a":1.50}"#)),
        (r#"{ "a" : [ 1, "x  y" ],"b":"" }"#, Some(r#"{"a":[1,"x  y"],"b":""}"#)),
        (r#"{"a":null}"#, Some(r#"{"a":null}"#)),
        (r#"{"a.b":"1"}"#, Some(r#"{"a.b":"1"}"#)),
        (r#"{"a":{"b":"1"}}"#, Some(r#"{"a":{"b":"1"}}"#)),
        (r#"{"env":"x"}"#, Some(r#"{"env":"x"}"#)),
        (r#"{"event_name":"x"}"#, Some(r#"{"event_name":"x"}"#)),
        (r#"{"a_b":"1","a-b":"2"}"#, Some(r#"{"a_b":"1","a-b":"2"}"#)),
    ] {
        let edge = edge(&format!(r#"{{"event_name":"e","attributes":{attributes}}}"#));
        assert_eq!(edge.attributes.as_deref(), expected, "{attributes}");
    }
}

#[test]
fn clusters_decide_where_and_add_labels() {
    let cluster = |name: &str, labels: &[(&str, &str)]| Cluster {
        name: name.into(),
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    };
    let configured = vec![cluster("main", &[("region", "us")]), cluster("eu", &[("region", "eu"), ("tier", "1")])];
    let clusters = Clusters::new(configured, Some("main")).unwrap();
    let context =
        Context { organization: "acme".into(), now: NOW, mapping: &Mapping::default(), clusters: &clusters, earlier: Earlier::default() };
    for (fields, expected) in [
        ("", r#" {"region": "us"} Some("{}")"#),
        (r#","data_source_name":"main","attributes":{"region":"de"}"#, r#" {"region": "de"} None"#),
        (r#","data_source_name":"eu","attributes":{"a":"1"}"#, r#"eu {"a": "1", "region": "eu", "tier": "1"} Some("{\"a\":\"1\"}")"#),
        (r#","data_source_name":"us""#, r#"data_source_name "us": must be one of main, eu"#),
        (
            r#","data_source_name":"a/../b""#,
            "data_source_name \"a/../b\": must be 1 to 128 letters, digits, '.', '_', '-' or '~' (ASCII), and not '.' or '..'",
        ),
    ] {
        let shown = match parse_one(format!(r#"{{"event_name":"e"{fields}}}"#).as_bytes(), &context) {
            Ok(Parsed { edge, .. }) => {
                let labels = format!("{:?}", edge.labels).replace("\"event_name\": \"e\", ", "").replace(", \"event_name\": \"e\"", "");
                format!("{} {labels} {:?}", edge.cluster, edge.attributes)
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected, "{fields}");
    }
}

#[test]
fn every_payload_is_taken_and_explained() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/payloads");
    let readme = include_str!("../../../../../examples/payloads/README.md");
    let mut taken = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| !path.ends_with("README.md")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("`{name}`")), "{name}");
        let text = std::fs::read_to_string(&file).unwrap();
        let bodies = if name.ends_with(".ndjson") { text.lines().collect() } else { vec![&*text] };
        for body in bodies {
            let body = with(&Mapping::default(), |context| parse_body(body.as_bytes(), context)).unwrap();
            let items = match body {
                Body::One(item) => vec![item],
                Body::Many(items) => items,
            };
            assert!(items.iter().all(|item| item.as_ref().is_ok_and(|parsed| parsed.warnings.is_empty())), "{name}: {items:?}");
            taken += items.len();
        }
    }
    assert!(taken >= 20, "{taken}");
}

/// The list in `examples/labels-drop.yml`.
fn drop_list() -> Vec<String> {
    let items = include_str!("../../../../../examples/labels-drop.yml").lines().filter_map(|line| line.trim().strip_prefix("- "));
    items.map(|item| item.split(" #").next().unwrap_or_default().trim().trim_matches('"').to_owned()).collect()
}

#[test]
fn the_drop_list_leaves_labels_that_repeat() {
    let list = drop_list();
    assert!(list.len() > 10, "{list:?}");
    let mapping =
        Mapping::new(MappingOptions { labels: LabelRules { drop: list, ..LabelRules::default() }, ..MappingOptions::default() }).unwrap();
    for (payload, expected) in [
        (
            payload!("github-action-stop.json"),
            r#"Stop 2026-02-20T10:00:00.000Z deployment{actor="jane", commit_sha="4bfc8480c1ff6a7fb8a7c3cf5d4d4a8bb1a4d1f0", deployment_environment="production", env="production", exported_event_name="push", ref="refs/heads/main", repository="acme/api", service_name="api", version="4bfc8480c1ff6a7fb8a7c3cf5d4d4a8bb1a4d1f0", workflow="Deploy"}"#,
        ),
        (
            payload!("jenkins-stop.json"),
            r#"Stop 2026-08-18T10:01:01.000Z deployment{build_param_region="eu", deployment_environment="production", jenkins_build_result="SUCCESS", jenkins_build_user="jane", jenkins_job_name="team/deploy", jenkins_node_name="n1", scm_author="jane", scm_branch="origin/main", scm_commit_sha="ec23f7a5b7d1a4f1f1e7c2b9a8d6e5f4c3b2a190", service="payments-api", service_name="payments-api"}"#,
        ),
    ] {
        let kept = with(&mapping, |context| parse_one(payload.as_bytes(), context)).unwrap().edge;
        assert_eq!(shown(&kept), expected);
        let all = edge(payload);
        assert_eq!((kept.identity, kept.attributes), (all.identity, all.attributes), "only labels are dropped");
    }
}

#[test]
fn an_id_is_of_the_labels_before_any_limit() {
    let id = |note: &str, bytes: usize| {
        let mut options = MappingOptions::default();
        options.limits.value_bytes = bytes;
        let body = format!(
            r#"{{"event_name": "job", "event_state": "start", "timestamp": "2026-02-20T10:00:00Z", "attributes": {{"note": "{note}"}}}}"#
        );
        with(&Mapping::new(options).unwrap(), |context| parse_one(body.as_bytes(), context)).unwrap().edge
    };
    let (long, other) = ("x".repeat(100), "x".repeat(99) + "y");
    let whole = id(&long, 1024);
    assert_eq!(whole.named, None);
    for bytes in [8, 50, 99] {
        let cut = id(&long, bytes);
        assert_eq!(cut.id(), whole.id(), "{bytes}");
        assert_ne!(cut.labels, whole.labels);
        assert_ne!(cut.id(), id(&other, bytes).id(), "what was cut counts");
    }
    // Longer than any label can be.
    assert_eq!(id(&"z".repeat(40_000), 8).id(), id(&"z".repeat(40_000), 1024).id());
}
