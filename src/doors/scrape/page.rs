//! The pages that Prometheus scrapes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::http::request;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use hyper::body::SizeHint;

use crate::account::Item;
use crate::exposition::Format;
use crate::exposition::Page;
use crate::exposition::PageBody;
use crate::exposition::PageRequest;
use crate::http::app::App;
use crate::http::auth::Scope;
use crate::http::error::ApiError;
use crate::http::negotiate;
use crate::http::parameters::Parameters;
use crate::http::route::Call;
use crate::http::server::Readers;
use crate::store::ClusterId;
use crate::store::Effort;
use crate::store::selector::Patterns;
use crate::telemetry;
use crate::telemetry::logging;
use crate::time::Reading;
use crate::time::duration;

/// Readers of pages that are given up at once at most, when there is no memory for another page.
const READERS_MAX: usize = 256;

/// The page of the organization's default cluster, and our own metrics for whoever may see them.
pub(super) async fn default_page(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    page(app, call, "").await
}

/// The page of a named cluster.
pub(super) async fn cluster_page(app: Arc<App>, call: Call) -> Result<Response, ApiError> {
    let name = call.parameter(0);
    let clusters = call.settings.clusters(&call.grant()?.organization);
    let destination = clusters.resolve(name).map_err(|error| ApiError::new(StatusCode::NOT_FOUND, "cluster", error.to_string()))?;
    let name = destination.name;
    page(app, call, &name).await
}

async fn page(app: Arc<App>, call: Call, cluster: &str) -> Result<Response, ApiError> {
    app.writer()?;
    let grant = call.grant()?;
    let show_own = cluster.is_empty() && call.parameters.is_empty() && grant.scopes.contains(Scope::Telemetry);
    let tenant = if grant.scopes.contains(Scope::Read) { app.store.tenant(&grant.organization) } else { None };
    let name = cluster.to_owned();
    // Whoever wants a page of its own asks a question: nobody's shared page waits for it.
    let is_shared = call.parts.uri.query().is_none_or(str::is_empty);
    let team = if is_shared { app.renders.clone() } else { app.questions.clone() };
    let asker = call.asker();
    let work = {
        let app = Arc::clone(&app);
        let parts = Arc::new(call.parts);
        move || {
            let request = request(&parts, &app.patterns).inspect_err(|error| app.note_price(error))?;
            let own = if show_own { own_metrics(&app, request.format) } else { String::new() };
            let begun = Instant::now();
            let (now, effort) = (app.clock.now(), Effort::default());
            let number = || if name.is_empty() { Some(ClusterId::default()) } else { tenant.as_ref()?.cluster(&name) };
            let render = |cluster: Option<ClusterId>| {
                let tenant = tenant.as_deref().filter(|_| cluster.is_some());
                app.pages.render_within(tenant, cluster.unwrap_or_default(), &request, &own, now, &effort)
            };
            // A cluster that nothing was sent to yet has an empty page: its scrape may well be configured first.
            let cluster = number();
            let page = render(cluster);
            // When all of a cluster is forgotten its number may be another one's.
            let page = if number() == cluster { page } else { render(None) };
            telemetry::observe(&app.telemetry.render_seconds, begun.elapsed());
            effort
                .check()
                .map_err(|error| app.too_much(error, "ask by selectors of labels with shorter values, and with fewer matchers"))?;
            Ok::<_, ApiError>(page)
        }
    };
    let mut given_up = 1;
    loop {
        match app.heavy(&team, &asker, work.clone()).await?? {
            Ok(page) => return Ok(respond(page)),
            // Slow readers hold pages of before.
            Err(full) if given_up > READERS_MAX || app.connections.give_up(Readers::OfPages, given_up).await == 0 => {
                return Err(full.into());
            }
            Err(_) => given_up *= 4,
        }
    }
}

