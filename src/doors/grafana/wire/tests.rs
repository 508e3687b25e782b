use super::*;
use crate::event::Details;
use crate::mapping::FormatError;
use crate::mapping::tags::EventNames;
use crate::mapping::whole::End;
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_771_581_600_000);

fn millis(at: i64) -> Timestamp {
    Timestamp::from_millis(at)
}

fn create(body: &str) -> Result<Creation, FormatError> {
    Fields::parse(body.as_bytes())?.create("id".into(), NOW, &EventNames::default())
}

#[test]
fn every_wrong_field_is_named() {
    #[track_caller]
    fn check(error: &FormatError, body: &str, message: &str) {
        assert!(error.to_string().contains(message), "{body}: {error}");
    }
    let with = |field: &str, value: &str| format!(r#"{{"text":"t","{field}":{value}}}"#);
    for (body, message) in [
        ("", "body: is empty"),
        ("[]", "body: must be a JSON object, not an array"),
        ("7", "body: must be a JSON object, not a number"),
        ("no", "body: must be a JSON object"),
        ("nullx", "body: must be a JSON object"),
        ("{", "body: EOF"),
        ("{} {}", "body: another value follows the first one: send one at a time"),
        ("{} x", "trailing"),
        ("{}", "text: must be given, and not be empty"),
        (r#"{"text":""}"#, "text: must be given, and not be empty"),
        (r#"{"text":null}"#, "text: must be given"),
        (r#"{"text":7}"#, "text 7: must be a string, not a number"),
        (r#"{"text":"\ud800"}"#, "text \"\\ud800\": "),
        (&with("time", "\"soon\""), "time \"soon\": must be milliseconds since 1970"),
        (&with("time", "[1]"), "time [1]: must be milliseconds since 1970, not an array"),
        (
            &with("time", "-62135596800000"),
            "time -62135596800000: is a zero time, which programs write for a time that was never set; leave it out where there is none",
        ),
        (&with("timeEnd", "253402300800000"), "timeEnd 253402300800000: must be milliseconds since 1970, of"),
        (&with("timeEnd", "1e300"), "timeEnd 1e300: must be milliseconds"),
        (&with("when", "true"), "when true: must be seconds since 1970, not a boolean"),
        (&with("when", "9223372036854775807"), "when 9223372036854775807: must be seconds"),
        (&with("tags", "\"a\""), "tags \"a\": must be an array of strings, not a string"),
        (&with("tags", "[1]"), "tags 1: must be a string, not a number"),
        (&with("tags", "[null]"), "tags null: must be a string, not null"),
        (&with("tags", &json!(vec!["x"; 1001]).to_string()), "tags: 1001, at most 1000"),
        (&with("panelId", "7.5"), "panelId 7.5: must be a whole number"),
        (&with("panelId", "\"7.5\""), "panelId \"7.5\": must be a whole number"),
        (&with("panelId", "{}"), "panelId {}: must be a whole number, not an object"),
        (&with("dashboardUID", "5"), "dashboardUID 5: must be a string"),
        (&with("data", r#"{"a":"\udc00"}"#), "data {\"a\":\"\\udc00\"}: "),
        (&with("data", &format!("{}1{}", "[".repeat(101), "]".repeat(101))), "nested deeper than 100 levels"),
    ] {
        check(&create(body).unwrap_err(), body, message);
    }
    for (body, message) in [
        ("{}", "what: must be given"),
        (r#"{"what":"w"}"#, "tags: must be given: an array of strings, or a string with blanks"),
        (r#"{"what":"w","tags":7}"#, "tags 7: must be an array of strings, not a number"),
        (r#"{"what":"w","tags":[7]}"#, "tags 7: must be a string"),
        (r#"{"what":"w","tags":"","when":"x"}"#, "when \"x\": must be seconds since 1970"),
    ] {
        check(&Fields::parse_graphite(body.as_bytes()).unwrap_err(), body, message);
    }
    for (body, message) in [
        ("{}", "annotationId: must be given"),
        (r#"{"annotationId":-1}"#, "annotationId: must not be negative"),
        (r#"{"dashboardId":1,"panelId":2}"#, "annotationId: must be given: those of a dashboard"),
        (r#"{"dashboardUID":"x"}"#, "annotationId: must be given: those of a dashboard"),
    ] {
        check(&parse_mass_delete(body.as_bytes()).unwrap_err(), body, message);
    }
    assert_eq!(parse_mass_delete(br#"{"annotationId":"7","panelId":0}"#).unwrap(), 7);
}

#[test]
fn null_empty_and_zero_say_nothing() {
    let none = r#"{"text":null,"time":null,"timeEnd":0,"tags":null,"dashboardId":0,"dashboardUID":"","panelId":null,"data":null,"when":0}"#;
    assert_eq!(Fields::parse(none.as_bytes()).unwrap(), Fields::default());
    assert_eq!(Fields::parse(b"\xef\xbb\xbf {} \n").unwrap(), Fields::default());
    let some = r#"{"TEXT":"t","time":"1771581600001","timeEND":1.771581600002e12,"Tags":[],"panelId":3.0,"data":{ "a": 1.50 },"isRegion":true,"text":"u"}"#;
    let expected = Fields {
        text: Some("u".into()),
        time: Some(millis(1_771_581_600_001)),
        time_end: Some(millis(1_771_581_600_002)),
        tags: Some(Vec::new()),
        panel_id: Some(3),
        data: Some(r#"{"a":1.50}"#.into()),
        ..Fields::default()
    };
    assert_eq!(Fields::parse(some.as_bytes()).unwrap(), expected);
}

#[test]
fn the_times_and_the_tags_say_what_becomes_of_it() {
    #[track_caller]
    fn check(fields: &str, at: Timestamp, end: End, closes: bool) {
        let creation = create(&format!(r#"{{"text":"t",{fields}}}"#)).unwrap();
        assert_eq!((creation.whole.at, creation.whole.end, creation.closes), (at, end, closes), "{fields}");
    }
    check(r#""x":1"#, NOW, End::Point, false);
    check(r#""time":5"#, millis(5), End::Point, false);
    check(r#""time":5,"timeEnd":0"#, millis(5), End::Point, false);
    check(r#""time":5,"timeEnd":5"#, millis(5), End::Point, false);
    check(r#""time":5,"timeEnd":9"#, millis(5), End::At(millis(9)), false);
    check(r#""time":9,"timeEnd":5"#, millis(5), End::At(millis(9)), false);
    // The other end is now.
    check(r#""timeEnd":9"#, millis(9), End::At(NOW), false);
    check(r#""when":2"#, millis(2000), End::Point, false);
    check(r#""when":2.0015"#, millis(2001), End::Point, false);
    check(r#""when":2,"time":7"#, millis(7), End::Point, false);
    check(r#""when":2,"timeEnd":7"#, millis(7), End::At(millis(2000)), false);
    check(r#""tags":["start"]"#, NOW, End::Open, false);
    check(r#""tags":["state:started"],"time":5"#, millis(5), End::Open, false);
    check(r#""tags":["start"],"time":5,"timeEnd":9"#, millis(5), End::At(millis(9)), false);
    check(r#""tags":["start"],"time":5,"timeEnd":5"#, millis(5), End::Point, false);
    check(r#""tags":["failed"]"#, NOW, End::Point, true);
    check(r#""tags":["failed"],"time":5,"timeEnd":9"#, millis(5), End::At(millis(9)), false);
    check(r#""tags":["start","failed"]"#, NOW, End::Point, false);
}

#[test]
fn an_event_has_what_its_body_says() {
    let body = r#"{"text":" <b>t</b>\n","tags":["deploy"," service: a","x"],"dashboardId":4,"dashboardUID":"d","panelId":2,"data":[1.0]}"#;
    let Creation { whole, .. } = create(body).unwrap();
    assert_eq!((&*whole.event_name, &*whole.details.description), ("deployment", " <b>t</b>\n"));
    let tags: crate::mapping::tags::Tags = vec![("deploy".into(), vec![]), ("service".into(), vec!["a".into()]), ("x".into(), vec![])];
    assert_eq!(whole.details.tags, tags);
    let written = Written::of(&whole.details).unwrap();
    assert!(written.created && written.is_text(" <b>t</b>\n"));
    assert!(!written.is_text(" <b>t</b>"), "another door wrote another one");
    assert_eq!(written.tags("deployment", &tags).unwrap(), ["deploy".into(), " service: a".into(), "x".into()]);
    assert!(written.tags("rollout", &tags).is_none(), "another door gave it another name");
    assert!(written.tags("deployment", &tags[1..].to_vec()).is_none(), "another door took a tag away");
    assert_eq!((written.dashboard_id, written.dashboard_uid.as_deref(), written.panel_id), (Some(4), Some("d"), Some(2)));
    assert_eq!(written.data.unwrap().get(), "[1.0]");
    let none = create(r#"{"text":"t"}"#).unwrap().whole;
    assert_eq!((&*none.event_name, none.details.tags.len(), none.details.extensions.len()), ("annotation", 0, 1));
    let bytes = std::str::from_utf8(&none.details.extensions[0].bytes).unwrap();
    let came_to = format!("{:032x}", crate::event::fingerprint([b"annotation".as_slice()]));
    let text_is = format!("{:032x}", crate::event::fingerprint([b"t".as_slice()]));
    assert_eq!(bytes, format!(r#"{{"created":true,"textIs":"{text_is}","tags":[],"cameTo":"{came_to}"}}"#));
}

#[test]
fn what_graphite_sends_is_the_same_in_other_words() {
    let fields = |body: &str| Fields::parse_graphite(body.as_bytes()).unwrap();
    let one = fields(r#"{"what":"w","tags":"a  b:c ","when":1771581600,"data":"d"}"#);
    let expected = Fields { text: Some("w\nd".into()), time: Some(NOW), tags: Some(vec!["a".into(), "b:c".into()]), ..Fields::default() };
    assert_eq!(one, expected);
    assert_eq!(fields(r#"{"what":"w","tags":["a b"],"data":null}"#).tags.unwrap(), ["a b".into()]);
    assert_eq!(fields(r#"{"what":"w","tags":""}"#), Fields { text: Some("w".into()), tags: Some(vec![]), ..Fields::default() });
}

#[test]
fn what_is_written_again_takes_the_place_of_what_was() {
    let extension = |tag, bytes: &[u8]| crate::event::Extension { tag, bytes: bytes.into() };
    let mut details = Details { extensions: vec![extension(1, b"one"), extension(9, b"nine")], ..Details::default() };
    assert!(Written::of(&details).is_none());
    Written { text: true, ..Written::default() }.put(&mut details);
    let known = Written::of(&details).unwrap();
    assert!(known.is_text("") && !known.is_text("t"));
    // What is put without a word of the text leaves it what it was.
    details.description = "t".into();
    known.put(&mut details);
    let known = Written::of(&details).unwrap();
    assert!(known.is_text("") && !known.is_text("t"));
    Written { panel_id: Some(3), ..Written::default() }.put(&mut details);
    assert_eq!(details.extensions, [extension(1, b"one"), extension(2, br#"{"panelId":3}"#), extension(9, b"nine")]);
    details.extensions[1].bytes = br#"{"created":true,"text":true}"#.as_slice().into();
    let before = Written::of(&details).unwrap();
    assert!(before.created && !before.is_text("t"), "a record of before has no hash of the text, which may be of another door by now");
    details.extensions[1].bytes = b"not JSON".as_slice().into();
    assert!(Written::of(&details).is_none(), "of a later program perhaps");
}

proptest! {
    #[test]
    fn no_body_does_harm(body in prop::collection::vec(any::<u8>(), 0..64), text in "\\PC{0,64}") {
        for parse in [Fields::parse, Fields::parse_graphite] {
            parse(&body).ok();
            parse(text.as_bytes()).ok();
            parse(format!("{{\"data\":{text}}}").as_bytes()).ok();
            parse(format!("{{\"time\":{text}}}").as_bytes()).ok();
        }
        parse_mass_delete(&body).ok();
        for value in [json!(text), json!([text])] {
            let body = json!({"text": value, "time": value, "tags": value, "data": value, "panelId": value, "annotationId": value, "what": value}).to_string();
            parse_mass_delete(body.as_bytes()).ok();
            for field in ["text", "time", "when", "tags", "data", "panelId"] {
                Fields::parse(json!({ field: value }).to_string().as_bytes()).ok();
                Fields::parse_graphite(json!({ field: value, "what": "w" }).to_string().as_bytes()).ok();
            }
        }
    }
}
