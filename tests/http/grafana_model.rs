//! Clients that read, change and put back, against a plain model: a list of annotations as they were written. With other doors'
//! events in between, time that passes, and restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::Method;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use crate::grafana::PATH;
use crate::grafana::at;
use crate::grafana::written;
use crate::support::EVENTS;
use crate::support::NOW;
use crate::support::Server;
use crate::support::request;

#[derive(Clone, Debug)]
enum Step {
    /// Creates one, of these tags, so long before now; with an end so long after that, if any.
    Create {
        tags: Vec<&'static str>,
        before: i64,
        end: Option<i64>,
    },
    /// Another door sends the start or the stop of something.
    Edge(bool),
    /// Reads one, lets time pass, changes a part of it, and puts all of it back.
    PutBack {
        which: usize,
        wait: u64,
        part: Part,
    },
    /// Ends one now.
    End(usize),
    /// Patches one with nothing, in one of several ways.
    Nothing(usize, usize),
    Delete(usize),
    Wait(u64),
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    None,
    Text,
    Tags,
}

/// What an annotation is expected to be.
#[derive(Clone, Debug)]
struct Model {
    text: String,
    tags: Vec<String>,
    time: i64,
    /// `None` while it is open.
    end: Option<i64>,
}

fn step() -> impl Strategy<Value = Step> {
    let tags = prop::sample::subsequence(vec!["deploy", "start", "service: a", "a:b", "prod", "outage", "x"], 0..5);
    let part = prop_oneof![Just(Part::None), Just(Part::Text), Just(Part::Tags)];
    prop_oneof![
        4 => (tags, 0..100_000i64, prop::option::of(-50..5000i64)).prop_map(|(tags, before, end)| Step::Create { tags, before, end }),
        1 => any::<bool>().prop_map(Step::Edge),
        6 => (any::<usize>(), prop_oneof![0..3u64, 900..1100u64, 0..100_000u64], part).prop_map(|(which, wait, part)| Step::PutBack { which, wait, part }),
        2 => any::<usize>().prop_map(Step::End),
        1 => (any::<usize>(), 0..3usize).prop_map(|(which, how)| Step::Nothing(which, how)),
        1 => any::<usize>().prop_map(Step::Delete),
        2 => (0..5000u64).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

struct World {
    server: Server,
    known: BTreeMap<u64, Model>,
    texts: usize,
}

impl World {
    fn now(&self) -> i64 {
        self.server.app.clock().now().millis()
    }

    fn chosen(&self, which: usize) -> Option<u64> {
        let count = self.known.len();
        (count > 0).then(|| *self.known.keys().nth(which % count).unwrap())
    }

    async fn create(&mut self, tags: &[&str], before: i64, end: Option<i64>) {
        self.texts += 1;
        let (text, time) = (format!("<i>{}</i>", self.texts), self.now() - before);
        let mut body = json!({"text": text, "tags": tags, "time": time});
        if let Some(end) = end {
            body["timeEnd"] = (time + end).into();
        }
        let id = self.server.annotation(&body).await;
        let (begun, ended) = end.map_or((time, time), |end| (time.min(time + end), time.max(time + end)));
        let is_open = end.is_none() && tags.contains(&"start");
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        assert!(self.known.insert(id, Model { text, tags, time: begun, end: (!is_open).then_some(ended) }).is_none(), "{id} is new");
    }

    async fn put_back(&mut self, id: u64, wait: u64, part: Part) {
        let mut read = self.server.read(id).await;
        self.server.clock.advance(Duration::from_millis(wait));
        let model = self.known.get_mut(&id).unwrap();
        self.texts += 1;
        match part {
            Part::None => {}
            Part::Text => {
                model.text = format!("changed {}", self.texts);
                read["text"] = model.text.clone().into();
            }
            Part::Tags => {
                model.tags.push(format!("n:{}", self.texts));
                read["tags"] = json!(model.tags);
            }
        }
        self.server.reannotate(Method::PUT, id, &read).await;
    }

    async fn end(&mut self, id: u64) {
        let (now, shown) = (self.now(), self.server.read(id).await["timeEnd"].as_i64().unwrap());
        let model = self.known.get_mut(&id).unwrap();
        // In the second in which it came in, an end of its own milliseconds is taken for the one that is shown.
        if now <= model.time || (shown - now) % 1000 == 0 {
            return;
        }
        self.server.reannotate(Method::PATCH, id, &json!({"timeEnd": now, "tags": [], "text": null})).await;
        model.end = Some(now);
    }

    async fn edge(&self, is_start: bool) {
        let state = if is_start { "start" } else { "stop" };
        let edge = json!({"event_name": "job", "event_state": state, "attributes": {"id": "j"}, "timestamp": crate::grafana::iso(NOW.millis() - 1)});
        let answer = self.server.call(request(Method::PUT, EVENTS, &[], edge.to_string().into())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    async fn step(mut self, step: Step) -> Self {
        match step {
            Step::Create { tags, before, end } => self.create(&tags, before, end).await,
            Step::Edge(is_start) => self.edge(is_start).await,
            Step::Wait(millis) => self.server.clock.advance(Duration::from_millis(millis)),
            Step::Restart => self.server = self.server.restarted(""),
            Step::PutBack { which, wait, part } => {
                if let Some(id) = self.chosen(which) {
                    self.put_back(id, wait, part).await;
                }
            }
            Step::End(which) => {
                if let Some(id) = self.chosen(which) {
                    self.end(id).await;
                }
            }
            Step::Nothing(which, how) => {
                let nothing = [
                    json!({}),
                    json!({"text": "", "tags": [], "time": 0, "timeEnd": 0}),
                    json!({"text": null, "tags": null, "timeEnd": null}),
                ];
                if let Some(id) = self.chosen(which) {
                    self.server.reannotate(Method::PATCH, id, &nothing[how]).await;
                }
            }
            Step::Delete(which) => {
                if let Some(id) = self.chosen(which) {
                    assert_eq!(self.server.annotate(Method::DELETE, &at(id), &json!({})).await.status, 200);
                    assert_eq!(self.server.get(&at(id)).await.status, 404);
                    self.known.remove(&id);
                }
            }
        }
        self
    }

    /// All of them are as they should be, and stand in the order of their ends and beginnings.
    async fn check(&self) {
        let listed = self.server.listed("limit=1000").await;
        let ends: Vec<(i64, i64)> = listed
            .iter()
            .map(|one| {
                let model = self.known.get(&one["id"].as_u64().unwrap());
                let is_open = model.map_or(one["text"].as_str().unwrap().contains("\nno end yet<br>"), |model| model.end.is_none());
                (if is_open { i64::MAX } else { one["timeEnd"].as_i64().unwrap() }, one["time"].as_i64().unwrap())
            })
            .collect();
        assert!(ends.is_sorted_by(|a, b| a >= b), "{ends:?}");
        let own: BTreeMap<u64, &Value> = listed.iter().map(|one| (one["id"].as_u64().unwrap(), one)).collect();
        for (id, model) in &self.known {
            let one = own[id];
            let end = model.end.map_or_else(|| one["timeEnd"].clone(), Value::from);
            assert_eq!(written(one), json!([model.text, model.tags, model.time, end]), "{model:?}");
            if model.end.is_none() {
                let end = one["timeEnd"].as_i64().unwrap();
                let is_first = end <= model.time + 1000;
                assert!(end > model.time && (is_first || (end > self.now() - 2000 && end < self.now())), "{one}");
            }
        }
        assert!(listed.len() - self.known.len() <= 2, "and what another door sent");
        assert_eq!(self.server.get(&format!("{PATH}/tags")).await.status, 200);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_clients_read_change_and_put_back_is_what_they_mean(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World { server: Server::new(""), known: BTreeMap::new(), texts: 0 };
            for step in steps {
                world = world.step(step).await;
                world.check().await;
            }
        });
    }
}
