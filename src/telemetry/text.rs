//! What prometheus-client writes, as scrapers have it: the lines of a histogram in the order of every other client, and from
//! OpenMetrics to the Prometheus text format 0.0.4.

use std::fmt::Write as _;
use std::mem;

/// Puts `_sum` and `_count` of each histogram behind its buckets. No format says so, but parsers are written for pages that have
/// them there.
pub(super) fn buckets_first(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut behind = String::new();
    let mut histogram = None;
    for line in openmetrics.split_inclusive('\n') {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.trim_end().split_once(' ')) {
            histogram = (kind == "histogram").then_some(name);
        }
        let part = histogram.and_then(|name| line.strip_prefix(name)).unwrap_or_default();
        if part.starts_with("_sum") || part.starts_with("_count") {
            behind.push_str(line);
            continue;
        }
        let is_bucket = part.starts_with("_bucket");
        if !is_bucket {
            text.push_str(&mem::take(&mut behind));
        }
        text.push_str(line);
        if is_bucket && part.contains("le=\"+Inf\"") {
            text.push_str(&mem::take(&mut behind));
        }
    }
    text + &behind
}

/// Rewrites the comment lines: counters are named with their `_total`, units and the end mark go, `unknown` is `untyped`.
/// Sample lines are the same in both formats.
pub(super) fn from_openmetrics(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len() + 1024);
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let kind = if kind == "unknown" { "untyped" } else { kind };
            if let Some((_, about)) = help.take().filter(|(helped, _)| *helped == name) {
                writeln!(text, "# HELP {name}{suffix} {about}").ok();
            }
            writeln!(text, "# TYPE {name}{suffix} {kind}").ok();
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::buckets_first;
    use super::from_openmetrics;

    #[test]
    fn rewrites_comment_lines() {
        let openmetrics = "# HELP a_b Counts things.\n# TYPE a_b counter\na_b_total 1\n\
            # HELP c_seconds Time.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2\n\
            # HELP d What.\n# TYPE d unknown\nd 3\n# EOF\n";
        let text = "# HELP a_b_total Counts things.\n# TYPE a_b_total counter\na_b_total 1\n\
            # HELP c_seconds Time.\n# TYPE c_seconds gauge\nc_seconds 2\n\
            # HELP d What.\n# TYPE d untyped\nd 3\n";
        assert_eq!(from_openmetrics(openmetrics), text);
    }

    #[test]
    fn sum_and_count_come_behind_the_buckets() {
        fn check(from: &str, to: &str) {
            assert_eq!(buckets_first(from), to, "{from}");
        }
        let others = "# TYPE a counter\na_total 1\n# TYPE c gauge\nc_sum 1\nc_count 2\n";
        check(others, others);
        check("", "");
        check(
            "# TYPE h histogram\nh_sum 0.5\nh_count 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n# TYPE i gauge\ni 1\n",
            "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.5\nh_count 1\n# TYPE i gauge\ni 1\n",
        );
        check(
            "# TYPE h histogram\n\
            h_sum{a=\"x\"} 1\nh_count{a=\"x\"} 2\nh_bucket{le=\"+Inf\",a=\"x\"} 2\n\
            h_sum{a=\"y\"} 3\nh_count{a=\"y\"} 4\nh_bucket{le=\"+Inf\",a=\"y\"} 4\n",
            "# TYPE h histogram\n\
            h_bucket{le=\"+Inf\",a=\"x\"} 2\nh_sum{a=\"x\"} 1\nh_count{a=\"x\"} 2\n\
            h_bucket{le=\"+Inf\",a=\"y\"} 4\nh_sum{a=\"y\"} 3\nh_count{a=\"y\"} 4\n",
        );
        check("# TYPE h histogram\nh_sum 1\nh_count 2\n# EOF\n", "# TYPE h histogram\nh_sum 1\nh_count 2\n# EOF\n");
    }
}
