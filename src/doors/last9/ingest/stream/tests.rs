use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::*;
use crate::doors::last9::ingest::groups::GROUP_BYTES;
use crate::exposition::Pages;
use crate::http::app::Parts;
use crate::http::app::WebOptions;
use crate::http::auth::Grant;
use crate::http::auth::Scopes;
use crate::http::auth::Secret;
use crate::http::threads::Threads;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::time::ManualClock;
use crate::writer::Memory;
use crate::writer::tests::started;

/// What a group begins with that cannot be parsed without a panic.
const PLANTED: &[u8] = b"planted";

fn parse_or_panic(group: LineGroup, sender: &Sender, at: (Timestamp, Earlier), room: usize) -> ParsedGroup {
    assert!(!group.bytes.starts_with(PLANTED), "planted");
    parse(group, sender, at, room)
}

fn app() -> App {
    let telemetry = Arc::new(Telemetry::new());
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_771_581_600_000)));
    let (store, pages) = (Store::new(crate::store::Options::default()), Pages::new(&crate::exposition::Options::default()));
    let memory = Memory { store: Arc::new(store), pages: Arc::new(pages) };
    let parts = Parts {
        store: Arc::clone(&memory.store),
        pages: Arc::clone(&memory.pages),
        telemetry: Arc::clone(&telemetry),
        clock: Arc::<ManualClock>::clone(&clock),
        threads: Threads::start().unwrap(),
    };
    let app = App::new(parts, WebOptions::default(), Settings::default());
    app.set_ready(started(&memory, clock, telemetry), Secret::from_bytes([1; 32]));
    app
}

fn pipeline(app: &App) -> Pipeline<'_> {
    let grant = Grant { organization: "acme".into(), token: "".into(), scopes: Scopes::default() };
    let sender = Sender { settings: app.settings(), grant, source: Source::default(), asker: Source::default() };
    Pipeline { parse: parse_or_panic, ..Pipeline::new(app, sender) }
}

/// A group of its own, that begins with these lines; how many lines it has.
fn group(lines: &str) -> (Bytes, usize) {
    let text = format!("{lines}{}", "\n".repeat(GROUP_BYTES));
    let count = text.lines().count();
    (text.into(), count)
}

fn event(name: &str) -> String {
    format!("{{\"event_name\":\"{name}\"}}\n")
}

async fn told(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test]
async fn a_group_whose_parsing_panics_ends_the_stream_there() {
    let app = app();
    let (first, lines) = group(&event("a"));
    let (second, _) = group(&format!("nonsense\n{}", event("b")));
    let (broken, _) = group("planted\n");
    let sent = Arc::new(AtomicUsize::new(0));
    let later = std::iter::repeat_with(|| group(&format!("{}nonsense\n", event("c"))).0).take(100);
    let counter = Arc::clone(&sent);
    let bytes = [first, second, broken].into_iter().chain(later).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let body = Body::from_stream(stream::iter(bytes.map(Ok::<_, Infallible>)));
    let source = GroupSource::open(body, Encoding::Identity, &app.settings(), &app, &Source::default());
    let (status, json) = told(pipeline(&app).run(source).await).await;
    assert_eq!((status, &json["error"]), (500, &"internal error".into()), "{json}");
    assert_eq!((&json["accepted"], &json["refused"]), (&2.into(), &1.into()), "{json}");
    assert_eq!(json["items"][0]["line"], lines + 1, "{json}");
    assert_eq!(app.telemetry.panics.get(), 1);
    let read = sent.load(Ordering::SeqCst);
    assert!(read < 20, "{read} groups were read");
    assert_eq!(app.store.stats(app.clock.now()).edges, 2, "what came after it is not written");
}

#[tokio::test]
async fn a_reader_that_panics_is_no_end_of_the_stream() {
    let app = app();
    let (sender, groups) = mpsc::channel(1);
    let bytes = Bytes::from(event("a"));
    let lease = app.bodies_of(Source::default()).budget.take(0).await.unwrap();
    let reading = tokio::spawn(async move {
        sender.send(Ok(LineGroup { bytes, first_is_too_long: false, lease })).await.ok();
        assert!(sender.is_closed(), "planted");
    });
    let source = GroupSource { groups, reading: AbortOnDropHandle::new(reading) };
    let (status, json) = told(pipeline(&app).run(source).await).await;
    assert_eq!(app.telemetry.panics.get(), 1);
    assert_eq!((status, &json["error"], &json["accepted"]), (500, &"internal error".into(), &1.into()), "{json}");
}
