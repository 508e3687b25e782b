use super::*;
use proptest::prelude::*;

fn resolved(tags: &[&str]) -> Resolved {
    resolve(tags.iter().copied(), &EventNames::default())
}

/// The tags as texts, those of one key together.
fn texts(tags: &Tags) -> Vec<String> {
    tags.iter().map(|(key, values)| if values.is_empty() { key.to_string() } else { format!("{key}:{}", values.join("|")) }).collect()
}

#[track_caller]
fn check(tags: &[&str], name: &str, phase: Option<Phase>, expected: &[&str]) {
    let Resolved { event_name, phase: found, tags: kept } = resolved(tags);
    assert_eq!(
        (event_name.as_deref().unwrap_or_default(), found, texts(&kept)),
        (name, phase, expected.iter().map(|&tag| tag.to_owned()).collect()),
        "{tags:?}"
    );
}

#[test]
fn a_tag_is_split_at_its_first_colon() {
    for (tag, pair) in [
        ("service:checkout", Some(("service", "checkout"))),
        (" kind: Kustomization ", Some(("kind", "Kustomization"))),
        ("url:http://x:1/", Some(("url", "http://x:1/"))),
        ("outage", Some(("outage", ""))),
        ("outage:", Some(("outage", ""))),
        (":x", None),
        (" : ", None),
        ("", None),
    ] {
        assert_eq!(split(tag), pair, "{tag}");
    }
}

#[test]
fn the_name_is_said_by_a_key_else_by_a_bare_word() {
    check(&[], "", None, &[]);
    check(&["team:web"], "", None, &["team:web"]);
    check(&["deploy"], "deployment", None, &["deploy"]);
    check(&["x", "Rollout", "outage"], "deployment", None, &["x", "Rollout", "outage"]);
    check(&["outage"], "incident", None, &["outage"]);
    check(&["deploy", "event_name:migration"], "migration", None, &["deploy"]);
    check(&["event_type: scale", "event:y", "eventName:z"], "z", None, &["event_type:scale", "event:y"]);
    check(&["event_type:scale"], "scale", None, &[]);
    // The first `type` is the name for whoever reads it there.
    check(&["type:scale", "type:up"], "scale", None, &["type:scale|up"]);
    check(&["type:canary", "deploy"], "deployment", None, &["type:deployment|canary", "deploy"]);
    check(&["type"], "", None, &["type"]);
}

#[test]
fn keys_stay_as_sent_and_get_their_canonical_name_where_nothing_has_it() {
    check(&["app:checkout"], "", None, &["app:checkout", "service_name:checkout"]);
    check(&["app:a", "service:b"], "", None, &["app:a", "service:b"]);
    check(&["svc:c", "app:a", "app:b"], "", None, &["svc:c", "app:a|b", "service_name:a"]);
    check(&["service_name:x", "app:y"], "", None, &["service_name:x", "app:y"]);
    check(&["env:prod", "stage"], "", None, &["env:prod", "stage"]);
    check(&["stage:blue", "prod"], "", None, &["stage:blue", "prod", "deployment_environment:blue"]);
    check(&["qa"], "", None, &["qa", "deployment_environment:qa"]);
    check(&["commit:abc", "release:1.2"], "", None, &["commit:abc", "release:1.2", "version:1.2", "vcs_ref_head_revision:abc"]);
    check(&["git.commit.sha:abc"], "", None, &["git.commit.sha:abc", "vcs_ref_head_revision:abc"]);
    check(&["kubeNamespace:apps"], "", None, &["kubeNamespace:apps", "k8s_namespace_name:apps"]);
    check(
        &["flux", "kustomize-controller", "revision: main@sha1|ab12", "kind: Kustomization", "name: web", "namespace: apps"],
        "",
        None,
        &[
            "flux",
            "kustomize-controller",
            "revision:main@sha1|ab12",
            "kind:Kustomization",
            "name:web",
            "namespace:apps",
            "vcs_ref_head_revision:main@sha1|ab12",
            "k8s_namespace_name:apps",
            "k8s_object_kind:Kustomization",
        ],
    );
}

#[test]
fn several_values_of_a_key_are_a_list_and_the_same_tag_is_one() {
    check(&["team:web", "team:ops", "team: web", "on", "on"], "", None, &["team:web|ops", "on"]);
    check(&["deploy", "deploy:blue", "deploy"], "deployment", None, &["deploy:blue"]);
}

