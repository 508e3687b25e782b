//! Logs that earlier builds wrote: this one shows of them what those showed, and knows what they knew.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use change_events::event::Change;
use change_events::event::Command;
use serde_json::Value;
use serde_json::json;

use crate::PAIRING;
use crate::check_all;
use crate::count;
use crate::generate::STEPS;
use crate::harness::exporter::binary;
use crate::inside;
use crate::inside::Inside;
use crate::look::Difference;
use crate::look::Kind;
use crate::look::Known;
use crate::look::Look;
use crate::on_this_thread;
use crate::outside::Outside;
use crate::run::Answer;
use crate::run::Server;
use crate::run::play;
use crate::steps;
use crate::steps::Act;
use crate::steps::Flags;
use crate::steps::Request;
use crate::steps::Step;
use crate::steps::USUAL;
use crate::steps::act;
use crate::steps::moment;

/// The log of the last build whose ids were XXH3 hashes, and what it answered.
const XXH3: &str = "tests/fixtures/events-xxh3";
const ANSWERS: &str = "answers.json";
/// When it was killed.
const KILLED: &str = "6d";

/// Every kind of record; at its end there are a checkpoint, segments and what is not closed.
const HISTORY: &str = "
    1: start job @-2d entity_id=a
    2: start job @-2h entity_id=b + stop job @-1h entity_id=b
    3: change #1 name=long
    4: etsput e0 @-1h ..0 host=h
    5: clock 14h
    6: start deploy @13h v=1 svc=api
    7: start build @12h host=b
    8: clock 1d14h
    9: point tick
    10: start deploy @1d13h v=2 svc=api
    11: clock 5d14h
    12: point tick
    13: start job @5d13h entity_id=c
    14: stop job @5d13h30m entity_id=c status=good
    15: start job @5d13h40m entity_id=d to:c1
    16: create incident name=w @5d12h key:k1
    17: create deployment name=v @5d12h key:k2
    18: start job entity_id=e key:k3
    19: start job @5d10h entity_id=f
    20: etsput e1 @5d12h ..5d13h host=h parent_id=e0
    21: etsmerge e1 ..5d14h description=d
    22: change #17 name=u
    23: delete #14
    24: clock 6d
    25: again 13
    26: again 1
    27: again 18
    28: change #15 name=m
    29: start job @5d23h entity_id=f";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(XXH3)
}

/// The answers of the fixture, by what was asked for.
fn answers() -> Value {
    serde_json::from_slice(&std::fs::read(fixture().join(ANSWERS)).unwrap()).unwrap()
}

/// Writes the fixture, with the binary under test, when `CHANGE_EVENTS_WRITE_FIXTURE` names the directory for it.
#[test]
fn a_fixture_is_written_on_demand() {
    let Some(directory) = std::env::var_os("CHANGE_EVENTS_WRITE_FIXTURE").map(PathBuf::from) else { return };
    let mut server = Outside::with(binary(), PAIRING);
    play(&steps::parse(HISTORY), &mut server).unwrap_or_else(|difference| panic!("{difference}"));
    let look = Look::at(&mut server, &Known { another_cluster: true, ..Known::default() });
    server.end();
    std::fs::create_dir_all(&directory).unwrap();
    for entry in std::fs::read_dir(server.data()).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        let kinds = [".log", ".checkpoint", "hwm"];
        if kinds.iter().any(|kind| name.to_string_lossy().ends_with(kind)) {
            let mut bytes = std::fs::read(entry.path()).unwrap();
            // The room that a segment has reserved.
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            std::fs::write(directory.join(name), bytes).unwrap();
        }
    }
    let answers: serde_json::Map<String, Value> = look.answers().map(|(path, answer)| (path.to_owned(), answer.into())).collect();
    std::fs::write(directory.join(ANSWERS), format!("{:#}\n", Value::from(answers))).unwrap();
}

