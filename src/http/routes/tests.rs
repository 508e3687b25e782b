use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use tower::ServiceExt as _;

use super::*;
use crate::exposition::Pages;
use crate::http::app::Parts;
use crate::http::app::WebOptions;
use crate::http::auth::Secret;
use crate::http::threads::Threads;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::time::ManualClock;
use crate::writer::Memory;
use crate::writer::tests::started;

/// How long a store is locked if nobody is content before.
const LOCKED: Duration = Duration::from_secs(20);

fn app() -> Arc<App> {
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
    let app = Arc::new(App::new(parts, WebOptions::default(), Settings::default()));
    app.set_ready(started(&memory, clock, telemetry), Secret::from_bytes([1; 32]));
    app
}

async fn ask(router: Router, method: Method, path: String, body: &'static str) -> StatusCode {
    let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    router.oneshot(request).await.unwrap().status()
}

/// With a single async thread a handler that waits for a lock there would hold up everything.
#[tokio::test]
async fn whoever_waits_for_the_store_holds_up_nobody_else() {
    let app = app();
    let router = router(&app);
    let event = r#"{"event": {"id": "a", "start_time": 0}}"#;
    assert_eq!(ask(router.clone(), Method::PUT, ETS.to_owned(), event).await, StatusCode::OK);

    let ((locked, is_locked), (content, is_content)) = (mpsc::channel(), mpsc::channel());
    let expired = Arc::new(AtomicBool::new(false));
    let (of_thread, locking) = (Arc::clone(&expired), Arc::clone(&app));
    let holder = std::thread::spawn(move || {
        locking.store.locked("", || {
            locked.send(()).unwrap();
            of_thread.store(is_content.recv_timeout(LOCKED).is_err(), Ordering::SeqCst);
        });
    });
    is_locked.recv().unwrap();
    let mut waiting = Vec::new();
    for route in ROUTES {
        let path = route.path.replace("{org}", "acme").replace("{id}", "a").replace("{sid}", "a").replace("{account}", "acme");
        let body = if route.path.starts_with(ETS_BARE) && route.method != Method::GET { event } else { r#"{"event_name":"a"}"# };
        waiting.push(tokio::spawn(ask(router.clone(), route.method.clone(), path, body)));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
        for path in ["/-/healthy", "/-/ready"] {
            assert_eq!(ask(router.clone(), Method::GET, path.to_owned(), "").await, StatusCode::OK);
        }
    }
    assert!(!expired.load(Ordering::SeqCst), "the store was waited for on the async thread");
    assert!(waiting.iter().filter(|waiting| !waiting.is_finished()).count() > 5);
    content.send(()).unwrap();
    for answer in waiting {
        assert_ne!(answer.await.unwrap(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    holder.join().unwrap();
}
