use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures_util::FutureExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::exposition::Pages;
use crate::http::app::App;
use crate::http::app::Parts;
use crate::http::app::Settings;
use crate::http::app::WebOptions;
use crate::http::auth::Access;
use crate::http::auth::Credential;
use crate::http::auth::Organization;
use crate::http::auth::Scope;
use crate::http::auth::Secret;
use crate::http::auth::TokenHash;
use crate::http::router::router;
use crate::http::threads::Threads;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::time::ManualClock;
use crate::time::Timestamp;
use crate::writer::Memory;
use crate::writer::tests::started;

/// How long a store is locked if nobody is content before.
const LOCKED: Duration = Duration::from_secs(20);

fn app() -> Arc<App> {
    app_with(Settings::default())
}

fn app_with(settings: Settings) -> Arc<App> {
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
    let app = Arc::new(App::new(parts, WebOptions::default(), settings));
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
    let router = router(&app, ALL);
    let event = r#"{"event": {"id": "a", "start_time": 0}}"#;
    assert_eq!(ask(router.clone(), Method::PUT, "/api/v1/event/".to_owned(), event).await, StatusCode::OK);

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
    for route in routes() {
        let path = route.path.replace("{org}", "acme").replace("{id}", "a").replace("{sid}", "a").replace("{account}", "acme");
        let body = if route.path.starts_with("/api/v1/event") && route.method != Method::GET { event } else { r#"{"event_name":"a"}"# };
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

/// A door that nobody has: what a sender says is its key is in the body, and its errors are lines of text.
mod made_up {
    use super::*;
    use crate::http::auth::Presented;
    use crate::http::authorize;
    use crate::http::body;
    use crate::http::error::ApiError;
    use crate::http::route::Call;
    use crate::http::route::Needs;
    use crate::http::route::Whose;

    pub(super) const DOOR: Door = Door {
        name: "made up",
        errors: |error| (error.status, format!("no: {}", error.message)).into_response(),
        credential: |_| Presented::InBody,
        routes: &[
            Route::new(&Method::POST, "/made/up/{org}", Needs::WRITE, |app, call| send(app, call).boxed()).of(Whose::Slug),
            Route::new(&Method::GET, "/made/up", Needs::READ, |_, call| async move { call.grant().map(|_| Response::default()) }.boxed()),
        ],
        openapi: r#"{"tags": [{"name": "Made up"}], "paths": {"/made/up": {}}}"#,
    };

    async fn send(app: Arc<App>, mut call: Call) -> Result<Response, ApiError> {
        let body = std::mem::take(&mut call.body);
        let whole = body::read_whole(&call.parts.headers, body, &call.settings.limits, &app.bodies_of(call.source())).await?;
        assert!(call.grant().is_err());
        let key = String::from_utf8_lossy(&whole.bytes);
        authorize::admit(&app, &mut call, Presented::Token(key)).await?;
        Ok(call.grant()?.token.to_string().into_response())
    }
}

async fn told(router: &Router, method: Method, path: &str, body: &'static str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn a_door_is_added_by_one_line() {
    let token = |name: &str, scopes: &[Scope]| Credential {
        name: name.into(),
        hash: TokenHash::of(name),
        scopes: scopes.iter().copied().collect(),
        expires: None,
    };
    let tokens = vec![token("writer", &[Scope::Write]), token("reader", &[Scope::Read])];
    let acme = Organization { slug: "acme".into(), accounts: vec![], tokens, refresh_tokens: vec![] };
    let app = app_with(Settings { access: Access::new(vec![acme]), ..Settings::default() });
    let doors: &'static [Door] = Box::leak([ALL, &[made_up::DOOR]].concat().into_boxed_slice());
    let router = router(&app, doors);
    for (method, path, body, status, text) in [
        (Method::POST, "/made/up/acme", "writer", 200, "writer"),
        (Method::POST, "/made/up/acme", "wrong", 401, "no: invalid access token"),
        (Method::POST, "/made/up/acme", "reader", 403, "no: the token lacks the scope: write"),
        (Method::POST, "/made/up/other", "writer", 403, "no: invalid org_slug: the token belongs to another organization"),
        // Nothing was admitted, so nothing is granted.
        (Method::GET, "/made/up", "reader", 500, "no: internal error"),
        (Method::DELETE, "/made/up", "", 405, "no: this path does not take this method"),
        (Method::GET, "/made/up/acme/further", "", 404, "no: no such path"),
        (Method::GET, "/elsewhere", "", 404, r#"{"error":"no such path"}"#),
        (Method::GET, "/api/v1/event/a/further", "", 404, r#"{"result":"no such path","success":false,"code":404,"headers":{}}"#),
    ] {
        assert_eq!(told(&router, method, path, body).await, (status, text.to_owned()), "{path} {body}");
    }
    let (_, document) = told(&router, Method::GET, "/api/openapi.json", "").await;
    assert!(document.contains("/made/up") && document.contains("Made up") && document.contains("/-/healthy"), "{document}");
}
