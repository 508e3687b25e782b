//! What a stranger may send: each row is a body and what is answered.

use super::parse;

#[track_caller]
fn check(body: &[u8], expected: &str) {
    let shown = match parse(body) {
        Ok(parsed) => {
            let warnings = parsed.warnings.iter().map(|warning| format!("; {warning}")).collect::<Vec<_>>().concat();
            format!("{:?}{warnings}", parsed.edge.labels)
        }
        Err(error) => format!("{} {error}", error.status()),
    };
    let shown = if shown.len() > 400 { format!("{} bytes", shown.len()) } else { shown };
    assert_eq!(shown, expected, "{}", String::from_utf8_lossy(body.get(..200).unwrap_or(body)));
}

fn attributes(json: &str) -> Vec<u8> {
    format!(r#"{{"event_name":"e","attributes":{json}}}"#).into_bytes()
}

const SEVERAL: &str = "400 body: another value follows the first one: send application/x-ndjson, one event to a line, or an array";

#[test]
fn bodies_that_are_no_event() {
    for (body, expected) in [
        (&b""[..], "400 body: is empty"),
        (b" \r\n", "400 body: is empty"),
        (b"\xef\xbb\xbf", "400 body: is empty"),
        (b"nonsense", "400 body nonsense: must be a JSON object, or an array of them"),
        (b"null", "400 body null: must be a JSON object, or an array of them"),
        (b"\"text\"", "400 body \"text\": must be a JSON object, or an array of them"),
        (b"[{}]", "400 body [{}]: must be a JSON object, or an array of them"),
        (b"{", "400 body: EOF while parsing an object at line 1 column 1"),
        (b"{}", "400 event_name: must be given"),
        (b"{\"event_name\":\"e\"} x", "400 body: trailing characters at line 1 column 20"),
        (b"{\"event_name\":\"e\"}{\"event_name\":\"e\"}", SEVERAL),
        (b"{\"event_name\":\"e\"}\r\n{\"event_name\":\"e\"}\n", SEVERAL),
        (b"{\"event_name\":\"e\"}\n{\"event_na", SEVERAL),
        (b"{\"event_name\":\"e\"{", "400 body: expected `,` or `}` at line 1 column 18"),
        (b"{'event_name':'e'}", "400 body: key must be a string at line 1 column 2"),
        (b"{\"event_name\":\"e\",}", "400 body: trailing comma at line 1 column 19"),
        (b"{\"event_name\":\"\xff\"}", "400 body: must be UTF-8, and is not from byte 15 on"),
        (b"{\"event_name\":\"\xed\xa0\x80\"}", "400 body: must be UTF-8, and is not from byte 15 on"),
        (b"{\"event_name\":\"a\0b\"}", "400 body: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 16"),
        (b"\0", "400 body  : must be a JSON object, or an array of them"),
    ] {
        check(body, expected);
    }
}

#[test]
fn fields_against_their_rules() {
    const AS_TEXT: &str = "must be an ISO 8601 text, not a Unix time: if it is one, send \"2026-02-09T15:13:20.000Z\"";
    const UNKNOWN: &str = "unknown; known are event_name, event_state, timestamp, attributes, data_source_name and value";
    for (fields, expected) in [
        (r#""event_name":null"#, "400 event_name: must be given".to_owned()),
        (r#""event_name":"""#, "400 event_name \"\": must not be empty".to_owned()),
        (r#""event_name":42"#, "400 event_name 42: must be a string, not a number".to_owned()),
        (r#""event_name":["e"]"#, "400 event_name [\"e\"]: must be a string, not an array".to_owned()),
        (r#""event_name":"\ud800""#, "400 event_name \"\\ud800\": unexpected end of hex escape at line 1 column 8".to_owned()),
        (r#""event_name":"e","event_name":"f""#, "400 field \"event_name\": given twice".to_owned()),
        (r#""event_name":"e","event\u005fname":"f""#, "400 field \"event_name\": given twice".to_owned()),
        (
            r#""event_name":"e","event_state":"paused""#,
            "400 event_state \"paused\": must be start or stop, or absent for a point in time".to_owned(),
        ),
        (
            r#""event_name":"e","event_state":"START""#,
            "400 event_state \"START\": must be start or stop, or absent for a point in time".to_owned(),
        ),
        (r#""event_name":"e","event_state":"""#, "400 event_state \"\": must be start or stop, or absent for a point in time".to_owned()),
        (r#""event_name":"e","event_state":true"#, "400 event_state true: must be a string, not a boolean".to_owned()),
        (r#""event_name":"e","timestamp":1770650000"#, format!("400 timestamp 1770650000: {AS_TEXT}")),
        (r#""event_name":"e","timestamp":1770650000000"#, format!("400 timestamp 1770650000000: {AS_TEXT}")),
        (r#""event_name":"e","timestamp":"1770650000""#, format!("400 timestamp \"1770650000\": {AS_TEXT}")),
        (r#""event_name":"e","timestamp":5"#, "400 timestamp 5: must be an ISO 8601 text, not a Unix time".to_owned()),
        (
            r#""event_name":"e","timestamp":"""#,
            "400 timestamp \"\": must be ISO 8601; year: must be four digits, or a sign and six digits".to_owned(),
        ),
        (
            r#""event_name":"e","timestamp":"2026-13-01""#,
            "400 timestamp \"2026-13-01\": must be ISO 8601; month: must be 01 to 12".to_owned(),
        ),
        (r#""event_name":"e","attributes":"a=b""#, "400 attributes \"a=b\": must be an object, not a string".to_owned()),
        (r#""event_name":"e","attributes":[{"a":1}]"#, "400 attributes [{\"a\":1}]: must be an object, not an array".to_owned()),
        (r#""event_name":"e","data_source_name":7"#, "400 data_source_name 7: must be a string, not a number".to_owned()),
        (r#""event_name":"e","value":"1""#, "400 value \"1\": must be a number, not a string".to_owned()),
        (r#""event_name":"e","value":1e999"#, "400 value 1e999: must be finite".to_owned()),
        (r#""event_name":"e","value":-1e400"#, "400 value -1e400: must be finite".to_owned()),
        (r#""event_name":"e","value":NaN"#, "400 body: expected value at line 1 column 27".to_owned()),
        (r#""event_name":"e","value":[1]"#, "400 value [1]: must be a number, not an array".to_owned()),
        (r#""event_name":"e","value":1e308"#, "{\"event_name\": \"e\"}".to_owned()),
        (r#""event_name":"e","event_type":"x""#, format!("400 field \"event_type\": {UNKNOWN}")),
        (r#""event_name":"e","Timestamp":"2026""#, format!("400 field \"Timestamp\": {UNKNOWN}")),
        (r#""event_name":"e","a\r\n\"\\\u0000":1"#, format!("400 field \"a\\r\\n\\\"\\\\\\0\": {UNKNOWN}")),
        (r#""event_name":"a\r\nb\"\\\u0000{}""#, r#"{"event_name": "a\nb\"\\\0{}"}"#.to_owned()),
    ] {
        check(format!("{{{fields}}}").as_bytes(), &expected);
    }
}

#[test]
fn attributes_against_their_rules() {
    for (json, expected) in [
        (
            r#"{"__name__":"up"}"#,
            "{\"event_name\": \"e\"}; attribute \"__name__\": names that start with __ are no labels; the event keeps it",
        ),
        (r#"{"__":1}"#, "{\"event_name\": \"e\"}; attribute \"__\": names that start with __ are no labels; the event keeps it"),
        (r#"{"\u005f_a":1}"#, "{\"event_name\": \"e\"}; attribute \"__a\": names that start with __ are no labels; the event keeps it"),
        (r#"{"__a":{"b":1}}"#, "{\"event_name\": \"e\"}; attribute \"__a.b\": names that start with __ are no labels; the event keeps it"),
        (r#"{"__a":null}"#, r#"{"event_name": "e"}"#),
        (r#"{"a":{"__b":1}}"#, r#"{"a___b": "1", "event_name": "e"}"#),
        (r#"{"a":"1","a":"1"}"#, "400 attribute \"a\": given twice"),
        (r#"{"a":null,"\u0061":null}"#, "400 attribute \"a\": given twice"),
        (r#"{"x":{"a":1,"b":2,"a":3}}"#, "400 attribute \"x.a\": given twice"),
        (r#"{"x":[{"a":1},{"a":2}]}"#, r#"{"event_name": "e", "x_a": "1,2"}"#),
        (r#"{"a":"\udc00"}"#, "400 attribute \"a\": lone leading surrogate in hex escape at line 1 column 7"),
        (r#"{"\ud800":1}"#, "400 attributes: unexpected end of hex escape at line 1 column 9"),
        (r#"{"a":"\ud83d\ude00"}"#, "{\"a\": \"\u{1f600}\", \"event_name\": \"e\"}"),
        (r#"{"a":"x\u0000y\r\n\u001b[31m"}"#, r#"{"a": "x\0y\n\u{1b}[31m", "event_name": "e"}"#),
        (r#"{"a\u0000b":"1"}"#, r#"{"a_b": "1", "event_name": "e"}"#),
        (r#"{"":"x"}"#, r#"{"_": "x", "event_name": "e"}"#),
        (
            r#"{"le":"0.5","quantile":"x","job":"j","instance":"i"}"#,
            r#"{"event_name": "e", "instance": "i", "job": "j", "le": "0.5", "quantile": "x"}"#,
        ),
        (r#"{"event_name":"a","event_state":"b"}"#, r#"{"event_name": "e", "exported_event_name": "a", "exported_event_state": "b"}"#),
        (
            r#"{"a.b":"1","a-b":"2","a_b":"3"}"#,
            "{\"a_b\": \"3\", \"event_name\": \"e\"}; label a_b: taken from attribute \"a_b\"; 2 more of that name stay on the event, without a label",
        ),
        (
            r#"{"a.b":"1","a-b":"2"}"#,
            "{\"a_b\": \"2\", \"event_name\": \"e\"}; label a_b: taken from attribute \"a-b\"; 1 more of that name stay on the event, without a label",
        ),
        (
            r#"{"event_name":"1","exported_event_name":"2"}"#,
            "{\"event_name\": \"e\", \"exported_event_name\": \"2\"}; label exported_event_name: taken from attribute \"exported_event_name\"; 1 more of that name stay on the event, without a label",
        ),
        (r#"{"n":123456789012345678901234567890.10}"#, r#"{"event_name": "e", "n": "123456789012345678901234567890.10"}"#),
        (r#"{"n":-1E+4096}"#, r#"{"event_name": "e", "n": "-1E+4096"}"#),
        (r#"{"n":{"$serde_json::private::Number":"x"}}"#, r#"{"event_name": "e", "n__serde_json__private__Number": "x"}"#),
        (r#"{"n":{"$serde_json::private::RawValue":"x"}}"#, r#"{"event_name": "e", "n__serde_json__private__RawValue": "x"}"#),
        (r#"{"a":[],"b":{},"c":[null,"",[]],"d":[{}]}"#, r#"{"event_name": "e"}"#),
    ] {
        check(&attributes(json), expected);
    }
}

#[test]
fn sizes_against_their_limits() {
    let nested = |depth: usize, open: &str, close: &str| attributes(&format!("{}1{}", open.repeat(depth), close.repeat(depth)));
    let long = |length: usize| "n".repeat(length);
    let many = |count: usize| (0..count).map(|number| format!("\"a{number}\":1")).collect::<Vec<_>>().join(",");
    let shown = "n".repeat(80);
    for (body, expected) in [
        (
            attributes(&format!("{{\"{}\":1}}", long(1 << 20))),
            format!("422 bytes in the name of attribute \"{shown}\"...: 1048576, at most 512"),
        ),
        (attributes(&format!("{{\"{}\":1}}", long(513))), format!("422 bytes in the name of attribute \"{shown}\"...: 513, at most 512")),
        (attributes(&format!("{{{},\"a7\":2}}", many(40))), "400 attribute \"a7\": given twice".to_owned()),
        (
            attributes(&format!("{{\"{}\":1}}", long(129))),
            format!(
                "{{\"event_name\": \"e\"}}; labels left out, 1 of them, beyond the limits of an event: \"{shown}\"...; it keeps the attributes"
            ),
        ),
        (attributes(&format!("{{\"{}\":1}}", long(128))), format!("{{\"event_name\": \"e\", \"{}\": \"1\"}}", long(128))),
        (
            format!("{{\"event_name\":\"{}\"}}", long(1025)).into_bytes(),
            format!("422 bytes in event_name \"{shown}\"...: 1025, at most 1024"),
        ),
        (
            format!("{{\"{}\":1}}", long(1 << 20)).into_bytes(),
            format!(
                "400 field \"{shown}\"...: unknown; known are event_name, event_state, timestamp, attributes, data_source_name and value"
            ),
        ),
        (attributes(&format!("{{{}}}", many(10_001))), "422 values in the attributes: 10001, at most 10000".to_owned()),
        (attributes(&format!("{{\"a\":[{}1]}}", "1,".repeat(10_000))), "422 values in the attributes: 10001, at most 10000".to_owned()),
        (nested(32, "{\"a\":", "}"), format!("{{\"{}\": \"1\", \"event_name\": \"e\"}}", vec!["a"; 32].join("_"))),
        (nested(34, "{\"a\":", "}"), format!("400 attribute \"{}\": nested deeper than 32 levels", vec!["a"; 33].join("."))),
        (nested(100_000, "{\"a\":", "}"), format!("400 attribute \"{}\": nested deeper than 32 levels", vec!["a"; 33].join("."))),
        (
            attributes(&format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))),
            "400 attribute \"a\": nested deeper than 32 levels".to_owned(),
        ),
        ("[".repeat(100_000).into_bytes(), format!("400 body {}...: must be a JSON object, or an array of them", "[".repeat(80))),
        ("{\"a\":".repeat(100_000).into_bytes(), "400 body: EOF while parsing a value at line 1 column 500000".to_owned()),
    ] {
        check(&body, &expected);
    }
}

#[test]
fn a_long_value_is_cut_between_characters_and_kept_whole() {
    let value = format!("a{}", "\u{e9}".repeat(600));
    let parsed = parse(&attributes(&format!("{{\"a\":\"{value}\"}}"))).unwrap();
    assert_eq!(parsed.edge.labels.value("a"), Some(&value[..1023]));
    assert_eq!(parsed.edge.attributes.as_deref(), Some(&*format!("{{\"a\":\"{value}\"}}")));
    assert_eq!(parsed.warnings[0].to_string(), "label a: value of 1201 bytes cut to at most 1024; the event keeps it whole");
}
