//! `rules`: the files that are written, and what is said beside them.

use crate::support::{change_events, run};

fn stuck(more: &[&str]) -> (String, String) {
    let ended = run(change_events(&["rules", "stuck", "--event-name=backup"]).args(more));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    (ended.stdout, ended.stderr)
}

#[test]
fn a_limit_after_which_the_gauge_may_have_lost_the_event_is_warned_about() {
    let (file, said) = stuck(&["--entity=host", "--for=8d"]);
    assert!(said.contains("warning: ") && said.contains("--open.max-age"), "{said}");
    assert!(file.lines().any(|line| line.starts_with('#') && line.contains("--open.max-age")), "{file}");
    for more in [["--entity=host", "--for=5d"], ["--entity=entity_id", "--for=8d"]] {
        let (file, said) = stuck(&more);
        assert_eq!(said, "", "{more:?}");
        assert!(!file.contains("--open.max-age"), "{more:?}");
    }
}

#[test]
fn the_rules_about_deployments_are_printed_in_both_languages() {
    let print = |more: &[&str]| run(change_events(&["rules", "deployments"]).args(more)).stdout;
    assert!(print(&[]).contains("alert: DeploymentFailed"));
    assert!(print(&["--dialect=metricsql"]).contains("distinct_over_time("));
}
