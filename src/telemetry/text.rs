//! From OpenMetrics text, as prometheus-client writes it, to the Prometheus text format 0.0.4.

use std::fmt::Write as _;

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
}