/// A server on the log of the fixture, at the moment it was killed.
fn with_earlier_log(test: impl FnOnce(&mut Inside<'_>)) {
    on_this_thread(|runtime, _| {
        // These have one anonymous organization.
        let settings = &inside::settings(PAIRING);
        let files = std::fs::read_dir(fixture()).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_none_or(|extension| extension != "json"));
        let files = files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()));
        let mut server = Inside::with_files(runtime, settings, files);
        server.set_clock(moment(KILLED));
        test(&mut server);
    });
}

fn send(server: &mut Inside<'_>, step: &str) -> Answer {
    let Some(Act::Send(request)) = act(step, &|_| None) else { panic!("no request: {step}") };
    let answer = server.send(&request);
    server.settle();
    answer
}

fn list(server: &mut Inside<'_>) -> Value {
    serde_json::from_str(&server.get(USUAL, "/api/v4/organizations/acme/change_events?limit=1000").text).unwrap()
}

fn event<'a>(list: &'a Value, entity: &str) -> &'a Value {
    let is_it = |event: &&Value| event["start"]["attributes"]["entity_id"] == entity;
    list["events"].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("{entity} is not there: {list}"))
}

#[test]
fn an_earlier_log_is_shown_as_it_was() {
    with_earlier_log(|server| {
        let look = Look::at(server, &Known { another_cluster: true, ..Known::default() });
        let answers = answers();
        for (path, answer) in look.answers() {
            let path = path.replace("/clusters/main", "");
            assert_eq!(Some(answer), answers[&path].as_str(), "{path}");
        }
    });
}

#[test]
fn open_starts_of_an_earlier_log_are_closed_by_later_stops() {
    with_earlier_log(|server| {
        for entity in ["a", "d", "e", "f"] {
            assert_eq!(event(&list(server), entity)["state"], "open", "{entity}");
            let to = if entity == "d" { " to:c1" } else { "" };
            assert_eq!(send(server, &format!("stop job @5d23h59m entity_id={entity}{to}")).status, 200);
            assert_eq!(event(&list(server), entity)["state"], "closed", "{entity}");
        }
        let open: Value = serde_json::from_str(&server.get(USUAL, "/api/v4/organizations/acme/change_events?state=open").text).unwrap();
        let names: Vec<_> = open["events"].as_array().unwrap().iter().map(|event| event["event_name"].clone()).collect();
        assert_eq!(names, ["incident", "deploy", "build"], "{open}");
        send(server, "start deploy @5d23h59m v=3 svc=api");
        send(server, "stop build @5d23h59m host=b");
        let open: Value = serde_json::from_str(&server.get(USUAL, "/api/v4/organizations/acme/change_events?state=open").text).unwrap();
        let versions: Vec<_> = open["events"].as_array().unwrap().iter().map(|event| event["start"]["attributes"]["v"].clone()).collect();
        assert_eq!(versions, [json!("3"), Value::Null], "{open}");
    });
}

/// It says nothing of them: an edge has the position of its record, and a put that of the last.
#[test]
fn events_of_an_earlier_log_have_their_numbers_by_position() {
    with_earlier_log(|server| {
        let (mut edges, mut puts) = (BTreeMap::new(), BTreeMap::new());
        for (position, command) in server.records() {
            match command {
                Command::Edge(edge) => drop(edges.entry((edge.organization.to_string(), edge.id())).or_insert(position)),
                Command::Change(Change::Put(put)) => drop(puts.insert((put.start.organization.to_string(), put.id), position)),
                _ => {}
            }
        }
        let seen = |server: &Inside<'_>| {
            let mut seen = BTreeMap::new();
            for ((organization, id), position) in &edges {
                let Some(tenant) = server.tenant(organization) else { continue };
                let Some(event) = tenant.event(&id.to_string()) else { continue };
                assert_eq!(tenant.event_by_number(*position).map(|event| event.id), Some(event.id.clone()), "by {position}");
                let ends = [&event.start, &event.stop].into_iter().flatten();
                let first = ends.filter_map(|edge| edges.get(&(organization.clone(), edge.id))).min();
                assert_eq!(Some(&event.number), first);
                seen.insert(event.id, event.number);
            }
            for ((organization, id), position) in &puts {
                let Some(event) = server.tenant(organization).and_then(|tenant| tenant.event(id)) else { continue };
                assert_eq!(event.number, *position, "{id}");
                seen.insert(event.id, event.number);
            }
            seen
        };
        let before = seen(server);
        assert!(before.len() >= 6, "{before:?}");
        server.kill(false, &Flags::default()).unwrap();
        assert_eq!(seen(server), before);
    });
}

