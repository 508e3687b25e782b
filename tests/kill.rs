//! The release binary under load, killed with SIGKILL again and again: everything acknowledged is there afterwards, once
//! and unchanged; what got no answer is there at most once (T8 of the reliability tests).
//!
//! 50 cycles, or 1000 with `CHANGE_EVENTS_FULL=1`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;
use support::exporter::Exporter;

const CLIENTS: usize = 16;

/// What one client knows of its own requests: entity to the id it was told, or nothing.
type History = BTreeMap<String, Option<String>>;

/// Sends starts, batches now and then, until the server is gone.
fn client(url: &str, cycle: usize, number: usize) -> History {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10))).build().new_agent();
    let mut history = History::new();
    for request in 0.. {
        let size = if request % 8 == 7 { 20 } else { 1 };
        let entities: Vec<String> = (0..size).map(|item| format!("{cycle}-{number}-{request}-{item}")).collect();
        let events: Vec<Value> = entities.iter().map(|entity| event(entity, cycle)).collect();
        let body = if size == 1 { events[0].to_string() } else { json!(events).to_string() };
        history.extend(entities.iter().map(|entity| (entity.clone(), None)));
        let Ok(mut answer) = agent.put(url).header("Content-Type", "application/json").send(body) else { return history };
        let Ok(text) = answer.body_mut().read_to_string() else { return history };
        let answer: Value = serde_json::from_str(&text).unwrap();
        let results = answer["results"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        assert_eq!(results.len(), size, "{text}");
        for (entity, result) in entities.into_iter().zip(results) {
            history.insert(entity, Some(result["id"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned()));
        }
    }
    history
}

fn event(entity: &str, cycle: usize) -> Value {
    // A name with every kind of text in it, so that "unchanged" means something.
    json!({"event_name": "job", "attributes": {"entity_id": entity, "cycle": cycle.to_string(), "note": "quote \" back\\slash \n \u{e9}"}})
}

/// All events of a cycle: entity to (id, number of times seen); their attributes are as sent.
fn stored(exporter: &Exporter, cycle: usize) -> BTreeMap<String, (String, usize)> {
    let url = format!("{}/api/v4/organizations/acme/change_events", exporter.url);
    let selector = format!("{{cycle=\"{cycle}\"}}");
    let (mut found, mut cursor) = (BTreeMap::new(), None::<String>);
    loop {
        let mut parameters = vec![("match[]", selector.as_str()), ("limit", "1000")];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = support::http::get_with(&url, &parameters).unwrap().json();
        for listed in page["events"].as_array().unwrap_or_else(|| panic!("{page}")) {
            let entity = listed["start"]["attributes"]["entity_id"].as_str().unwrap().to_owned();
            assert_eq!(listed["start"]["attributes"], event(&entity, cycle)["attributes"]);
            let id = listed["start"]["id"].as_str().unwrap().to_owned();
            found.entry(entity).or_insert((id, 0)).1 += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
}

fn check(exporter: &Exporter, cycle: usize, history: &History) {
    let stored = stored(exporter, cycle);
    for (entity, id) in history {
        match (id, stored.get(entity)) {
            (Some(told), Some((id, 1))) => assert_eq!(told, id, "{entity} changed"),
            (None, None | Some((_, 1))) => {}
            (told, seen) => panic!("cycle {cycle}, {entity}: told {told:?}, stored {seen:?}"),
        }
    }
    let sent: BTreeSet<&String> = history.keys().collect();
    assert!(stored.keys().all(|entity| sent.contains(entity)), "something that nobody sent");
}

#[test]
fn killed_under_load_it_loses_nothing_acknowledged() {
    let full = std::env::var_os("CHANGE_EVENTS_FULL").is_some();
    let cycles = if full { 1000 } else { 50 };
    let mut exporter = Exporter::start(&["--storage.retention.time=1y"]);
    let mut histories: Vec<History> = Vec::new();
    let mut slowest = Duration::ZERO;
    for cycle in 0..cycles {
        let url = format!("{}/api/v4/organizations/acme/change_events", exporter.url);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let url = url.clone();
                std::thread::spawn(move || client(&url, cycle, number))
            })
            .collect();
        // The moment of the kill is what varies; nothing is awaited here.
        std::thread::sleep(Duration::from_millis(60 + (cycle as u64 * 37) % 240));
        exporter.kill();
        let mut history = History::new();
        for client in clients {
            history.extend(client.join().unwrap());
        }
        let began = Instant::now();
        exporter.start_again();
        slowest = slowest.max(began.elapsed());
        check(&exporter, cycle, &history);
        histories.push(history);
    }
    for (cycle, history) in histories.iter().enumerate() {
        check(&exporter, cycle, history);
    }
    let acked: usize = histories.iter().flat_map(History::values).filter(|id| id.is_some()).count();
    eprintln!("{cycles} kills, {acked} events acknowledged, none lost; slowest restart {slowest:?}");
    assert!(acked > cycles, "no load reached the server");
}
