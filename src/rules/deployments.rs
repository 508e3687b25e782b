//! The rules about deployments, whatever their senders call them: failed, running for too long, too many rollbacks.
//!
//! How one ended is decided by [`outcomes`]; `deployment_start` and `deployment_complete` are of one change ([`change`]).

use crate::rules::file;
use crate::rules::outcomes;
use crate::rules::quote;
use crate::rules::watched::Dialect;
use crate::words::ends;

const TIMES: &str = "last9_change_events_timestamp_seconds";
const OPEN: &str = "last9_change_events_open_timestamp_seconds";
const DEPLOYMENTS: &str = r#"event_name=~"(?i).*(deploy|release|rollout).*""#;
const ROLLBACKS: &str = r#"event_name=~"(?i).*roll[_ -]?back.*""#;
/// What tells one kind of deployment from another, and one deployment.
const KIND: &str = "event_name, service_name, deployment_environment";
const ONE: &str = "service_name, deployment_environment, version, deployment_id";

const HEADER: &str = "\
Deployments: one that failed, one that runs for too long, too many rollbacks.

When to use it: beside senders of deployment events, whatever their spelling: the event may be called anything with
  deploy, release or rollout in it, `deployment_start` and `deployment_complete` too; how it ended may be
  called `conclusion`, `result`, `outcome`, `deployment_status`, `status`, or by one of the names in `*_result` below.
What it costs: a read of the stops of 6 h for failed, one of the edges of 24 h for rollbacks; running too long
  reads the stops of 30 d, which is why it is a group of its own with an interval of 5 min.
What to know:
  `deployment_status` counts where none of those before it is there, `status` where nothing else is. Of several a
  failure counts first, and a success only where all say so. README.md has the words.
  A stop that says nothing about its end in any of these is a success: it fires nothing, and resolves what fires. Where
  a sender says it under another name, scrape that as `result` (README.md has the line). Only stops are looked at: an
  event without `event_state` neither fires nor resolves.
  DeploymentFailed resolves with the next success of its service and environment, or 6 h after the failure. One that
  was cancelled or skipped, and one whose words are not known, neither fires nor resolves.
  DeploymentRunningTooLong is only for services that have sent a stop in the last 30 d: some senders never do, and
  their deployments would run for ever. It stands on the open-state gauge, so what stuck-open.rules.yml says of
  outages holds here too. A pairing rule with `supersede` in the exporter's configuration ends a lost deployment
  when the next one of its service starts.
  Alerts carry the service, the environment, the name of the event and, where they are about one deployment, its
  version; never all attributes.
";
const COUNTED: &str = "  \
  Rollbacks are counted with `distinct_over_time`: VictoriaMetrics stores a sample at each scrape that repeats it.
";

/// The whole file.
pub(crate) fn write(dialect: Dialect) -> String {
    let mut header = HEADER.to_owned();
    let dialect_argument = match dialect {
        Dialect::Promql => "",
        Dialect::Metricsql => {
            header.push_str(COUNTED);
            " --dialect metricsql"
        }
    };
    let header = format!("{header}Written by: change-events rules deployments{dialect_argument}\n");
    let rules = FILE
        .replace("{failed}", &file::indent(10, &failed()))
        .replace("{rollbacks}", &file::indent(10, &rollbacks(dialect)))
        .replace("{running}", &file::indent(10, &running()));
    format!("{}{rules}", file::comment(&header))
}

/// An expression with the label `change`: the name of the event without the word that says which end it is, so that
/// `deployment_start` and `deployment_complete` are the same. The elements of `vector` differ in no label `change`.
pub(crate) fn change(vector: &str) -> String {
    let words = [ends::BEGINNING.as_slice(), &ends::FINISHING].concat().join("|");
    let pattern = quote::string(&format!("(?s)(.+)[-_. ](?:{words})"));
    format!("label_replace(label_join({vector}, \"change\", \"\", \"event_name\"), \"change\", \"$1\", \"event_name\", {pattern})")
}

/// The newest stop that has decided something, where it has failed.
fn failed() -> String {
    let labels = outcomes::labels().join(", ");
    let stops = format!("last_over_time({TIMES}{{{DEPLOYMENTS},event_state=\"stop\"}}[6h])");
    let decided = outcomes::decided(&format!("  max by ({KIND}, {labels}) ({stops})"));
    let (success, failure) = (outcomes::meant("success"), outcomes::meant("failure"));
    format!(
        "\
max by ({KIND}) (
  topk by ({KIND}) (1,
{}
    and on ({})
    ({success} or {failure})
  )
  and on ({})
  {failure}
)",
        file::indent(4, &decided),
        outcomes::DECIDED,
        outcomes::DECIDED
    )
}

/// How many of a day: of starts or of stops, whichever are more. Points named as beginning and as end are two ends of one.
fn rollbacks(dialect: Dialect) -> String {
    let counted = match dialect {
        Dialect::Promql => format!("changes({TIMES}{{{ROLLBACKS}}}[24h]) + 1"),
        Dialect::Metricsql => format!("distinct_over_time({TIMES}{{{ROLLBACKS}}}[24h])"),
    };
    let finishing = quote::string(&format!("(?s).+[-_. ](?:{})", ends::FINISHING.join("|")));
    let place = "service_name, deployment_environment";
    format!(
        "\
max by ({place}) (
  sum by ({place}, event_state, end) (
    label_replace(sum by ({place}, event_state, event_name) (max without (instance) ({counted})), \"end\", \"it\", \"event_name\", {finishing})
  )
) >= 3"
    )
}

/// As the open form of a stuck state: the limit is no shorter than the hour in which stops are looked for, so each of them is
/// later than a start beyond the limit.
fn running() -> String {
    let open = change(&format!("max by (event_name, {ONE}) (last_over_time({OPEN}{{{DEPLOYMENTS}}}[10m]))"));
    let stops = |window: &str| format!("last_over_time({TIMES}{{{DEPLOYMENTS},event_state=\"stop\"}}[{window}])");
    let stopped = change(&format!("max by (event_name, {ONE}) ({})", stops("1h")));
    format!(
        "\
max by (event_name, service_name, deployment_environment, version) (
  time() - {open}
  > 3600
  unless on (change, {ONE})
  {stopped}
)
and on (service_name)
{}",
        stops("30d")
    )
}

const FILE: &str = "\
groups:
  - name: change-events-deployments
    rules:
      - alert: DeploymentFailed
        expr: |
{failed}
        labels:
          severity: warning
        annotations:
          summary: |-
            {{ $labels.event_name }} of {{ $labels.service_name }} failed{{ with $labels.deployment_environment }} in {{ . }}{{ end }}
          description: |-
            It ended at {{ humanizeTimestamp $value }}, and none has succeeded since.
      - alert: TooManyRollbacks
        expr: |
{rollbacks}
        labels:
          severity: warning
        annotations:
          summary: |-
            {{ $value }} rollbacks of {{ $labels.service_name }} in a day{{ with $labels.deployment_environment }} in {{ . }}{{ end }}
          description: |-
            {{ $value }} rollbacks within 24h; the limit is 3.
  - name: change-events-deployments-running
    interval: 5m
    rules:
      - alert: DeploymentRunningTooLong
        expr: |
{running}
        labels:
          severity: warning
        annotations:
          summary: |-
            {{ $labels.event_name }} of {{ $labels.service_name }}{{ with $labels.version }} {{ . }}{{ end }} is still running{{ with $labels.deployment_environment }} in {{ . }}{{ end }}
          description: |-
            It has been running for {{ humanizeDuration $value }}; the limit is 1h.
";
