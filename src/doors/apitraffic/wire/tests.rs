use super::*;
use proptest::prelude::*;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_771_581_600_000);

fn parse(body: &str) -> Result<Fields, FieldError> {
    Fields::parse(body.as_bytes())
}

fn create(body: &str) -> Result<Whole, FieldError> {
    parse(body)?.create("evt_1".into(), NOW)
}

#[track_caller]
fn check_refused(body: &str, field: &str, message: &str) {
    let error = create(body).unwrap_err();
    assert_eq!((&*error.field, error.error.status()), (field, 400), "{body}: {error}");
    assert!(error.to_string().contains(message), "{body}: {error}");
}

#[test]
fn every_wrong_field_is_named() {
    let with = |field: &str, value: &str| format!(r#"{{"type":"scale","name":"n","{field}":{value}}}"#);
    for (body, field, message) in [
        ("", "", "body: is empty"),
        (" \n", "", "body: is empty"),
        ("[]", "", "must be a JSON object, not an array"),
        ("7", "", "must be a JSON object, not a number"),
        ("true1", "", "must be a JSON object"),
        ("\"x\"", "", "must be a JSON object, not a string"),
        ("null", "", "must be a JSON object, not null"),
        ("{", "", "EOF"),
        ("{} {}", "", "another value follows the first one: send one at a time"),
        ("{} x", "", "trailing"),
        ("{}", "type", "type: must be given"),
        (r#"{"type":"scale"}"#, "name", "name: must be given"),
        (r#"{"type":"party","name":"n"}"#, "type", "type \"party\": must be one of deployment"),
        (r#"{"type":"Deployment","name":"n"}"#, "type", "must be one of"),
        (r#"{"type":7,"name":"n"}"#, "type", "type 7: must be a string, not a number"),
        (r#"{"type":null,"name":"n"}"#, "type", "not null"),
        (r#"{"type":"scale","name":""}"#, "name", "must not be empty"),
        (r#"{"type":"scale","name":" \t"}"#, "name", "must not be empty"),
        (r#"{"type":"scale","name":null}"#, "name", "not null"),
        (r#"{"type":"scale","name":["n"]}"#, "name", "not an array"),
        (r#"{"type":"scale","name":"\ud800"}"#, "name", "hex escape"),
        (r#"{"type":"scale","name":"n","name":"m"}"#, "name", "given twice"),
        (r#"{"type":"scale","name":"n","na\u006de":"m"}"#, "name", "given twice"),
        (&with("nmae", "1"), "nmae", "field \"nmae\": unknown; known are type, name, description"),
        (&with("description", "5"), "description", "must be a string"),
        (&with("source", "{}"), "source", "must be a string, not an object"),
        (&with("buckets", "\"a\""), "buckets", "must be an array of strings, not a string"),
        (&with("buckets", "[1]"), "buckets", "must be a string, not a number"),
        (&with("buckets", "[null]"), "buckets", "not null"),
        (&with("buckets", "[\"\"]"), "buckets", "must not be empty"),
        (&with("environments", "{}"), "environments", "not an object"),
        (&with("environments", &json!(vec!["x"; 1001]).to_string()), "environments", "at most 1000"),
        (&with("startedAt", "\"yesterday\""), "startedAt", "must be ISO 8601"),
        (&with("startedAt", "1771581600"), "startedAt", "not a Unix time: if it is one, send \"2026-02-20T10:00:00.000Z\""),
        (&with("startedAt", "\"1771581600000\""), "startedAt", "not a Unix time: if it is one, send \"2026-02-20T10:00:00.000Z\""),
        (&with("endedAt", "\"2026-02-30T00:00:00Z\""), "endedAt", "must be ISO 8601"),
        (&with("endedAt", "\"2026-02-20T09:59:59.999Z\""), "endedAt", "must not be before startedAt, 2026-02-20T10:00:00.000Z"),
        (&with("metadata", "[]"), "metadata", "must be an object, not an array"),
        (&with("metadata", "\"{}\""), "metadata", "must be an object, not a string"),
        (&with("metadata", r#"{"a":"\udc00"}"#), "metadata", "surrogate"),
    ] {
        check_refused(body, field, message);
    }
}

#[test]
fn a_body_that_is_no_text_is_refused() {
    let error = Fields::parse(b"{\"type\":\"\xff\"}").unwrap_err();
    assert!(error.to_string().contains("must be UTF-8, and is not from byte 9 on"), "{error}");
}

#[test]
fn an_event_has_what_its_body_says_and_defaults() {
    let least = create(r#"{"type":"deployment","name":"v1"}"#).unwrap();
    assert_eq!((&*least.event_name, least.at, least.end), ("deployment", NOW, End::Point));
    assert_eq!(least.details, Details { name: "v1".into(), ..Details::default() });
    let body = json!({
        "type": "incident", "name": "INC-1", "description": "d", "source": "manual", "buckets": ["bkt_b", "bkt_a", "bkt_b"],
        "environments": ["*"], "startedAt": "2026-02-20T10:00:00+01:00", "endedAt": "2026-02-20T10:00:00+01:00",
        "metadata": {"b": [1, {"c": null}], "a": 1.50}, "sid": 7, "accountSid": {}, "createdAt": null, "updatedAt": [], "open": 1,
        "durationMs": "x",
    });
    let most = create(&body.to_string()).unwrap();
    let at = Timestamp::from_millis(NOW.millis() - 3_600_000);
    assert_eq!((&*most.event_name, most.at, most.end), ("incident", at, End::At(at)));
    let Details { description, source, buckets, environments, metadata, .. } = most.details;
    assert_eq!((&*description, &*source, environments.len()), ("d", "manual", 0), "all environments is none");
    assert_eq!(buckets, ["bkt_b".into(), "bkt_a".into()], "once each, in the order given");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&metadata).unwrap(), body["metadata"]);
}

#[test]
fn only_an_incident_is_open_without_an_end() {
    for kind in Type::ALL {
        for ended in ["", r#","endedAt":null"#] {
            let whole = create(&format!(r#"{{"type":"{}","name":"n"{ended}}}"#, kind.name())).unwrap();
            assert_eq!(whole.end, if kind == Type::Incident { End::Open } else { End::Point }, "{kind:?} {ended}");
        }
    }
}

#[test]
fn null_says_that_there_is_none() {
    let fields =
        parse(r#"{"description":null,"source":null,"buckets":null,"environments":[],"startedAt":null,"endedAt":null,"metadata":null}"#);
    let all = || Some(vec![Box::from(ALL)]);
    let expected = Fields {
        description: Some("".into()),
        source: Some("".into()),
        buckets: all(),
        environments: all(),
        ended_at: EndedAt::Null,
        metadata: Some("".into()),
        ..Fields::default()
    };
    assert_eq!(fields.unwrap(), expected);
    assert_eq!(parse("\u{feff} {}\n").unwrap(), Fields::default(), "a byte order mark is no text");
}

#[test]
fn metadata_is_kept_as_written() {
    for (metadata, kept) in [
        (
            r#"{ "n" : 1.50e400, "big" : 123456789012345678901234567890, "s": " a " }"#,
            r#"{"n":1.50e400,"big":123456789012345678901234567890,"s":" a "}"#,
        ),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ("{}", "{}"),
    ] {
        assert_eq!(parse(&format!(r#"{{"metadata":{metadata}}}"#)).unwrap().metadata.as_deref(), Some(kept));
    }
}

#[test]
fn metadata_is_nested_as_deep_as_readers_can_follow() {
    let nested = |open: &str, close: &str, levels: usize| {
        parse(&format!(r#"{{"metadata":{{"a":{}1{}}}}}"#, open.repeat(levels), close.repeat(levels))).map(|_| ())
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"$serde_json::private::Number\":", "}")] {
        assert_eq!(nested(open, close, 90), Ok(()), "{open}");
        let error = nested(open, close, 200).unwrap_err();
        assert_eq!(&*error.field, "metadata", "{error}");
        assert!(nested(open, close, 100_000).is_err());
    }
}

proptest! {
    #[test]
    fn no_body_does_harm(body in prop::collection::vec(any::<u8>(), 0..64), text in "\\PC{0,64}") {
        Fields::parse(&body).ok();
        parse(&text).ok();
        parse(&format!("{{\"metadata\":{text}}}")).ok();
    }
}
