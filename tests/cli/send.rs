//! `send`: what goes over the wire, what is tried again, and how it ends.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{FakeServer, Reply, change_events, nowhere, run};

const PATH: &str = "/api/v4/organizations/default/change_events";

#[test]
fn everything_the_flags_say_is_sent() {
    let server = FakeServer::start(|_, _| {
        let body = json!({"message": "success", "id": "0a1b", "timestamp": "x", "warnings": ["3 days old", "a\u{1b}[2Jb"]});
        Reply::Answer(200, body.to_string())
    });
    let ended = run(change_events(&["send", "--event-name", "deployment", "--state", "stop"])
        .args(["--timestamp", "2026-W08-5T10:00:00,5+01", "-a", "service_name=api", "-a", "text=a=b \"c\""])
        .args(["-a", "count:=12", "-a", "ok:=true", "--value", "-2.50", "--data-source-name", "eu"])
        .args(["--org", "acme corp", "--idempotency-key", "k1", "--url", &server.url()])
        .env("CHANGE_EVENTS_TOKEN", "secret\n"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "0a1b\n");
    assert_eq!(ended.stderr, "change-events: warning: 3 days old\nchange-events: warning: a [2Jb\n");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.method, "PUT");
    assert_eq!(request.target, "/api/v4/organizations/acme%20corp/change_events");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-last9-api-token"), Some("Bearer secret"));
    assert_eq!(request.header("idempotency-key"), Some("k1"));
    let expected: Value = serde_json::from_str(
        r#"{"event_name":"deployment","event_state":"stop","timestamp":"2026-W08-5T10:00:00,5+01",
            "attributes":{"service_name":"api","text":"a=b \"c\"","count":12,"ok":true},"value":-2.50,"data_source_name":"eu"}"#,
    )
    .unwrap();
    assert_eq!(request.json(), expected);
}

#[test]
fn a_point_is_sent_with_the_time_of_the_first_try_and_nothing_that_was_not_said() {
    let server = FakeServer::start(|_, before| if before == 0 { Reply::Close } else { Reply::accepted() });
    let ended = run(&mut change_events(&["send", "-n", "flag", "--url", &server.url()]));
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "00ff\n", ""));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].target, PATH);
    assert_eq!(requests[0].header("x-last9-api-token"), None);
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    assert_eq!(requests[0].header("idempotency-key").unwrap().len(), 32);
    let body = requests[0].json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event_name", "timestamp"]);
    let time = body["timestamp"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
}

#[test]
fn two_runs_have_two_keys() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    for _ in 0..2 {
        run(&mut change_events(&["send", "-n", "flag", "--url", &server.url()]));
    }
    let requests = server.requests();
    assert_ne!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
}

#[test]
fn what_is_tried_again_and_what_is_not() {
    #[track_caller]
    fn check(status: u16, tries: usize) {
        let server = FakeServer::start(move |_, before| if before == 0 { Reply::error(status, "because") } else { Reply::accepted() });
        let ended = run(&mut change_events(&["send", "-n", "flag", "--url", &server.url()]));
        assert_eq!(server.requests().len(), tries, "{status}: {ended:?}");
        assert_eq!(ended.code, Some(i32::from(tries == 1)), "{status}: {ended:?}");
        if tries == 1 {
            assert!(ended.stderr.contains(&format!("{status}")), "{ended:?}");
            assert_eq!(ended.stdout, "");
        }
    }
    for status in [408, 421, 425, 429, 500, 502, 503, 504] {
        check(status, 2);
    }
    for status in [302, 400, 401, 403, 404, 409, 413, 415, 422] {
        check(status, 1);
    }
}

#[test]
fn the_reason_of_the_server_is_shown() {
    let server = FakeServer::start(|_, _| Reply::error(400, "event_name is missing"));
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &server.url()]));
    assert_eq!(ended.code, Some(1));
    let expected = format!("change-events: error: {}{PATH} refused it with 400: event_name is missing\n", server.url());
    assert_eq!(ended.stderr, expected);
}

