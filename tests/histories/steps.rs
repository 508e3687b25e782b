//! A history as text, one step a line: what the generator makes, the runner plays, and a failing test prints.
//!
//! | step | what it is |
//! |---|---|
//! | `start job @-1m entity_id=x` | an edge by Last9's door: also `stop` and `point`; several with ` + ` between them are an array |
//! | `lines start a + stop a` | the same as a stream of lines |
//! | `create incident name=a @-1h` | a whole event by `ApiTraffic`'s door |
//! | `change #3 name=b ..5m`, `delete #3` | the same door, for the event that step 3 was answered with (`#3.1` for the second item) |
//! | `etsput e1 @-1h ..0 host=a` | a whole event by ETS' door; also `etsmerge`, `etsinsert`, `etsupdate`, `etsdelete`, of an id or a `#3` |
//! | `again 3` | the request of step 3 once more |
//! | `at once: start a \| change #3 name=b` | requests of which none waits for another one's answer, so that they are one commit |
//! | `clock 2d` | time goes on to then |
//! | `kill`, `kill skew=0s retention=2d`, `crash` | the process is killed and started again, or the power goes; a reader looks before and after |
//! | `fail sync` | the next such call on the disk fails |
//!
//! `@` is when it begins and `..` when it ends (alone: not yet), counted from the begin of the history; `key:k` is an
//! `Idempotency-Key`, `to:c` a cluster, `in:b` an organization; `if:now` is an `If-Match` with the version that the event
//! has, `if:3` with the one that step 3 was answered with; anything with a `=` is a field.

use std::fmt;
use std::fmt::Write as _;

use change_events::time::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// The begin of every history, 2026-02-20T10:00:00Z.
const BEGIN: i64 = 1_771_581_600_000;
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1000)];
/// The path of the door of ETS.
pub(crate) const ETS: &str = "/api/v1/event/";
/// The organization of a step that names none.
pub(crate) const USUAL: &str = "acme";
const DETAILS: [&str; 4] = ["name", "description", "source", "type"];

/// A step, with the number that others name it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) number: usize,
    pub(crate) text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.number, self.text)
    }
}

/// Reads the lines that a failing test prints.
pub(crate) fn parse(text: &str) -> Vec<Step> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let step = |line: &str| {
        let (number, text) = line.split_once(": ").unwrap_or_else(|| panic!("no step: {line}"));
        Step { number: number.parse().unwrap(), text: text.to_owned() }
    };
    lines.map(step).collect()
}

/// A span of time as `-1d2h`.
pub(crate) fn print_span(mut millis: i64) -> String {
    if millis == 0 {
        return "0".to_owned();
    }
    let mut text = if millis < 0 { "-".to_owned() } else { String::new() };
    millis = millis.abs();
    for unit in ["d", "h", "m", "s", "ms"] {
        let size = UNITS.iter().find(|(name, _)| *name == unit).unwrap().1;
        if millis >= size {
            write!(text, "{}{unit}", millis / size).unwrap();
            millis %= size;
        }
    }
    text
}

/// The moment that is so long after the begin.
pub(crate) fn moment(text: &str) -> Timestamp {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut millis = 0;
    while rest != "0" && !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or_else(|| panic!("no span: {text}"));
        let (number, tail) = rest.split_at(digits);
        let (unit, size) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).unwrap_or_else(|| panic!("no span: {text}"));
        millis += number.parse::<i64>().unwrap() * size;
        rest = &tail[unit.len()..];
    }
    Timestamp::from_millis(BEGIN + sign * millis)
}

/// Whose events, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) organization: String,
    pub(crate) id: String,
}

/// What an `If-Match` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The version that the event has when the request is made.
    Now,
    /// The version that a step was answered with.
    Step(usize),
    /// This one.
    Version(String),
}

/// What a client sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) organization: String,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The event that it is about, where it is one that is there already.
    pub(crate) subject: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) if_match: Option<Match>,
    /// A stream of lines.
    pub(crate) is_lines: bool,
    pub(crate) body: String,
}