#[test]
fn words_say_which_end_it_is_and_how_it_ended() {
    let (start, stop) = (Some(Phase::Start), Some(Phase::Stop));
    check(&["start"], "", start, &["start"]);
    check(&["In-Progress"], "", start, &["In-Progress"]);
    check(&["state:started"], "", start, &["state:started"]);
    check(&["event_state:start"], "", start, &[]);
    check(&["event_state:odd"], "", None, &["event_state:odd"]);
    check(&["stop"], "", stop, &["stop"]);
    check(&["done"], "", stop, &["done", "deployment_status:succeeded"]);
    check(&["done", "failed"], "", stop, &["done", "failed", "deployment_status:failed"]);
    check(&["failed", "done"], "", stop, &["failed", "done", "deployment_status:failed"]);
    check(&["Timed-Out"], "", stop, &["Timed-Out", "deployment_status:failed"]);
    check(&["deployed"], "", stop, &["deployed", "deployment_status:succeeded"]);
    check(&["phase:Aborted"], "", stop, &["phase:Aborted", "deployment_status:cancelled"]);
    check(&["deploy", "green"], "deployment", None, &["deploy", "green"]);
    check(&["status:UNSTABLE"], "", None, &["status:UNSTABLE"]);
    check(&["status:failure"], "", stop, &["status:failure", "deployment_status:failed"]);
    check(&["start", "failed"], "", None, &["start", "failed", "deployment_status:failed"]);
    check(&["start", "phase:end"], "", stop, &["start", "phase:end"]);
    check(&["status:running"], "", None, &["status:running"]);
    check(&["failed", "deployment_status:odd"], "", stop, &["failed", "deployment_status:odd"]);
    check(&["rollback"], "", None, &["rollback", "deployment_action:rolledback"]);
}

#[test]
fn a_configuration_adds_names_and_is_checked() {
    let names = EventNames::with([("Feature-Flag", "flag_change"), ("outage", "downtime")]).unwrap();
    let name = |tag: &str| resolve([tag], &names).event_name;
    assert_eq!(
        (name("feature flag").as_deref(), name("outage").as_deref(), name("incident").as_deref()),
        (Some("flag_change"), Some("downtime"), Some("incident"))
    );
    for (configured, message) in [
        (vec![("", "x")], "\"\": must be a bare tag: not empty, and without a colon"),
        (vec![("a:b", "x")], "\"a:b\": must be a bare tag"),
        (vec![("a", " ")], "\"a\": must be given, and not be empty"),
        (vec![("a b", "x"), ("a-b", "y")], "\"a-b\": another tag is the same"),
    ] {
        let error = EventNames::with(configured.clone()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{configured:?}: {error}");
    }
}

#[test]
fn an_end_is_of_what_has_the_same_tags_but_for_the_outcome() {
    #[track_caller]
    fn check(one: &[&str], other: &[&str], is_same: bool) {
        assert_eq!(is_same_but_for_outcome(&resolved(one).tags, &resolved(other).tags), is_same, "{one:?} {other:?}");
    }
    check(&["deploy", "service:a", "start"], &["service: a", "deploy", "failed"], true);
    check(&["deploy", "state:start"], &["deploy", "status:success", "result:green"], true);
    check(&["deploy", "start"], &["deploy", "stop", "deployment_status:odd"], true);
    check(&["deploy", "start"], &["deploy", "stop", "jenkins_build_result:UNSTABLE"], true);
    check(&["deploy", "service:a", "start"], &["deploy", "service:b", "stop"], false);
    check(&["deploy", "start"], &["deploy", "stop", "more"], false);
    check(&["deploy", "start", "x:1", "x:2"], &["deploy", "stop", "x:2", "x:1"], true);
}

#[test]
fn what_the_end_says_joins_what_the_beginning_said() {
    #[track_caller]
    fn check(begun: &[&str], ended: &[&str], expected: &[&str]) {
        let boxed = |tags: &[&str]| tags.iter().map(|&tag| tag.into()).collect::<Vec<Box<str>>>();
        assert_eq!(joined(&boxed(begun), &boxed(ended)), boxed(expected), "{begun:?} {ended:?}");
    }
    check(&["deploy", "a: b", "start"], &["a:b", "deploy", "failed"], &["deploy", "a: b", "start", "failed"]);
    check(&["status:started", "x:1"], &["status:success", "x:1"], &["status:success", "x:1"]);
    check(&["state:start"], &["status:success"], &["state:start", "status:success"]);
    check(&[], &["", ":", "done"], &["done"]);
}

proptest! {
    /// What is resolved and written as tags again says the same: a client may read, and put back.
    #[test]
    fn what_is_resolved_stays_what_it_is(tags in prop::collection::vec("(deploy|start|failed|prod|app|service|type|event|status|x| )?:?(a|b|done| ?c:d)?", 0..6)) {
        let once = resolve(tags.iter().map(|tag| &**tag), &EventNames::default());
        let mut written: Vec<String> = once.event_name.iter().map(|name| text("event_name", name)).collect();
        written.extend(once.tags.iter().flat_map(|(key, values)| if values.is_empty() { vec![key.to_string()] } else { values.iter().map(|value| text(key, value)).collect() }));
        let twice = resolve(written.iter().map(|tag| &**tag), &EventNames::default());
        prop_assert_eq!((&twice.event_name, &twice.tags), (&once.event_name, &once.tags), "{:?} {:?}", tags, written);
    }

    #[test]
    fn no_tag_does_harm(tags in prop::collection::vec("\\PC{0,12}", 0..6)) {
        let once = resolve(tags.iter().map(|tag| &**tag), &EventNames::default());
        prop_assert!(once.tags.iter().all(|(key, values)| !key.is_empty() && values.iter().all(|value| !value.is_empty())));
    }
}
