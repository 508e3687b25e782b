//! Annotations that are sent at the same time, or again: each end ends one event, and no request does two things.

use std::collections::BTreeSet;

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::Value;
use serde_json::json;

use crate::grafana::BEGIN;
use crate::grafana::PATH;
use crate::grafana::at;
use crate::grafana::check_error;
use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

impl Server {
    async fn open_ones(&self) -> Vec<Value> {
        let all = self.get("/api/v4/organizations/acme/change_events?state=open&limit=1000").await.json();
        all["events"].as_array().unwrap().clone()
    }
}

/// With several threads, or the requests would come one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_end_ends_one_that_is_open() {
    const MANY: usize = 24;
    let server = Server::new("");
    for number in 0..MANY {
        server.annotation(&json!({"text": format!("begin {number}"), "tags": ["start", "p"], "time": BEGIN})).await;
    }
    let ends = (0..MANY).map(|number| json!({"text": format!("end {number}"), "tags": ["stop", "p"]})).collect::<Vec<_>>();
    let ended: Vec<u64> = join_all(ends.iter().map(|end| server.annotation(end))).await;
    assert_eq!(ended.iter().collect::<BTreeSet<_>>().len(), MANY, "{ended:?}");
    assert_eq!(server.open_ones().await, Vec::<Value>::new());
    assert_eq!(server.listed("limit=1000").await.len(), MANY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_end_with_a_key_is_one_however_often_it_comes_at_once() {
    let server = Server::new("");
    for round in 0..8 {
        let key = format!("key {round}");
        let begun = server.annotation(&json!({"text": "begin", "tags": ["start", "i"], "time": BEGIN})).await;
        let body = json!({"text": "end", "tags": ["stop", "i"]}).to_string();
        let send = || server.call(request(Method::POST, PATH, &[("idempotency-key", &key)], body.clone().into()));
        let answers = join_all((0..8).map(|_| send())).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(begun)), "{}", answer.text());
        }
        assert_eq!(server.listed("limit=1000").await.len(), round + 1);
    }
}

#[tokio::test]
async fn an_end_may_be_dated_before_its_beginning_by_as_much_as_clocks_differ() {
    #[track_caller]
    fn check(server: &[Value], open: usize) {
        assert_eq!(server.len(), open, "{server:?}");
    }
    let server = Server::new("");
    let now = NOW.millis();
    let begin = |tag: &str, time: i64| json!({"text": "begin", "tags": ["start", tag], "time": time});
    let end = |tag: &str| json!({"text": "end", "tags": ["stop", tag], "time": now});
    let near = server.annotation(&begin("near", now + 5000)).await;
    assert_eq!(server.annotation(&end("near")).await, near);
    let read = server.read(near).await;
    assert_eq!((&read["time"], &read["timeEnd"]), (&json!(now + 5000), &json!(now + 5000)));
    // What began before goes first.
    let (later, before) = (server.annotation(&begin("both", now + 1)).await, server.annotation(&begin("both", BEGIN)).await);
    assert_eq!(server.annotation(&end("both")).await, before);
    assert_eq!(server.annotation(&end("both")).await, later);
    let far = server.annotation(&begin("far", now + 5001)).await;
    assert_ne!(server.annotation(&end("far")).await, far);
    server.clock.set(NOW.plus(std::time::Duration::from_secs(6)));
    check(&server.open_ones().await, 1);
}

/// The beginning moves with the first, and the end that is sent back is that of before.
#[tokio::test]
async fn a_put_that_is_sent_again_changes_nothing_more() {
    let server = Server::new("");
    for age in [0_u32, 1, 700, 1500, 5000] {
        let id = server.annotation(&json!({"text": "begin", "tags": ["start", "a"], "time": NOW.millis()})).await;
        server.clock.set(NOW.plus(std::time::Duration::from_millis(age.into())));
        let mut body = server.read(id).await;
        for time in [NOW.millis() - 60_000, NOW.millis() - 60_000, NOW.millis() - 1] {
            body["time"] = json!(time);
            server.reannotate(Method::PUT, id, &body).await;
            let open = server.open_ones().await.len();
            assert_eq!((open, &server.read(id).await["time"]), (1, &json!(time)), "after {age} ms");
        }
        server.reannotate(Method::PATCH, id, &json!({"timeEnd": NOW.millis() + i64::from(age) + 1})).await;
        server.clock.advance(std::time::Duration::from_millis(1));
        server.clock.advance(std::time::Duration::from_millis(1));
        assert_eq!(server.open_ones().await, Vec::<Value>::new(), "after {age} ms");
        server.clock.set(NOW);
    }
}

#[tokio::test]
async fn a_part_of_a_number_is_no_id() {
    let server = Server::new("");
    let id = server.annotation(&json!({"text": "t"})).await;
    let answer = server.annotate(Method::POST, "/api/annotations/mass-delete", &json!({"annotationId": format!("{id}.9")})).await;
    check_error(&answer, 400, "must be a whole number");
    assert_eq!(server.get(&at(id)).await.status, 200);
}

/// What is read can be put back.
#[tokio::test]
async fn times_before_1970_are_times() {
    let server = Server::new("");
    let time = -315_619_200_000_i64;
    let id = server.annotation(&json!({"text": "moon", "time": time, "timeEnd": time + 5})).await;
    let read = server.read(id).await;
    server.reannotate(Method::PUT, id, &read).await;
    let again = server.read(id).await;
    assert_eq!((&again["time"], &again["timeEnd"]), (&json!(time), &json!(time + 5)));
}