#[test]
fn repeats_and_keys_of_an_earlier_log_are_known() {
    with_earlier_log(|server| {
        let before = list(server);
        let repeats: Vec<Step> =
            steps::parse(HISTORY).into_iter().filter(|step| [13, 15, 16, 17, 18, 19, 29].contains(&step.number)).collect();
        for step in &repeats {
            let answer = send(server, &step.text);
            assert!(answer.status < 300, "{step}: {answer:?}");
            assert_eq!(list(server), before, "{step}");
        }
        assert_eq!(send(server, "start job entity_id=other key:k3").status, 422);
        assert_eq!(send(server, "create incident name=other key:k1").status, 422);
        assert_eq!(list(server), before);
    });
}

/// Plays a history to the earlier build, and shows what it left to the build under test.
fn read_on(steps: &[Step], earlier: &Path) -> Result<(), Difference> {
    let mut server = Outside::of(earlier.to_owned());
    let known = play(steps, &mut server)?;
    let before = Look::at(&mut server, &known).without_versions();
    let restarted = |server: &mut Outside| server.kill(false, &Flags::default()).map(|()| Look::at(server, &known).without_versions());
    let again = restarted(&mut server).map_err(|error| Difference::new(Kind::Answer, error))?;
    if before.compare(&again).is_err() {
        // The earlier build did not know itself what its log says.
        return Ok(());
    }
    server.binary = binary();
    let now = restarted(&mut server).map_err(|error| Difference::new(Kind::Answer, error))?;
    again.compare(&now)?;
    close_all(&mut server)
}

/// Whatever came as a start is closed by its stop.
fn close_all(server: &mut Outside) -> Result<(), Difference> {
    const OPEN: &str = "/api/v4/organizations/acme/change_events?limit=1000&state=open";
    let open =
        |server: &mut Outside| serde_json::from_str::<Value>(&server.get(USUAL, OPEN).text).unwrap()["events"].as_array().unwrap().clone();
    let came_as_edges = |event: &Value| event["id"] == event["start"]["id"];
    for event in open(server).iter().filter(|event| came_as_edges(event)) {
        let mut stop = json!({ "event_name": event["event_name"], "event_state": "stop", "timestamp": moment("60d").to_string() });
        stop["attributes"] = event["start"]["attributes"].clone();
        stop["data_source_name"] = event["data_source_name"].clone();
        let path = "/api/v4/organizations/acme/change_events".to_owned();
        let organization = USUAL.to_owned();
        server.send(&Request { organization, method: "PUT", path, body: stop.to_string(), ..Request::default() });
    }
    match open(server).iter().find(|event| came_as_edges(event)) {
        Some(event) => Err(Difference::new(Kind::List, format!("its stop does not close {event}"))),
        None => Ok(()),
    }
}

/// By hand, with an earlier binary in `CHANGE_EVENTS_EARLIER_BINARY`. What differs may be better than it was; it is printed.
#[test]
fn random_histories_of_an_earlier_build_are_read() {
    let Some(earlier) = std::env::var_os("CHANGE_EVENTS_EARLIER_BINARY").map(PathBuf::from) else { return };
    let is_played = |step: &Step| !["kill", "crash", "fail"].iter().any(|verb| step.text.starts_with(verb));
    check_all(count(0, 500), &|steps| {
        let steps: Vec<Step> = steps.iter().take(STEPS).filter(|step| is_played(step)).cloned().collect();
        read_on(&steps, &earlier)
    });
}