/// Selectors may have expressions, and these take their time.
fn request(parts: &request::Parts, patterns: &Patterns) -> Result<PageRequest, ApiError> {
    let parameters = Parameters::parse(parts.uri.query(), &["match[]", "window", "keep"])?;
    Ok(PageRequest {
        format: negotiate::format(&parts.headers),
        gzip: negotiate::accepts_gzip(&parts.headers),
        window: parameters.parsed("window", duration::parse)?,
        keep: parameters.parsed("keep", duration::parse)?,
        selectors: parameters.selectors(patterns)?,
    })
}

fn own_metrics(app: &App, format: Format) -> String {
    let Reading { now, wall, .. } = app.clock.read();
    let telemetry = &app.telemetry;
    telemetry.clock_ahead.set(now.seconds() - wall.seconds());
    let store = app.store.stats(now);
    telemetry::set_size(&telemetry.store_events, store.events);
    telemetry::set_size(&telemetry.store_edges, store.edges);
    telemetry::set_size(&telemetry.store_series, store.series);
    telemetry::set_size(&telemetry.store_open, store.open);
    telemetry::set_size(&telemetry.store_lapsed, store.lapsed);
    show_memory(app);
    let pages = app.pages.stats(now);
    telemetry::set_size(&telemetry.page_shown, pages.shown);
    telemetry::set_size(&telemetry.page_cut, pages.cut);
    telemetry::set_size(&telemetry.page_queued, pages.queued);
    telemetry::set_size(&telemetry.page_scheduled, pages.scheduled);
    telemetry.page_lag.set(pages.lag.as_secs_f64());
    for (reason, total) in [
        ("coalesced", pages.coalesced),
        ("late", pages.late),
        ("old", pages.old),
        ("duplicate", pages.duplicate),
        ("crowded", pages.crowded),
        ("beyond", pages.beyond),
    ] {
        telemetry::mirror(&telemetry.unexposed.get_or_create(&[("reason", reason)]), total);
    }
    telemetry::mirror(&telemetry.stderr_lines_left_out, logging::left_out());
    if let Ok(writer) = app.writer() {
        telemetry.log_stalled_seconds.set(writer.stalled().unwrap_or_default().as_secs_f64());
        for (kind, waiting) in writer.queue_depth() {
            telemetry::set_size(&telemetry.queue_depth.get_or_create(&[("kind", kind)]), waiting);
        }
    }
    let (running, waiting) = app.questions.seats.counts();
    for (state, count) in [("running", running), ("waiting", waiting)] {
        telemetry::set_size(&telemetry.questions.get_or_create(&[("state", state)]), count);
    }
    match format {
        Format::Text004 => telemetry.render_text(),
        Format::OpenMetrics100 => telemetry.render_openmetrics(),
    }
}

fn show_memory(app: &App) {
    let (telemetry, account) = (&app.telemetry, app.store.account());
    let shares = account.shares();
    telemetry::set_size(&telemetry.bytes_in_flight, account.leased(Item::Bodies) + account.leased(Item::SmallBodies));
    telemetry::set_size(&telemetry.memory_limit, account.limit());
    let leased = Item::ALL.map(|item| (item.name(), shares.of(item), account.leased(item), account.refused(item)));
    let events = ("events", shares.events, account.kept(), account.refused_events());
    for (item, share, taken, refused) in leased.into_iter().chain([events]) {
        telemetry::set_size(&telemetry.memory_share.get_or_create(&[("item", item)]), share);
        telemetry::set_size(&telemetry.memory.get_or_create(&[("item", item)]), taken);
        telemetry::mirror(&telemetry.memory_refused.get_or_create(&[("item", item)]), refused);
    }
    telemetry::set_size(&telemetry.memory.get_or_create(&[("item", "stops")]), account.kept_back());
}

/// The bytes of a page, made as the connection takes them.
struct Pieces(PageBody);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().0.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

fn respond(page: Page) -> Response {
    let mut response = Response::new(Body::new(Pieces(page.body)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding, Authorization"));
    if page.gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
