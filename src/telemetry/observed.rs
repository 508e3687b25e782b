//! Histograms with labels, each of which is on the page from its first observation on.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Labels whose names and values are texts of this program.
pub type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Histograms of seconds, by labels.
pub type Timers<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// One of them, looked up once.
#[derive(Debug)]
pub struct Observed<const N: usize> {
    timers: Timers<N>,
    labels: Labels<N>,
    histogram: OnceLock<Histogram>,
}

impl<const N: usize> Observed<N> {
    /// That of these labels; it is not on the page yet.
    pub fn new(timers: &Timers<N>, labels: Labels<N>) -> Self {
        Self { timers: timers.clone(), labels, histogram: OnceLock::new() }
    }

    /// Adds a duration.
    pub fn observe(&self, elapsed: Duration) {
        self.histogram.get_or_init(|| self.timers.get_or_create_owned(&self.labels)).observe(elapsed.as_secs_f64());
    }
}
