//! The rule file around an expression: what to know about the pattern, the YAML, the words of the alert.
//!
//! Words of the sender reach an alert only as values of its labels, and a template only within the raw string of a query, which
//! they cannot end ([`quote::string`]).

use std::fmt::Write as _;

use crate::rules::expression::Expression;
use crate::rules::quote;
use crate::rules::watched::Dialect;
use crate::rules::watched::Notify;
use crate::rules::watched::Pattern;
use crate::rules::watched::Stuck;
use crate::rules::watched::lookback;

const OPEN_HEADER: &str = "\
Stuck in a state, by the open-state gauge. Recommended.

When to use it: something that started (entered a state) has to stop within a known time.
  Right at any age: the gauge is on every page for as long as the event is open, so there is no lookback
  window to choose and nothing resolves by itself. An entity that enters the state again counts anew.
What it costs: in Prometheus 20 to 30 ms an evaluation when 2000 entities are open, 100 to 160 ms when 20 000 are.
What to know:
  A stop resolves at the next evaluation. A deleted event, or a stop dated more than 1 h back, resolves up to
  10 min late: for so long the last known state is kept while the exporter or its scrape is down. An outage of
  more than 10 min resolves the alert; ChangeEventsExporterDown in exporter.rules.yml speaks before that.
  A new address of the exporter, or two replicas of it, change nothing.
";
const DURATION_HEADER: &str = "\
Stuck in a state, by the age of the last start: the Last9 document's duration pattern, comparing times.

When to use it: where the open-state gauge is not scraped, such as a Prometheus filled by remote write.
  An entity that enters the state again after an old stop alerts; the document's `unless` alone hides it.
";
const DURATION_KNOW: &str = "\
What to know:
  The lookback is {lookback} for a limit of {limit}. If it is too small, the alert resolves by itself when the
  start leaves the window, while its entity is still stuck: here {lookback} after the start. A limit of up to
  1h takes 6h, up to 4h 12h, up to 12h 48h, up to 24h 72h.
  The age counts from the newest start: a sender that repeats its start begins the limit again each time.
  Take the open-state gauge or the heartbeat pattern for such a sender.
";
const DURATION_PROMQL: &str = "\
What it costs: 270 to 500 ms an evaluation for 20 000 entities and a lookback of 12 h.
";
const DURATION_METRICSQL: &str = "\
What it costs: 300 ms an evaluation for 20 000 entities and a lookback of 12 h.
What it needs: `honor_timestamps: true` in the scrape configuration; without it VictoriaMetrics and vmagent stamp
  samples with the time of the scrape. The PromQL file runs in vmalert too, and is exact without the setting.
";
const HEARTBEAT_HEADER: &str = "\
Stuck in a state, by heartbeats: the start is sent again and again for as long as the state lasts.

When to use it: a sender that cannot be relied on to send a stop. Silence of more than 5 min ends the state.
What it costs: in Prometheus 180 to 770 ms an evaluation for 2000 beating entities and a limit of 4 h.
What to know:
  Beat at least once a minute. A page shows a beat for 2m15s before the next one, so with a scrape every minute the
  newest stored beat is up to 4 min old; with beats 2 min apart it is up to 5 min old, which leaves no slack.
  Missing beats are tolerated for up to 4 min; those missing for 7 min and more begin the limit again.
  It fires up to a minute early, and resolves within a minute of the stop, or 5 min after the last beat.
";
const HEARTBEAT_METRICSQL: &str = "\
What it needs: `honor_timestamps: true` in the scrape configuration, and `-search.disableCache` in VictoriaMetrics
  when beats are sent late: its cache of results does not expect samples older than 5 min.
";
const GROUPED: &str = "  \
  One alert for all entities: its value is their count, its text names the oldest. It resolves when the last one
  stops.
";
const OPEN_AT_MOST: &str = "  \
  The limit of {limit} is near 7d or beyond: an event that nothing but its attributes identifies (no entity_id,
  deployment_id or spinnaker_execution_id, no pairing rule) leaves the gauge 7d after its start, and ends its alert
  or never fires. Start the exporter with a longer `--open.max-age`, or send an entity_id.
";
const ORGANIZATIONS: &str = "  \
  Two organizations in one Prometheus: add `job` to every `by (...)` and `on (...)` (`--entity {entity},job`).
";

/// The whole file.
pub(crate) fn write(stuck: &Stuck, expression: &Expression) -> String {
    let mut text = comment(&header(stuck));
    let Expression { value, condition } = expression;
    let alerting = match stuck.notify {
        Notify::Each => format!("{value} {condition}"),
        Notify::Grouped => {
            format!("count by ({}) (\n{}\n)", Expression::group(stuck).join(", "), indent(2, &format!("{value} {condition}")))
        }
    };
    let (summary, description) = match stuck.notify {
        Notify::Each => (
            format!("{{{{ $labels.event_name }}}} of {} {}", entity(stuck, |label| format!("$labels.{label}")), stuck_in(stuck, "is")),
            each_description(stuck),
        ),
        Notify::Grouped => {
            (format!("{{{{ $value }}}} of {{{{ $labels.event_name }}}} {}", stuck_in(stuck, "are")), grouped_description(stuck, expression))
        }
    };
    let (expr, summary, description) = (indent(10, &alerting), indent(12, &summary), indent(12, &description));
    let pattern = pattern_name(stuck.pattern);
    write!(
        text,
        "\
groups:
  - name: change-events-stuck-{pattern}
    rules:
      - alert: ChangeEventStuck
        expr: |
{expr}
        labels:
          severity: warning
        annotations:
          summary: |-
{summary}
          description: |-
{description}
"
    )
    .ok();
    text
}

