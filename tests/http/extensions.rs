//! What a later program says of an event stays with it, whichever door changes what that door knows.

use axum::body::Body;
use axum::http::Method;
use change_events::event::Change;
use change_events::event::Command;
use change_events::event::Describe;
use change_events::event::Details;
use change_events::event::Edge;
use change_events::event::EdgeState;
use change_events::event::Extension;
use change_events::event::Identity;
use change_events::event::Put;
use change_events::event::record;
use change_events::event::record::Record as _;
use change_events::http::app::WebOptions;
use change_events::labels::LabelSet;
use change_events::log;
use change_events::log::Batch;
use change_events::log::SegmentLog;
use change_events::log::faulty::FaultyDisk;

use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

fn edge(identity: Identity) -> Edge {
    Edge {
        organization: "".into(),
        cluster: "".into(),
        state: EdgeState::Start,
        at: NOW,
        value: 1.0,
        identity,
        lapses: false,
        supersede: None,
        skew: None,
        named: None,
        otherwise: None,
        entity: false,
        configured: false,
        labels: LabelSet::from_sorted([("event_name", "deployment")]).unwrap(),
        attributes: None,
    }
}

#[tokio::test]
async fn stay_with_an_event_that_is_changed() {
    let extensions = vec![Extension { tag: 200, bytes: (*b"\0\xff of tomorrow").into() }, Extension { tag: 7, bytes: Box::default() }];
    let details = Details { name: "a".into(), extensions: extensions.clone(), ..Details::default() };
    let came_as_edge = edge(Identity::of(["entity", "1"]));
    let put =
        Put { id: "own".into(), created: None, number: None, start: edge(Identity::of_id("own")), stop: None, details: details.clone() };
    let describe = Describe { organization: "".into(), edge: came_as_edge.id(), span: None, stop: None, details };
    let ids = ["own".to_owned(), came_as_edge.id().to_string()];
    let disk = FaultyDisk::new();
    let (mut log, _) = SegmentLog::open(disk.clone(), log::Options::default(), &mut |_| Ok(())).unwrap();
    let mut batch = Batch::new();
    for command in
        [Command::Edge(came_as_edge), Command::Change(Change::Put(Box::new(put))), Command::Change(Change::Describe(Box::new(describe)))]
    {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        record::stamp(&mut bytes, NOW);
        batch.push(&bytes);
    }
    assert_eq!(log.append(&batch).unwrap().last.0, 3);
    log.close().unwrap();
    let server = Server::starting("", WebOptions::default());
    server.finish_start_on(disk, log::Options::default());
    let kept = |id: &str| server.store().tenant("").unwrap().event(id).unwrap().details.unwrap();
    for id in &ids {
        let path = format!("/v1/accounts/acme/events/{id}");
        let mut said = Vec::new();
        for (method, path, body) in [
            (Method::PATCH, path.clone(), r#"{"description":"first"}"#.to_owned()),
            (Method::PUT, path.clone(), r#"{"name":"b","type":"deployment","description":"second"}"#.to_owned()),
            (Method::POST, "/api/v1/event/".to_owned(), format!(r#"{{"event":{{"id":"{id}","description":"third"}}}}"#)),
        ] {
            let answer = server.call(request(method.clone(), &path, &[("content-type", "application/json")], Body::from(body))).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
            said.push(kept(id).description.to_string());
            assert_eq!(kept(id).extensions, extensions, "{said:?}");
        }
        assert_eq!(said, ["first", "second", "second\nthird"]);
    }
}
