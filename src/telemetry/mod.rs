//! Our own metrics: one struct, every field a metric, its doc comment is the HELP text, all named `change_events_*`.
//!
//! What happens in the server belongs here; what senders write does not: prometheus-client escapes nothing, so every label
//! value below is a text of this program. Gauges that mirror another part's state are set just before rendering.
//! A counter with a known set of label values has all of them from the start ([`begun`]); a histogram with labels has those that
//! something was observed of ([`Observed`]), since each is ten lines of every page.
//! Also here: the metrics of the process ([`process`]) and where log lines go ([`logging`]).

mod begun;
mod lines;
pub mod logging;
mod observed;
mod process;
mod requests;
mod text;

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::telemetry::begun::CLASSES;
pub use crate::telemetry::begun::REASONS;
pub use crate::telemetry::observed::Labels;
pub use crate::telemetry::observed::Observed;
pub use crate::telemetry::observed::Timers;
pub use crate::telemetry::requests::RouteMetrics;

/// A gauge that holds any number.
pub type Number = Gauge<f64, AtomicU64>;

/// Upper bounds in seconds of the buckets, for all that takes time here: each is a line of the page for each histogram.
const SECONDS: [f64; 6] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5];

macro_rules! metrics {
    ($( $(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal $(, $new:expr)?; )*) => {
        /// Every metric that this program keeps about itself. Shared by reference; each field counts on its own.
        #[derive(Debug)]
        pub struct Telemetry {
            $( $(#[doc = $help])+ pub $field: $kind, )*
            registry: Registry,
            process: Registry,
        }

        impl Telemetry {
            /// All metrics at zero.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("change_events");
                $(
                    let $field: $kind = metrics!(@new $($new)?);
                    registry.register($name, help(concat!($($help),+)), $field.clone());
                )*
                let mut process = Registry::default();
                process.register_collector(Box::new(process::Process::new()));
                let telemetry = Self { $($field,)* registry, process };
                telemetry.begin_rows();
                telemetry
            }
        }
    };
    (@new) => { Default::default() };
    (@new $new:expr) => { $new };
}

metrics! {
    /// Edges taken in, by what became of their samples.
    edges: Family<Labels<1>, Counter> = "edges";
    /// Edges and requests that were refused, by reason.
    refused: Family<Labels<1>, Counter> = "refused";
    /// Stops that closed nothing when they came: no open event had their identity.
    stops_unmatched: Counter = "stops_unmatched";
    /// Attributes that lost their label because another attribute of the event has the same label name.
    label_collisions: Counter = "label_collisions";
    /// Labels that were left out, beyond the limits of an event or because there was no room for new label names or label sets; the event keeps the attributes.
    labels_left_out: Counter = "labels_left_out";
    /// Label values that were cut to the length limit; the event keeps them whole.
    label_values_cut: Counter = "label_values_cut";

    /// Requests answered, by class of status code.
    requests: Family<Labels<1>, Counter> = "http_requests";
    /// Requests answered, by route, method and status code, each from its first on.
    route_requests: Family<Labels<3>, Counter> = "http_route_requests";
    /// Time from a request's headers to its answer, by route and method, each from its first request on.
    request_seconds: Timers<2> = "http_request_duration_seconds", Family::new_with_constructor(seconds);
    /// Questions, and pages of one's own, that have a thread or wait for one.
    questions: Family<Labels<1>, Gauge> = "questions";
    /// Questions, and pages, that were refused, by reason.
    questions_refused: Family<Labels<1>, Counter> = "questions_refused";
    /// Bytes of request bodies being worked on.
    bytes_in_flight: Gauge = "http_bytes_in_flight";
    /// Bytes of memory that the server may take (--limit.memory).
    memory_limit: Gauge = "memory_limit_bytes";
    /// Bytes of memory that an item may take of the limit.
    memory_share: Family<Labels<1>, Gauge> = "memory_share_bytes";
    /// Bytes of memory that an item takes; `stops` is what is kept back of the share of events for the stops of those that are open.
    memory: Family<Labels<1>, Gauge> = "memory_bytes";
    /// How often there was no memory for an item: events, bodies, commands, answers and pages that were refused.
    memory_refused: Family<Labels<1>, Counter> = "memory_refused";
    /// Open connections.
    connections: Gauge = "http_connections";
    /// Connections accepted.
    connections_accepted: Counter = "http_connections_accepted";
    /// Connections cut because the other side was too slow, by what it was slow at.
    timeouts: Family<Labels<1>, Counter> = "http_timeouts";
    /// Wrong tokens that were sent, by whether their sender was told so or told to wait.
    wrong_tokens: Family<Labels<1>, Counter> = "http_wrong_tokens";
    /// Connections ended because another one needed the place, the file or the memory, by what they were doing.
    displaced: Family<Labels<1>, Counter> = "http_connections_displaced";
    /// Bodies that nobody had read when their request was answered, by whether the rest was read away or the connection was closed.
    unread_bodies: Family<Labels<1>, Counter> = "http_unread_bodies";
    /// Requests whose handler panicked.
    panics: Counter = "http_handler_panics";

    /// Commands waiting for the writer, by how they came.
    queue_depth: Family<Labels<1>, Gauge> = "writer_queue_depth";
    /// Time that commands waited for their turn with the writer, by how they came, each from the first on.
    queue_wait_seconds: Timers<1> = "writer_wait_seconds", Family::new_with_constructor(seconds);
    /// Commands that were refused because the writer's queue was full.
    queue_full: Counter = "writer_queue_full";

    /// Time to write one batch to the log, without its sync.
    log_append_seconds: Histogram = "log_append_duration_seconds", seconds();
    /// Time to sync one batch of the log to disk.
    log_sync_seconds: Histogram = "log_sync_duration_seconds", seconds();
    /// Records appended to the log.
    log_records: Counter = "log_records_appended";
    /// Bytes that the log takes on disk, with what is reserved for its next records and its next checkpoint.
    log_bytes: Gauge = "log_bytes";
    /// Whether the log takes no more writes until a restart because a sync failed (1) or not (0).
    log_latched: Gauge = "log_latched";
    /// For how long the log has been waiting for the disk now; 0 where it is less than a second.
    log_stalled_seconds: Number = "log_stalled_seconds";
    /// Times that the log waited for the disk for a second or longer.
    log_stalls: Counter = "log_stalls";
    /// Bytes that were cut from the torn tail of the log at the last start.
    log_torn_bytes: Gauge = "log_torn_bytes";
    /// Free bytes of the file system that holds the log.
    storage_free_bytes: Gauge = "storage_free_bytes";
    /// Size in bytes of the file system that holds the log.
    storage_size_bytes: Gauge = "storage_size_bytes";
    /// Bytes of it that new events leave free (--storage.min-free).
    storage_min_free_bytes: Gauge = "storage_min_free_bytes";
    /// Whether new events are refused because less is free (1) or not (0).
    storage_refusing: Gauge = "storage_refusing";
    /// Events that were refused because less is free.
    storage_refused: Counter = "storage_refused_events";
    /// Bytes kept back, so that what is old can go when nothing is free.
    storage_reserve_bytes: Gauge = "storage_reserve_bytes";
    /// Bytes that the log may take (--storage.retention.size); 0 for any number.
    storage_retention_size_bytes: Gauge = "storage_retention_size_bytes";
    /// Bytes by which the log is larger, which what is open or still due may make it.
    storage_beyond_bytes: Gauge = "storage_beyond_retention_size_bytes";
    /// Time that reading the log took at the last start.
    replay_seconds: Number = "replay_duration_seconds";
    /// Records read from the log at the last start.
    replay_records: Gauge = "replay_records";

    /// Events in memory.
    store_events: Gauge = "store_events";
    /// Edges in memory.
    store_edges: Gauge = "store_edges";
    /// Series in memory.
    store_series: Gauge = "store_series";
    /// Events that are open, by the clock.
    store_open: Gauge = "store_open_events";
    /// Open events that are no longer on the open gauge because they reached the maximum age.
    store_lapsed: Gauge = "store_lapsed_events";

    /// Samples that a scraper without a window is shown now, over all organizations and clusters.
    page_shown: Gauge = "page_shown_samples";
    /// Samples that wait until the sample before them has had its hold.
    page_queued: Gauge = "page_queued_samples";
    /// Samples whose own time is still to come.
    page_scheduled: Gauge = "page_scheduled_samples";
    /// How long until all samples that are queued now have come onto the page.
    page_lag: Number = "page_lag_seconds";
    /// Samples that never came onto a page for scrapers without a window, by reason.
    unexposed: Family<Labels<1>, Counter> = "samples_unexposed";
    /// Samples that are left out of pages now because they are full.
    page_cut: Gauge = "page_cut_samples";
    /// Time to render one page.
    render_seconds: Histogram = "page_render_duration_seconds", seconds();

    /// How far the time that is believed is ahead of the machine's wall clock; negative while a wall clock that jumped is not believed.
    clock_ahead: Number = "clock_ahead_seconds";
    /// Whether the last reload of the configuration file worked (1) or the old one was kept (0).
    reload_successful: Gauge = "config_last_reload_successful";
    /// When the configuration was last read without an error.
    reload_success_seconds: Number = "config_last_reload_success_timestamp_seconds";
    /// Reloads of the configuration file that failed.
    reloads_failed: Counter = "config_reloads_failed";
    /// Log lines that were left out because what is written to standard error was not read.
    stderr_lines_left_out: Counter = "stderr_lines_left_out";
    /// A constant 1, labelled with the version and revision of this program.
    build_info: Family<Labels<2>, Gauge> = "build_info";
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    fn begin_rows(&self) {
        begun::begin(&self.requests, "code", &CLASSES);
        begun::begin(&self.refused, "reason", &REASONS);
        begun::begin(&self.questions_refused, "reason", &["patience", "price", "steps", "waiting"]);
        begun::begin(&self.timeouts, "at", &["headers", "body", "answer", "answer_in_all"]);
        begun::begin(&self.displaced, "was", &["closing", "reading", "silent", "sending", "queued"]);
        begun::begin(&self.unread_bodies, "outcome", &["read", "closed"]);
        begun::begin(&self.wrong_tokens, "outcome", &["refused", "throttled"]);
    }

    /// Counts so many edges or requests that were refused for one of the [`REASONS`].
    pub fn refuse(&self, reason: &'static str, count: u64) {
        debug_assert!(REASONS.contains(&reason), "{reason} is none of the reasons");
        self.refused.get_or_create(&[("reason", reason)]).inc_by(count);
    }

    /// Says which program this is, in the metric `change_events_build_info`.
    pub fn set_build(&self, version: &'static str, revision: &'static str) {
        self.build_info.get_or_create(&[("version", version), ("revision", revision)]).set(1);
    }

    /// The metrics in OpenMetrics 1.0, without the closing `# EOF`.
    pub fn render_openmetrics(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        let encoded = encode_registry(&mut page, &self.registry).and_then(|()| encode_registry(&mut page, &self.process));
        if encoded.is_err() {
            // Writing to a String does not fail, so a metric refused to encode: better no own metrics than half a page.
            tracing::error!("own metrics could not be rendered");
            page.clear();
        }
        text::buckets_first(&page)
    }

    /// The metrics in the Prometheus text format 0.0.4.
    pub fn render_text(&self) -> String {
        text::from_openmetrics(&self.render_openmetrics())
    }

    /// The metrics of one route, resolved once so that counting a request takes no lookup.
    pub fn route(&self, route: &'static str, method: &'static str) -> RouteMetrics {
        let seconds = Observed::new(&self.request_seconds, [("route", route), ("method", method)]);
        RouteMetrics::new(route, method, &self.requests, self.route_requests.clone(), seconds)
    }
}

/// Sets a counter that mirrors a total kept elsewhere.
pub fn mirror(counter: &Counter, total: u64) {
    counter.inner().store(total, Ordering::Relaxed);
}

/// Sets a gauge from a size.
pub fn set_size(gauge: &Gauge, size: impl TryInto<i64>) {
    gauge.set(size.try_into().unwrap_or(i64::MAX));
}

/// Adds a duration to a histogram of seconds.
pub fn observe(histogram: &Histogram, elapsed: Duration) {
    histogram.observe(elapsed.as_secs_f64());
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

/// HELP from doc lines: joined, and without the full stop that prometheus-client adds itself.
fn help(doc: &str) -> String {
    let mut text = String::with_capacity(doc.len());
    for word in doc.split_whitespace() {
        let space = if text.is_empty() { "" } else { " " };
        write!(text, "{space}{word}").ok();
    }
    text.truncate(text.trim_end_matches('.').len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_both_formats() {
        let telemetry = Telemetry::new();
        telemetry.set_build("1.2.3", "abc");
        telemetry.edges.get_or_create(&[("outcome", "shown")]).inc_by(3);
        let openmetrics = telemetry.render_openmetrics();
        assert!(
            openmetrics.contains("# TYPE change_events_edges counter\nchange_events_edges_total{outcome=\"shown\"} 3\n"),
            "{openmetrics}"
        );
        let text = telemetry.render_text();
        assert!(text.contains("# TYPE change_events_edges_total counter\nchange_events_edges_total{outcome=\"shown\"} 3\n"), "{text}");
        assert!(text.contains("change_events_build_info{version=\"1.2.3\",revision=\"abc\"} 1\n"), "{text}");
        for page in [openmetrics, text] {
            assert!(page.contains("process_start_time_seconds 1"), "{page}");
            assert!(!page.contains("# EOF"), "{page}");
            assert!(!page.contains(".."), "{page}");
        }
    }
}