fn pattern_name(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::Open => "open",
        Pattern::Duration => "duration",
        Pattern::Heartbeat => "heartbeat",
    }
}

fn header(stuck: &Stuck) -> String {
    let mut parts = match (stuck.pattern, stuck.dialect) {
        (Pattern::Open, _) => vec![OPEN_HEADER],
        (Pattern::Duration, Dialect::Promql) => {
            vec![DURATION_HEADER, DURATION_PROMQL, DURATION_KNOW]
        }
        (Pattern::Duration, Dialect::Metricsql) => {
            vec![DURATION_HEADER, DURATION_METRICSQL, DURATION_KNOW]
        }
        (Pattern::Heartbeat, _) => vec![HEARTBEAT_HEADER],
    };
    if stuck.notify == Notify::Grouped {
        parts.push(GROUPED);
    }
    if stuck.is_near_max_age() {
        parts.push(OPEN_AT_MOST);
    }
    if !stuck.entity.iter().any(|label| label == "job") {
        parts.push(ORGANIZATIONS);
    }
    if (stuck.pattern, stuck.dialect) == (Pattern::Heartbeat, Dialect::Metricsql) {
        parts.push(HEARTBEAT_METRICSQL);
    }
    let text = parts
        .concat()
        .replace("{lookback}", &quote::duration(lookback(stuck.limit)))
        .replace("{limit}", &quote::duration(stuck.limit))
        .replace("{entity}", &stuck.entity.join(","));
    format!("{text}Written by: {}\n", command(stuck))
}

/// The command line that writes this file. Names are quoted as in the expression, so that no line break in one ends
/// the comment; a shell may want other quotes.
fn command(stuck: &Stuck) -> String {
    let mut text = format!("change-events rules stuck --event-name {}", quote::word(&stuck.event_name));
    if let Some(state) = &stuck.state {
        write!(text, " --state {}", quote::word(state)).ok();
    }
    write!(text, " --entity {} --for {} --pattern {}", stuck.entity.join(","), quote::duration(stuck.limit), pattern_name(stuck.pattern))
        .ok();
    if stuck.dialect == Dialect::Metricsql {
        text.push_str(" --dialect metricsql");
    }
    if stuck.notify == Notify::Grouped {
        text.push_str(" --grouped");
    }
    text
}

fn stuck_in(stuck: &Stuck, verb: &str) -> String {
    match stuck.state {
        Some(_) => format!("{verb} stuck in {{{{ $labels.state }}}}"),
        None => format!("{verb} stuck"),
    }
}

/// Names the entity in a template; labels after the first with their names, and only where they are present.
fn entity(stuck: &Stuck, value_of: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for (index, label) in stuck.entity.iter().enumerate() {
        let value = value_of(label);
        if index == 0 {
            write!(text, "{{{{ {value} }}}}").ok();
        } else {
            write!(text, "{{{{ with {value} }}}} ({label} {{{{ . }}}}){{{{ end }}}}").ok();
        }
    }
    text
}

fn each_description(stuck: &Stuck) -> String {
    let limit = quote::duration(stuck.limit);
    match stuck.pattern {
        Pattern::Open => {
            format!("Open for {{{{ humanizeDuration $value }}}}; the limit is {limit}.")
        }
        Pattern::Duration => {
            format!("Started {{{{ humanizeDuration $value }}}} ago and has not stopped; the limit is {limit}.")
        }
        Pattern::Heartbeat => format!("Heartbeats for {limit} without a stop."),
    }
}

/// Asks for the oldest when the alert is written. The query stands in a raw string of the template, which only a
/// backtick could end; [`quote::string`] leaves none.
fn grouped_description(stuck: &Stuck, expression: &Expression) -> String {
    let limit = quote::duration(stuck.limit);
    let Expression { value, condition } = expression;
    let (ranked, lasting) = match stuck.pattern {
        Pattern::Open | Pattern::Duration => (format!("{value} {condition}"), "since {{ . | first | value | humanizeDuration }}"),
        Pattern::Heartbeat => (
            format!(
                "{}\nand on ({})\n{value} {condition}",
                Expression::beats_within(stuck, lookback(stuck.limit)),
                stuck.entity.join(", ")
            ),
            "with heartbeats in {{ . | first | value }} minutes of the last {lookback}",
        ),
    };
    let lasting = lasting.replace("{lookback}", &quote::duration(lookback(stuck.limit)));
    let oldest = entity(stuck, |label| format!(". | first | label \"{label}\""));
    format!(
        "\
{{{{ with query `
topk(1,
{}
)
` }}}}The oldest: {}, {lasting}. {{{{ end }}}}The limit is {limit}.",
        indent(2, &ranked),
        oldest
    )
}

/// Lines as a comment.
pub(crate) fn comment(text: &str) -> String {
    text.lines().flat_map(|line| [if line.is_empty() { "#" } else { "# " }, line, "\n"]).collect()
}

pub(crate) fn indent(spaces: usize, text: &str) -> String {
    let margin = " ".repeat(spaces);
    text.lines().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}
