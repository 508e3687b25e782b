use super::*;
use proptest::prelude::*;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_771_581_600_000);

fn change(event: &serde_json::Value) -> Fields {
    parse_json(json!({ "event": event }).to_string().as_bytes()).unwrap().change
}

fn event(value: &serde_json::Value) -> Event {
    Event::new(change(value), || "made".into(), NOW).unwrap()
}

/// With its members in one order: `json!` sorts them.
fn sorted(mut event: Event) -> Event {
    event.tags.sort();
    event.detail_urls.sort();
    event
}

#[test]
fn moments_have_several_forms_and_one_is_answered() {
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse_moment(text).ok().map(isoformat).as_deref(), expected, "{text}");
    }
    check("2018-12-31T18:38:52.345678+00:00", Some("2018-12-31T18:38:52.345000+00:00"));
    check("2018-12-31 18:38:52.345000+00:00", Some("2018-12-31T18:38:52.345000+00:00"));
    check("2018-12-31T18:38:52", Some("2018-12-31T18:38:52+00:00"));
    check("2018-12-31T18:38", Some("2018-12-31T18:38:00+00:00"));
    check("2018-12-31T18:38:52,5+0130", Some("2018-12-31T17:08:52.500000+00:00"));
    check("20181231T183852Z", Some("2018-12-31T18:38:52+00:00"));
    check("12/05/16:10:25:00", Some("2016-12-05T10:25:00+00:00"));
    check("12/05/68:10:25:00", Some("2068-12-05T10:25:00+00:00"));
    check("12/05/69:10:25:00", Some("1969-12-05T10:25:00+00:00"));
    check("12/05/16:10:25", Some("2016-12-05T10:25:00+00:00"));
    check("13/05/16:10:25:00", None);
    check("12/05/2016:10:25:00", None);
    check("1/05/16:10:25:00", None);
    check("1546281532", Some("2018-12-31T18:38:52+00:00"));
    check("1546281532.345999", Some("2018-12-31T18:38:52.345000+00:00"));
    check("-1.5", Some("1969-12-31T23:59:58.500000+00:00"));
    check("20181231", Some("2018-12-31T00:00:00+00:00"));
    check("2018", Some("2018-01-01T00:00:00+00:00"));
    for wrong in ["", "None", "null", "yesterday", "NaN", "inf", "1e300", "-1e12", "12/05/16", "12/05/16:25:00:00"] {
        check(wrong, None);
    }
}