#[test]
fn retry_after_is_honoured_and_not_outwaited() {
    let server = FakeServer::start(|_, before| match before {
        0 => Reply::With(429, ("Retry-After", "2".to_owned()), String::new()),
        _ => Reply::accepted(),
    });
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &server.url()]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.took >= Duration::from_secs(2), "{ended:?}");

    let server = FakeServer::start(|_, _| Reply::With(503, ("Retry-After", "60".to_owned()), String::new()));
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &server.url()]));
    assert_eq!((ended.code, server.requests().len()), (Some(1), 1), "{ended:?}");
    assert!(ended.took < Duration::from_secs(20), "{ended:?}");
}

#[test]
fn a_server_that_is_away_or_hangs_is_given_up_in_time() {
    let away = format!("http://{}", nowhere());
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &away, "--retry-for", "1s"]));
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("no answer from"), "{ended:?}");
    assert!(ended.took < Duration::from_secs(20), "{ended:?}");

    let server = FakeServer::start(|_, _| Reply::Hang);
    let url = server.url();
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &url, "--timeout", "300ms", "--retry-for", "1200ms"]));
    assert_eq!(ended.code, Some(1));
    assert!(server.requests().len() >= 2, "{ended:?}");
    assert!(ended.took < Duration::from_secs(20), "{ended:?}");
}

#[test]
fn answers_that_are_not_ours_are_a_failure() {
    let server = FakeServer::start(|_, _| Reply::Answer(200, "<html>hello</html>".to_owned()));
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &server.url()]));
    assert_eq!((ended.code, server.requests().len()), (Some(1), 1), "{ended:?}");
    let server = FakeServer::start(|_, _| Reply::Answer(200, r#"{"message":"success"}"#.to_owned()));
    let ended = run(&mut change_events(&["send", "-n", "x", "--url", &server.url()]));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "accepted\n"), "{ended:?}");
}

#[test]
fn the_token_comes_from_a_file_or_the_environment_and_never_shows() {
    let server = FakeServer::start(|_, _| Reply::error(401, "no"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "from-file\n").unwrap();
    let ended = run(change_events(&["send", "-n", "x", "--url", &server.url(), "--token-file"])
        .arg(&path)
        .env("CHANGE_EVENTS_TOKEN", "from-environment"));
    assert_eq!(server.requests()[0].header("x-last9-api-token"), Some("Bearer from-file"));
    assert!(!ended.stderr.contains("from-"), "{ended:?}");
    fs::write(&path, "two words").unwrap();
    let ended = run(change_events(&["send", "-n", "x", "--url", &server.url(), "--token-file"]).arg(&path));
    assert_eq!((ended.code, server.requests().len()), (Some(1), 1), "{ended:?}");
    assert!(!ended.stderr.contains("two words"), "{ended:?}");
    let ended = run(&mut change_events(&["send", "-n", "x", "--token", "secret"]));
    assert_eq!(ended.code, Some(2));
}

#[test]
fn wrong_usage_is_exit_code_2_and_sends_nothing() {
    let server = FakeServer::start(|_, _| Reply::accepted());
    let check = |arguments: &[&str]| {
        let mut all = vec!["send"];
        all.extend(arguments);
        let ended = run(change_events(&all).env("CHANGE_EVENTS_URL", server.url()));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.is_empty());
    };
    check(&[]);
    check(&["-n", "x", "--state", "begin"]);
    check(&["-n", "x", "-a", "novalue"]);
    check(&["-n", "x", "-a", "a=1", "-a", "a=2"]);
    check(&["-n", "x", "-a", "a:=nojson"]);
    check(&["-n", "x", "--value", "NaN"]);
    check(&["-n", "x", "--timeout", "0"]);
    check(&["-n", "x", "--timeout", "5"]);
    check(&["-n", "x", "--url", "localhost:1"]);
    check(&["-n", "x", "--org", "acme", "--retry-for", "5"]);
    check(&["-n", "x", "--nonsense"]);
    assert!(server.requests().is_empty());
}