/// What a restart changes.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    pub(crate) skew: String,
    pub(crate) retention: String,
}

impl Default for Flags {
    fn default() -> Self {
        Self { skew: "5s".to_owned(), retention: "4d".to_owned() }
    }
}

/// What a step does.
pub(crate) enum Act<'a> {
    Send(Request),
    Together(Vec<Request>),
    Again(usize),
    Clock(Timestamp),
    /// Whether the power goes too, and what flags are from then on.
    Kill(bool, Vec<(&'a str, &'a str)>),
    Fail(&'a str),
}

/// The words of a step, by what they begin with.
#[derive(Default)]
struct Words<'a> {
    verb: &'a str,
    subject: &'a str,
    at: Option<&'a str>,
    ends: Option<&'a str>,
    key: Option<&'a str>,
    cluster: Option<&'a str>,
    organization: Option<&'a str>,
    if_match: Option<Match>,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let mut words = text.split_ascii_whitespace();
        let mut found = Self { verb: words.next().unwrap_or_default(), ..Self::default() };
        for word in words {
            if let Some(at) = word.strip_prefix('@') {
                found.at = Some(at);
            } else if let Some(ends) = word.strip_prefix("..") {
                found.ends = Some(ends);
            } else if let Some(key) = word.strip_prefix("key:") {
                found.key = Some(key);
            } else if let Some(cluster) = word.strip_prefix("to:") {
                found.cluster = Some(cluster);
            } else if let Some(organization) = word.strip_prefix("in:") {
                found.organization = Some(organization);
            } else if let Some(version) = word.strip_prefix("if:") {
                found.if_match = Some(version.parse().map_or(Match::Now, Match::Step));
            } else if let Some(field) = word.split_once('=') {
                found.fields.push(field);
            } else {
                found.subject = word;
            }
        }
        found
    }

    /// The id that is meant: itself, or what a step was answered with.
    fn id(&self, ids: &dyn Fn(&str) -> Option<Id>) -> Option<Id> {
        let organization = self.organization.unwrap_or(USUAL);
        let named = || Some(Id { organization: organization.to_owned(), id: self.subject.to_owned() });
        self.subject.strip_prefix('#').map_or_else(named, ids)
    }

    /// An edge as Last9 has it.
    fn edge(&self) -> Value {
        let mut edge = json!({ "event_name": self.subject });
        if self.verb != "point" {
            edge["event_state"] = self.verb.into();
        }
        if let Some(at) = self.at {
            edge["timestamp"] = moment(at).to_string().into();
        }
        if let Some(cluster) = self.cluster {
            edge["data_source_name"] = cluster.into();
        }
        edge["attributes"] =
            self.fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect::<Map<_, _>>().into();
        edge
    }

    /// Fields as `ApiTraffic` has them.
    fn whole(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        for (name, value) in &self.fields {
            let text = if *value == "null" { Value::Null } else { (*value).into() };
            match *name {
                "bucket" => fields.insert("buckets".into(), json!([text])),
                "environment" => fields.insert("environments".into(), json!([text])),
                name if DETAILS.contains(&name) => fields.insert(name.into(), text),
                name => fields.insert("metadata".into(), json!({ name: text })),
            };
        }
        self.add_times(&mut fields, "startedAt", "endedAt");
        fields
    }

    /// Fields as ETS has them.
    fn ets(&self, id: &str) -> Value {
        let mut fields = Map::from_iter([("id".to_owned(), id.into())]);
        let mut tags = Map::new();
        for (name, value) in &self.fields {
            match *name {
                "description" | "parent_id" => fields.insert((*name).into(), (*value).into()),
                name => tags.insert(name.into(), json!([value])),
            };
        }
        if !tags.is_empty() {
            fields.insert("tags".into(), tags.into());
        }
        self.add_times(&mut fields, "start_time", "end_time");
        fields.into()
    }

    fn add_times(&self, fields: &mut Map<String, Value>, start: &str, end: &str) {
        if let Some(at) = self.at {
            fields.insert(start.into(), moment(at).to_string().into());
        }
        if let Some(ends) = self.ends {
            fields.insert(end.into(), if ends.is_empty() { Value::Null } else { moment(ends).to_string().into() });
        }
    }
}