#[test]
fn wrong_bodies_are_refused() {
    #[track_caller]
    fn check(body: &str, status: u16, message: &str) {
        let error = parse_json(body.as_bytes()).unwrap_err();
        assert_eq!(error.status(), status, "{body}: {error}");
        assert!(error.to_string().contains(message), "{body}: {error}");
    }
    check("{}", 400, "required arguments ['event'] not passed");
    check(r#"{"event":null}"#, 400, "required arguments ['event'] not passed");
    check(r#"{"id":"bare"}"#, 400, "unknown field `id`");
    check(r#"{"event":{"bad_key":"hello"}}"#, 400, "unknown field `bad_key`");
    check(r#"{"event":{},"operation":"replace"}"#, 400, "only update and merge operation are supported, replace passed");
    check(r#"{"event":{},"operation":5}"#, 400, "only update and merge operation are supported, 5 passed");
    check(r#"{"event":{},"insert":"yes"}"#, 400, "body: ");
    check(r#"{"event":{"id":""}}"#, 400, "id \"\": must not be empty");
    check(&json!({"event": {"id": "x".repeat(101)}}).to_string(), 400, "101 characters: at most 100");
    check(&json!({"event": {"parent_id": "\u{e9}".repeat(101)}}).to_string(), 400, "parent_id");
    check(&json!({"event": {"tags": {"a": ["x".repeat(201)]}}}).to_string(), 400, "201 characters: at most 200");
    check(r#"{"event":{"start_time":"yesterday"}}"#, 400, "start_time \"yesterday\": ");
    check(r#"{"event":{"start_time":" 0000-00-00 00:00:00"}}"#, 400, "start_time \" 0000-00-00 00:00:00\": is a zero time");
    check(r#"{"event":{"start_time":null}}"#, 400, "start_time null: ");
    check(r#"{"event":{"end_time":{}}}"#, 400, "end_time {}: must be an ISO 8601 timestamp or Unix seconds");
    check(r#"{"event":{"tags":[]}}"#, 400, "expected an object");
    check(r#"{"event":{"tags":{"a":"b"}}}"#, 400, "must be a list of strings");
    check(r#"{"event":{"tags":{"a":[null]}}}"#, 400, "must be a string");
    check(r#"{"event":{"tags":{"None":["a"]}}}"#, 400, "a tag needs a key");
    check(r#"{"event":{"tags":{"":["a"]}}}"#, 400, "a tag needs a key");
    check(r#"{"event":{"detail_urls":{"a":["b"]}}}"#, 400, "must be a string");
    check(r#"{"event":{"description":{}}}"#, 400, "description {}: must be a string");
    check("", 400, "body: ");
    check("[]", 400, "expected an object");
    check("nullx", 400, "body: ");
    check(r#"{"event": 5}"#, 400, "expected an object");
    // A list of the values is none.
    check(r#"[{"description": "x"}, "merge", true]"#, 400, "expected an object");
    check(r#"{"event": ["x", null, null, 1, 2, "y", null, null]}"#, 400, "expected an object");
    check(&"[".repeat(100_000), 400, "body: ");
    let many: serde_json::Map<_, _> = (0..=MEMBERS_MAX).map(|number| (number.to_string(), json!(["x"]))).collect();
    check(&json!({"event": {"tags": many}}).to_string(), 422, "tags: 1001, at most 1000");
}

#[test]
fn times_that_are_not_given_follow_those_that_are() {
    #[track_caller]
    fn check(times: &serde_json::Value, start: i64, end: Option<i64>) {
        let event = event(times);
        assert_eq!((event.start.millis(), event.end.map(Timestamp::millis)), (start, end), "{times}");
    }
    check(&json!({}), NOW.millis(), Some(NOW.millis()));
    check(&json!({"start_time": 5}), 5000, Some(5000));
    check(&json!({"end_time": 5}), 5000, Some(5000));
    check(&json!({"end_time": " 1970-01-01T00:00:05Z\r\n"}), 5000, Some(5000));
    check(&json!({"start_time": 5, "end_time": 6.5}), 5000, Some(6500));
    check(&json!({"start_time": 5, "end_time": null}), 5000, None);
    check(&json!({"end_time": null}), NOW.millis(), None);
    let error = Event::new(change(&json!({"start_time": 6, "end_time": 5})), || "made".into(), NOW).unwrap_err();
    assert_eq!(error.to_string(), "end_time 1970-01-01T00:00:05+00:00: is before start_time 1970-01-01T00:00:06+00:00");
}

#[test]
fn yaml_says_the_same_as_json() {
    let yaml = "event:\n  id: 7\n  start_time: 2018-12-31T18:38:52Z\n  end_time:\n  description: |\n    two\n    lines\n  tags:\n    \
                build: [1.5]\n    status: [fail, yes]\noperation: update\ninsert: true\n";
    let json = json!({
        "event": {
            "id": "7", "start_time": "2018-12-31T18:38:52Z", "end_time": null, "description": "two\nlines\n",
            "tags": {"status": ["fail", "yes"], "build": ["1.5"]},
        },
        "operation": "update", "insert": true,
    });
    assert_eq!(parse_yaml(yaml.as_bytes()).unwrap(), parse_json(json.to_string().as_bytes()).unwrap());
    assert_eq!(parse_yaml(json.to_string().as_bytes()).unwrap(), parse_json(json.to_string().as_bytes()).unwrap());
    for wrong in ["", "event", "event: [1]", "- event: {}\n", "event: {a: b}", "event: {id: !!binary x}\n- y", "a: &a [*a]", "\u{0}"] {
        assert_eq!(parse_yaml(wrong.as_bytes()).unwrap_err().status(), 400, "{wrong:?}");
    }
    assert_eq!(parse_yaml(b"\xff").unwrap_err().status(), 400);
}

#[test]
fn a_laughing_body_is_refused() {
    let first = "event:\n  tags:\n    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let yaml = (1..9).fold(first, |yaml, level| {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        format!("{yaml}    a{level}: &a{level} [{below}]\n")
    });
    assert_eq!(parse_yaml(yaml.as_bytes()).unwrap_err().status(), 400);
}

/// What becomes of an event by a change; the eight keys are compared.
#[track_caller]
fn check(operation: Operation, before: &serde_json::Value, new: &serde_json::Value, after: &serde_json::Value) {
    let found = apply(operation, event(before), &change(new)).unwrap();
    assert_eq!(sorted(found), sorted(event(after)), "{before} {new}");
}

#[test]
fn merges_add() {
    let check = |before, new, after| check(Operation::Merge, &before, &new, &after);
    let base = json!({"id": "1", "source_id": "s", "start_time": 100, "end_time": 200, "description": " one "});
    let with = |key: &str, value: serde_json::Value| {
        let mut with = base.clone();
        with[key] = value;
        with
    };
    check(base.clone(), json!({}), base.clone());
    // Not even the end time, which tycho takes to be now.
    check(base.clone(), json!({"tags": {"a": ["b"]}}), with("tags", json!({"a": ["b"]})));
    check(base.clone(), json!({"start_time": 50}), with("start_time", json!(50)));
    check(base.clone(), json!({"start_time": 150}), base.clone());
    check(base.clone(), json!({"end_time": 250}), with("end_time", json!(250)));
    check(base.clone(), json!({"end_time": 150}), base.clone());
    check(base.clone(), json!({"end_time": null}), base.clone());
    check(with("end_time", json!(null)), json!({"end_time": 150}), with("end_time", json!(150)));
    check(base.clone(), json!({"source_id": "s", "parent_id": "p"}), with("parent_id", json!("p")));
    check(base.clone(), json!({"source_id": ""}), base.clone());
    check(base.clone(), json!({"description": "two"}), with("description", json!("one\ntwo")));
    check(base.clone(), json!({"description": " on "}), base.clone());
    check(base.clone(), json!({"description": "  "}), base.clone());
    check(with("description", json!("")), json!({"description": " new "}), with("description", json!(" new ")));
    check(
        with("detail_urls", json!({"a": "1", "b": "2"})),
        json!({"detail_urls": {"b": "3", "c": "4"}}),
        with("detail_urls", json!({"a": "1", "b": "3", "c": "4"})),
    );
    check(
        with("tags", json!({"author": ["Yusuke", "Sean"], "x": []})),
        json!({"tags": {"author": ["Yusuke", "Mayur"], "x": ["y"], "reviewer": ["z", "z"]}}),
        with("tags", json!({"author": ["Yusuke", "Sean", "Mayur"], "x": ["y"], "reviewer": ["z", "z"]})),
    );
    for clash in [json!({"source_id": "t"}), json!({"source_id": "s "})] {
        let error = apply(Operation::Merge, event(&base), &change(&clash)).unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (409, "Merge not possible:reserved keys have clashing values."));
    }
    let error = apply(Operation::Merge, event(&with("end_time", json!(null))), &change(&json!({"end_time": 50}))).unwrap_err();
    assert_eq!(error.status(), 400);
}

#[test]
fn updates_replace() {
    let check = |before, new, after| check(Operation::Update, &before, &new, &after);
    let base = json!({"id": "1", "source_id": "s", "start_time": 100, "end_time": 200, "tags": {"author": ["Saroj"], "x": ["y"]}});
    let with = |key: &str, value: serde_json::Value| {
        let mut with = base.clone();
        with[key] = value;
        with
    };
    check(base.clone(), json!({}), base.clone());
    check(base.clone(), json!({"tags": {"author": ["Yusuke"]}}), with("tags", json!({"author": ["Yusuke"]})));
    check(base.clone(), json!({"tags": {}}), with("tags", json!({})));
    check(base.clone(), json!({"source_id": "t", "parent_id": "p"}), {
        let mut both = with("source_id", json!("t"));
        both["parent_id"] = json!("p");
        both
    });
    check(base.clone(), json!({"source_id": ""}), with("source_id", json!("")));
    check(base.clone(), json!({"start_time": 150}), with("start_time", json!(150)));
    check(base.clone(), json!({"end_time": 150}), with("end_time", json!(150)));
    check(base.clone(), json!({"end_time": null}), with("end_time", json!(null)));
    check(base.clone(), json!({"description": null}), base.clone());
    assert_eq!(apply(Operation::Update, event(&base), &change(&json!({"end_time": 50}))).unwrap_err().status(), 400);
}

#[test]
fn merges_do_not_grow_an_event_beyond_what_may_be_put() {
    let before = event(&json!({"description": "x".repeat(EVENT_BYTES_MAX)}));
    assert_eq!(apply(Operation::Merge, before, &change(&json!({"description": "y"}))).unwrap_err().status(), 413);
    let tags = |from: usize| json!({"tags": (from..from + MEMBERS_MAX).map(|number| (number.to_string(), json!(["x"]))).collect::<serde_json::Map<_, _>>()});
    assert_eq!(apply(Operation::Merge, event(&tags(0)), &change(&tags(1))).unwrap_err().status(), 422);
}

#[test]
fn ids_may_be_anything_that_has_a_text() {
    for (id, expected) in [
        (json!("a/b\"c"), "a/b\"c"),
        (json!(7), "7"),
        (json!({"description": "Event without id"}), r#"{"description":"Event without id"}"#),
    ] {
        assert_eq!(&*event(&json!({"id": id})).id, expected);
    }
    assert_eq!(&*event(&json!({"id": null})).id, "made");
    assert_eq!(event(&json!({"id": "\u{e9}".repeat(100)})).id.chars().count(), 100);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[\\PC\n]{0,60}", event in "[\\[\\]{}:,\"'&*!|>#%@a0 \n-]{0,60}") {
        for text in [&text, &event, &format!("{{\"event\":{event}}}"), &format!("event: {event}"), &format!("event:\n  tags: {event}")] {
            parse_json(text.as_bytes()).ok();
            parse_yaml(text.as_bytes()).ok();
            parse_moment(text).ok();
        }
    }

    #[test]
    fn any_moment_is_answered_in_a_form_that_is_read(millis in -62_135_596_800_000i64..253_402_300_800_000) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(parse_moment(&isoformat(at)).ok(), Some(at));
        let seconds = format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000));
        if millis >= 0 {
            prop_assert_eq!(parse_moment(&seconds).ok(), Some(at), "{}", seconds);
        }
    }
}
