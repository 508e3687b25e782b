//! Metrics of one route. The counter of a status code is looked up once, when the code is first answered.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::telemetry::begun::CLASSES;
use crate::telemetry::observed::Labels;
use crate::telemetry::observed::Observed;

/// The status codes that this server answers, which the test `every_status_has_its_metric` holds; anything else is `other`.
const CODES: [(u16, &str); 23] = [
    (200, "200"),
    (201, "201"),
    (204, "204"),
    (207, "207"),
    (307, "307"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (409, "409"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (421, "421"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (503, "503"),
    (0, "other"),
];

/// Counts the requests of one route and method.
#[derive(Debug)]
pub struct RouteMetrics {
    route: &'static str,
    method: &'static str,
    family: Family<Labels<3>, Counter>,
    codes: [OnceLock<Counter>; CODES.len()],
    classes: [Counter; CLASSES.len()],
    seconds: Observed<2>,
}

impl RouteMetrics {
    pub(super) fn new(
        route: &'static str,
        method: &'static str,
        requests: &Family<Labels<1>, Counter>,
        family: Family<Labels<3>, Counter>,
        seconds: Observed<2>,
    ) -> Self {
        let classes = CLASSES.map(|class| requests.get_or_create_owned(&[("code", class)]));
        Self { route, method, family, codes: Default::default(), classes, seconds }
    }

    /// Counts one request that was answered with `status` after `elapsed`.
    pub fn observe(&self, status: u16, elapsed: Duration) {
        let place = CODES.iter().position(|(code, _)| *code == status).unwrap_or(CODES.len() - 1);
        if let (Some(counter), Some((_, code))) = (self.codes.get(place), CODES.get(place)) {
            let labels = [("route", self.route), ("method", self.method), ("code", *code)];
            counter.get_or_init(|| self.family.get_or_create_owned(&labels)).inc();
        }
        if let Some(class) = self.classes.get(usize::from(status / 100).saturating_sub(2).min(CLASSES.len() - 1)) {
            class.inc();
        }
        self.seconds.observe(elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Telemetry;

    #[test]
    fn counts_by_code() {
        let telemetry = Telemetry::new();
        let route = telemetry.route("/x", "PUT");
        assert!(!telemetry.render_text().contains("/x"), "nobody has called it");
        for status in [200, 200, 418] {
            route.observe(status, Duration::from_millis(3));
        }
        let page = telemetry.render_text();
        for line in [
            "change_events_http_requests_total{code=\"2xx\"} 2",
            "change_events_http_requests_total{code=\"3xx\"} 0",
            "change_events_http_requests_total{code=\"4xx\"} 1",
            "change_events_http_requests_total{code=\"5xx\"} 0",
            "change_events_http_route_requests_total{route=\"/x\",method=\"PUT\",code=\"200\"} 2",
            "change_events_http_route_requests_total{route=\"/x\",method=\"PUT\",code=\"other\"} 1",
            "change_events_http_request_duration_seconds_bucket{le=\"0.005\",route=\"/x\",method=\"PUT\"} 3",
            "change_events_http_request_duration_seconds_count{route=\"/x\",method=\"PUT\"} 3",
        ] {
            assert!(page.contains(line), "{line} not in {page}");
        }
    }
}
