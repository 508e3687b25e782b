//! The end of the line: an HTTP server in the test's own process that collects what Alertmanager notifies.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// One alert of one notification.
#[derive(Debug, Clone)]
pub(crate) struct Notified {
    /// `firing` or `resolved`.
    pub(crate) status: String,
    pub(crate) labels: Value,
}

impl Notified {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels[name].as_str().unwrap_or("")
    }
}

type Bodies = Arc<Mutex<Vec<Value>>>;

#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    bodies: Bodies,
    _runtime: Runtime,
}

impl Webhook {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let bodies = Bodies::default();
        let router = Router::new().route("/", post(collect)).with_state(Arc::clone(&bodies));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, bodies, _runtime: runtime }
    }

    /// Every notification until now, in order, as Alertmanager sent it.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().clone()
    }

    /// Every alert notified until now, in order; one that is repeated is there again.
    pub(crate) fn notified(&self) -> Vec<Notified> {
        let bodies = self.bodies.lock();
        let alerts = bodies.iter().flat_map(|body| body["alerts"].as_array().unwrap());
        alerts.map(|alert| Notified { status: alert["status"].as_str().unwrap().to_owned(), labels: alert["labels"].clone() }).collect()
    }
}

async fn collect(State(bodies): State<Bodies>, body: Bytes) {
    bodies.lock().push(serde_json::from_slice(&body).unwrap());
}