/// What a step does; `None` when it names the answer of a step that there is none of.
pub(crate) fn act<'a>(text: &'a str, ids: &dyn Fn(&str) -> Option<Id>) -> Option<Act<'a>> {
    if let Some(requests) = text.strip_prefix("at once: ") {
        return Some(Act::Together(requests.split(" | ").filter_map(|text| request(text, ids)).collect()));
    }
    let words = Words::of(text);
    Some(match words.verb {
        "again" => Act::Again(words.subject.parse().unwrap()),
        "clock" => Act::Clock(moment(words.subject)),
        "kill" | "crash" => Act::Kill(words.verb == "crash", words.fields),
        "fail" => Act::Fail(words.subject),
        _ => Act::Send(request(text, ids)?),
    })
}

/// The request of a step that is one.
fn request(text: &str, ids: &dyn Fn(&str) -> Option<Id>) -> Option<Request> {
    let is_lines = text.starts_with("lines ");
    let text = text.strip_prefix("lines ").unwrap_or(text);
    let words = Words::of(text);
    let send = |method, path: String, body: String| {
        let organization = words.organization.unwrap_or(USUAL).to_owned();
        let (key, if_match) = (words.key.map(str::to_owned), words.if_match.clone());
        Request { organization, method, path, subject: None, key, if_match, is_lines, body }
    };
    let wholes = |organization: &str| format!("/v1/accounts/{organization}/events");
    let about = |method, path: &dyn Fn(&Id) -> String, body: &dyn Fn(&Id) -> Value| {
        let id = words.id(ids)?;
        let body = body(&id);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = send(method, path(&id), body);
        Some(Request { organization: id.organization, subject: Some(id.id), ..request })
    };
    let whole = |method, body: &dyn Fn(&Id) -> Value| about(method, &|id| format!("{}/{}", wholes(&id.organization), id.id), body);
    let ets = |operation: &str, insert: bool| {
        about("POST", &|_| ETS.into(), &|id| json!({ "operation": operation, "insert": insert, "event": words.ets(&id.id) }))
    };
    match words.verb {
        "start" | "stop" | "point" => {
            let edges: Vec<Value> = text.split(" + ").map(|part| Words::of(part).edge()).collect();
            let body = match &*edges {
                _ if is_lines => edges.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
                [edge] => edge.to_string(),
                _ => json!(edges).to_string(),
            };
            Some(send("PUT", format!("/api/v4/organizations/{}/change_events", words.organization.unwrap_or(USUAL)), body))
        }
        "create" => {
            let mut fields = words.whole();
            fields.insert("type".into(), words.subject.into());
            Some(send("POST", wholes(words.organization.unwrap_or(USUAL)), Value::from(fields).to_string()))
        }
        "change" => whole("PATCH", &|_| words.whole().into()),
        "delete" => whole("DELETE", &|_| Value::Null),
        "etsput" => about("PUT", &|_| ETS.into(), &|id| json!({ "event": words.ets(&id.id) })),
        "etsmerge" => ets("merge", false),
        "etsinsert" => ets("merge", true),
        "etsupdate" => ets("update", false),
        "etsdelete" => about("DELETE", &|id| format!("{ETS}{}/delete", id.id), &|_| Value::Null),
        verb => panic!("no step: {verb}"),
    }
}

#[test]
fn spans_are_read_as_they_are_printed() {
    for (millis, text) in [(0, "0"), (-60_000, "-1m"), (5001, "5s1ms"), (183_845_006, "2d3h4m5s6ms"), (-86_400_000, "-1d")] {
        assert_eq!(print_span(millis), text);
        assert_eq!(moment(text).millis() - BEGIN, millis, "{text}");
    }
}
