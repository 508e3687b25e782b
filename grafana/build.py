#!/usr/bin/env python3
"""Writes dashboards/*.json. `build.py --check` only says whether they are what this script writes.

The panels share their selectors, so they are written once here; the JSON is what Grafana loads and what the tests read.
"""

import json
import pathlib
import sys

SAMPLES = "last9_change_events"
TIMES = "last9_change_events_timestamp_seconds"
OPEN = "last9_change_events_open_timestamp_seconds"
FOLDER = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WHOLE_EVENTS = {"type": "yesoreyeram-infinity-datasource", "uid": "${events}"}

# What tells one event from another, in the order of a reader's interest.
IDENTITY = "event_name, service_name, deployment_environment, version, state, entity_id, deployment_id, spinnaker_execution_id"
# How a change ended, and which names are of one change: written by `change-events rules outcomes`, as alerts/ is.
OUTCOMES = json.loads((pathlib.Path(__file__).parent / "outcomes.json").read_text())
SHOWN = f"{IDENTITY}, event_state, team, {OUTCOMES['labels']}"
# What an annotation's text says of an event beside where it was, where the event has it; then addresses.
CONTEXT = ["change_type", *OUTCOMES["labels"].split(", "), "author", "user_name", "actor", "ticket", "change_id", "commit", "commit_sha", "vcs_ref_head_revision", "branch", "repository", "reason", "description"]
# What metrics call their environment: OpenTelemetry had the first name, and has the second.
ENVIRONMENT_LABELS = ["deployment_environment", "deployment_environment_name", "environment", "env"]
ADDRESSES = ["url", "build_url", "jenkins_build_url", "link"]


def failed(vector):
    """What of it has failed; its elements have the labels that say how something ended."""
    return f"{OUTCOMES['decided'].replace('VECTOR', vector)}\nand on (decided) {OUTCOMES['failure']}"


def changes(vector):
    """With the label `change` in place of the name: `deployment_start` and `deployment_complete` are of one change."""
    return OUTCOMES["change"].replace("VECTOR", vector)


def concerns(label, variable):
    """Events of the chosen value, with it in a joined list, with `*`, and without the label."""
    return f'{label}=~"|[*]|(.*, *)?${variable}( *,.*)?"'


SCOPE = ", ".join([concerns("service_name", "service"), concerns("deployment_environment", "environment")])
EVENTS = f'event_name=~"$event_name", {SCOPE}, {concerns("team", "team")}'


def once(expression):
    """Two exporters, or one that moved, show the same event twice."""
    return f"max without (instance) ({expression})"


def ahead(family, selector):
    """The newest sample of each interval that begins at a step: Grafana ends a range at the last full step."""
    return once(f"max_over_time({family}{{{selector}}}[$__interval] offset -$__interval)")


def quoted(words):
    return ", ".join(f'"{word}"' for word in words)


def annotation(name, colour, expression, title, interval="", by_value=True):
    # Grafana writes the name of a label that is missing, so the text is one label that never is. It is shown as HTML, made harmless.
    # Labels of senders never begin with `__`, so none is written over: two events would become one, which is an error.
    made = {label: f"__{label}" for label in [*CONTEXT, *ADDRESSES]}
    steps = [("label_replace", f'"{made[label]}", "<br>{label}: $1", "{label}", "(?s)(.+)"') for label in made]
    steps += [("label_replace", f'"{made[label]}", "<br>{label}: <a href=\\"$1\\">$1</a>", "{label}", "(https?://[^<>\\"\' ]+)"') for label in ADDRESSES]
    steps.append(("label_join", '"__about", " ", ' + quoted([*"service_name deployment_environment version state entity_id".split(), *made.values()])))
    about = "".join(f"{function}(" for function, _ in reversed(steps)) + expression + "".join(f", {arguments})" for _, arguments in steps)
    return {
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "name": name,
        "tagKeys": "event_name,service_name,deployment_environment,team",
        "target": {"expr": about, "interval": interval, "refId": "Anno"},
        "textFormat": "{{__about}}",
        "titleFormat": title,
        "useValueForTime": by_value,
    }


def annotations(selector):
    return [
        annotation("Starts", "blue", ahead(TIMES, f'{selector}, event_state="start"') + " * 1000", "{{event_name}} start"),
        annotation("Stops", "orange", ahead(TIMES, f'{selector}, event_state="stop"') + " * 1000", "{{event_name}} stop"),
        # The gauge is scraped, so an interval shorter than two scrapes would tear a region.
        annotation("Open", "rgba(115, 191, 105, 0.6)", ahead(OPEN, selector) + " > 0", "{{event_name}} open", "2m", False),
    ]


def whole_events():
    """All events as annotations, with a title and everything that they say, by the exporter's own API."""

    def column(name, kind):
        return {"selector": name, "text": name, "type": kind}

    parameters = {"from": "${__from}", "to": "${__to}", "text": "whole", "limit": "1000", "tags": "${tag}"}
    return {
        "datasource": WHOLE_EVENTS,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "name": "Events",
        "target": {
            "refId": "Anno",
            "type": "json",
            "source": "url",
            "format": "dataframe",
            # Tags that are a list would become one text, and be cut at its commas; so it is made here, without their own;
            # and none is not an empty one.
            "parser": "jq-backend",
            "root_selector": 'map(.tags |= if . == [] then null else map(gsub(","; ";")) | join(",") end)',
            "url": "/api/annotations",
            "url_options": {"method": "GET", "params": [{"key": key, "value": value} for key, value in parameters.items()]},
            "columns": [column("time", "timestamp_epoch"), column("timeEnd", "timestamp_epoch"), *(column(name, "string") for name in ["title", "text", "tags"])],
        },
    }


def target(expression, legend="", ref="A", instant=False, table=False):
    return {
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expression,
        "format": "table" if table else "time_series",
        "instant": instant,
        "legendFormat": legend or "__auto",
        "range": not instant,
        "refId": ref,
    }


def panel(kind, title, targets, size, unit="short", description="", options=None, custom=None, steps=None, overrides=None):
    defaults = {"color": {"mode": "thresholds" if steps else "palette-classic"}, "custom": custom or {}, "mappings": [], "unit": unit}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": overrides or []},
        "options": options or {},
        "gridPos": {"w": size[0], "h": size[1]},
    }


def bad_from(value):
    return [{"color": "green", "value": None}, {"color": "red", "value": value}]


def stat(title, expression, unit="short", width=4, steps=None, description="", legend=""):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    return panel("stat", title, [target(expression, legend, instant=True)], (width, 4), unit, description, options, steps=steps or [{"color": "text", "value": None}])


def lines(title, expressions, unit="short", width=8, description="", **custom):
    """`expressions`: pairs of a query and its legend."""
    targets = [target(expression, legend, chr(ord("A") + number)) for number, (expression, legend) in enumerate(expressions)]
    options = {"legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, targets, (width, 8), unit, description, options, custom={"fillOpacity": 10, "showPoints": "never", **custom})


def bars(title, label, expression, width=8):
    named = f'label_replace(topk(20, sum by ({label}) ({expression})), "{label}", "(none)", "{label}", "")'
    options = {"displayMode": "basic", "orientation": "horizontal", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "valueMode": "color"}
    return panel("bargauge", title, [target(named, "{{%s}}" % label, instant=True)], (width, 8), options=options)


def table(title, expression, column, unit, width=24, description="", height=9):
    organize = {"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": {"Value": 0}, "renameByName": {"Value": column}}}
    override = {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}, {"id": "custom.width", "value": 190}]}
    options = {"cellHeight": "sm", "showHeader": True, "sortBy": [{"desc": True, "displayName": column}]}
    made = panel("table", title, [target(expression, instant=True, table=True)], (width, height), description=description, options=options, custom={"filterable": True}, overrides=[override])
    return made | {"transformations": [organize]}


def source(name="datasource", label="Data source", plugin="prometheus"):
    return {"type": "datasource", "name": name, "label": label, "query": plugin, "current": {"selected": False, "text": "", "value": ""}, "hide": 0, "refresh": 1, "regex": "", "multi": False, "includeAll": False, "options": []}


def choice(name, label, metric, values_of, regex=""):
    query = f"label_values({metric}, {values_of})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "regex": regex,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Without it "All" is the list of all values: no event without the label, and a quote in one breaks every query.
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "options": [],
    }


def joined(name, label, metric, values_of):
    """A choice whose values may be lists: each of their parts is offered by itself."""
    return choice(name, label, metric, values_of, "/ *([^,*]+)/g")


def text(name, label, value):
    chosen = {"selected": True, "text": value, "value": value}
    return {"type": "textbox", "name": name, "label": label, "query": value, "current": chosen, "hide": 0, "options": [chosen]}


def custom(name, label, pairs):
    options = [{"selected": number == 0, "text": shown, "value": value} for number, (shown, value) in enumerate(pairs)]
    query = ", ".join(f"{shown} : {value}" for shown, value in pairs)
    return {"type": "custom", "name": name, "label": label, "query": query, "current": options[0], "hide": 0, "multi": False, "includeAll": False, "options": options}


def event_choices(metric):
    return [
        choice("event_name", "Event", metric, "event_name"),
        joined("service", "Service", metric, "service_name"),
        joined("environment", "Environment", metric, "deployment_environment"),
        joined("team", "Team", metric, "team"),
    ]


def dashboard(uid, title, description, panels, variables, annotated=(), since="now-6h"):
    x = y = height = 0
    for number, each in enumerate(panels, 1):
        width = each["gridPos"]["w"]
        if x + width > 24:
            x, y, height = 0, y + height, 0
        each["id"] = number
        each["gridPos"] |= {"x": x, "y": y}
        x, height = x + width, max(height, each["gridPos"]["h"])
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["change-events"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "timezone": "",
        "fiscalYearStartMonth": 0,
        "links": [{"type": "dashboards", "title": "Change events", "tags": ["change-events"], "asDropdown": True, "includeVars": False, "keepTime": True, "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}],
        "annotations": {"list": list(annotated)},
        "templating": {"list": [source(), *variables]},
        "panels": panels,
    }


def latest(selector):
    query = f"topk(200, max by ({SHOWN}) (last_over_time({TIMES}{{{selector}}}[$__range]))) * 1000"
    return table("Latest events", query, "When", "dateTimeAsIso", description="The newest edge of each series within the time range.")


def change_events():
    def count(more, window="$__range"):
        return once(f"count_over_time({SAMPLES}{{{EVENTS}, {more}}}[{window}])")

    def newest(state, selection):
        edges = selection.format(TIMES + "{" + EVENTS + ", event_state=" + chr(34) + state + chr(34) + "}")
        return f'max by ({IDENTITY.replace("event_name", "change")}) ({changes(f"max by ({IDENTITY}) ({edges})")})'

    stops = 'event_state="stop"'
    ended_as = f"sum by ({OUTCOMES['labels']}) ({count(stops)})"
    starts = 'event_state="start"'
    took = f'({newest("stop", "last_over_time({}[$__range])")} - {newest("start", "last_over_time({}[$__range])")}) >= 0'
    ended = f'({newest("stop", "max_over_time({}[$__interval] offset -$__interval)")} - {newest("start", "last_over_time({}[1d] offset -$__interval)")}) >= 0'
    per_interval = once(f"count_over_time({SAMPLES}{{{EVENTS}}}[$__interval] offset -$__interval)")
    ages = "The newest start and the newest stop of each change (deployment_start and deployment_complete are of one), service, environment, version, state and id, where the stop is the later one."
    return dashboard(
        "change-events",
        "Change events",
        "What changed, when, where, and how long it took.",
        [
            stat("Starts", f"sum({count(starts)}) or vector(0)", description="Samples with event_state start: points in time and heartbeats count too."),
            stat("Stops", f"sum({count(stops)}) or vector(0)"),
            stat("Failed", f"sum({failed(ended_as)}) or vector(0)", steps=bad_from(1), description="Stops whose conclusion, result, outcome or the like, or else status, is a word for a failure."),
            stat("Open now", f"count({once(OPEN + '{' + EVENTS + '}')}) or vector(0)"),
            stat("Oldest open", f"time() - min({OPEN}{{{EVENTS}}})", "s"),
            stat("Median duration", f"quantile(0.5, {took})", "s", description=ages),
            lines("Events over time", [(f"sum by (event_name, event_state) ({per_interval})", "{{event_name}} {{event_state}}")], width=24, drawStyle="bars", fillOpacity=60, stacking={"group": "A", "mode": "normal"}),
            latest(EVENTS),
            bars("Events per service", "service_name", count(starts)),
            bars("Events per environment", "deployment_environment", count(starts)),
            bars("Events per team", "team", count(starts)),
            table("Durations", f"topk(200, {took})", "Duration", "s", 12, ages),
            lines("Durations of what ended", [(f"max by (change, service_name) ({ended})", "{{change}} {{service_name}}")], "s", 12, "Starts of up to a day before.", drawStyle="points", showPoints="always", pointSize=6),
        ],
        event_choices(TIMES),
        annotations(EVENTS),
    )


def service_overview(uid, title, events, more, annotated):
    """Of a service; `events` are panels of its events, `more` the variables that only these or the annotations need."""
    where = '${service_label:raw}=~"$service", ${environment_label:raw}=~"$environment"'

    def rate(metric, more=""):
        return f"rate(${{{metric}:raw}}{{{where}{more}}}[$__rate_interval])"

    def per_service(expression, more=""):
        return f"sum by (${{service_label:raw}}{more}) ({expression})"

    requests = per_service(rate("requests"))
    errors = per_service(rate("requests", ", ${errors:raw}"))
    # Bounds are labels: one that is computed becomes one too. They end in .0 in some versions and not in others.
    buckets = f'label_replace({per_service(rate("duration"), ", le")}, "le", "$1", "le", "(.+)[.]0")'

    def within(bound):
        return per_service(f'{buckets} and on (le) count_values("le", vector({bound}))')

    apdex = f"({within('${apdex:raw}')} + {within('4 * ${apdex:raw}')}) / 2 / {per_service(rate('duration', ', le=' + chr(34) + '+Inf' + chr(34)))}"
    satisfied = "Requests within the threshold, and half of those within four times of it, of all. Both have to be bounds of the buckets."
    slow = f'histogram_quantile(0.95, {per_service(rate("duration"), ", le")})'
    legend = "__auto"
    return dashboard(
        uid,
        title,
        "Requests, errors, response times and Apdex of services, and the changes around them.",
        [
            lines("Throughput", [(requests, legend)], "reqps", 6),
            lines("Error rate", [(f"({errors} or 0 * {requests}) / {requests}", legend)], "percentunit", 6),
            lines("Response time, p95", [(slow, legend)], "s", 6),
            lines("Apdex", [(apdex, legend)], "none", 6, satisfied),
            *events,
        ],
        [
            *more,
            choice("service", "Service", "${requests:raw}", "${service_label:raw}"),
            choice("environment", "Environment", "${requests:raw}", "${environment_label:raw}"),
            text("requests", "Requests (counter)", "http_server_request_duration_seconds_count"),
            text("errors", "Errors (matcher)", 'http_response_status_code=~"5.."'),
            text("duration", "Duration (buckets)", "http_server_request_duration_seconds_bucket"),
            text("apdex", "Apdex threshold (s)", "0.25"),
            text("service_label", "Label of the service", "service_name"),
            custom("environment_label", "Label of the environment", [(name, name) for name in ENVIRONMENT_LABELS]) | {"allowCustomValue": True},
        ],
        annotated,
    )


def service():
    now = f"topk(200, time() - min by ({SHOWN}) ({OPEN}{{{SCOPE}}}))"
    return service_overview("change-events-service", "Service overview", [latest(SCOPE), table("Open now", now, "Open for", "s")], [], annotations(SCOPE))


def service_with_whole_events():
    variables = [source("events", "Events", "yesoreyeram-infinity-datasource"), text("tag", "Tag of the events", "")]
    return service_overview("change-events-service-whole", "Service overview, whole events", [], variables, [whole_events()])


def stuck_states():
    selector = f'{EVENTS}, state=~"$state"'
    gauge = once(f"{OPEN}{{{selector}}}")
    age = f"(time() - {gauge})"
    over = f"{age} > $limit"
    by = "event_name, state"
    return dashboard(
        "change-events-stuck",
        "Stuck states",
        "What entered a state and has not left it.",
        [
            stat("Open", f"count({gauge}) or vector(0)", width=6),
            stat("Stuck", f"count({over}) or vector(0)", width=6, steps=bad_from(1), description="Open for longer than the limit."),
            stat("Oldest", f"max({age})", "s", width=6),
            stat("Exporters up", 'sum(up and on (job, instance) last_over_time(change_events_build_info[1d])) or vector(0)', width=6, steps=[{"color": "red", "value": None}, {"color": "green", "value": 1}], description="With none up, nothing is seen to be open."),
            table("Stuck", f"topk(500, max by ({SHOWN}) ({over}))", "Open for", "s", description="Open for longer than the limit, the oldest first."),
            lines("Open", [(f"count by ({by}) ({gauge})", "{{event_name}} {{state}}")]),
            lines("Stuck", [(f"count by ({by}) ({over})", "{{event_name}} {{state}}")]),
            lines("Age of the oldest", [(f"max by ({by}) ({age})", "{{event_name}} {{state}}")], "s"),
            bars("Open per service", "service_name", f"({gauge}) > bool 0", 12),
            bars("Open per environment", "deployment_environment", f"({gauge}) > bool 0", 12),
            table("All that is open", f"topk(500, max by ({SHOWN}) ({age}))", "Open for", "s"),
        ],
        [
            *event_choices(OPEN),
            choice("state", "State", OPEN, "state"),
            custom("limit", "Limit", [("4h", "14400"), ("15m", "900"), ("1h", "3600"), ("12h", "43200"), ("24h", "86400"), ("7d", "604800")]),
        ],
    )


def exporter_health():
    of = 'job=~"$job", instance=~"$instance"'

    def own(name):
        return f"change_events_{name}{{{of}}}"

    def rate(name, by):
        return f"sum by ({by}) (rate({own(name)}[$__rate_interval]))"

    def p99(name, by=""):
        return f'histogram_quantile(0.99, sum by (le{by}) (rate({own(name + "_bucket")}[$__rate_interval])))'

    def process(name):
        return f"process_{name}{{{of}}} and on (job, instance) change_events_build_info"

    free = f'{own("storage_free_bytes")} / {own("storage_size_bytes")}'
    low = [{"color": "red", "value": None}, {"color": "orange", "value": 0.02}, {"color": "green", "value": 0.1}]
    up = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    return dashboard(
        "change-events-exporter",
        "Exporter health",
        "Whether the exporter is there, keeps what it is given, and shows what it keeps.",
        [
            stat("Up", f"min(up{{{of}}})", steps=up),
            stat("Log latched", f'max({own("log_latched")})', steps=bad_from(1), description="1: the log could not be synced; nothing is taken until the disk is mended and the exporter restarted."),
            stat("Disk free", f"min({free})", "percentunit", steps=low),
            stat("Page lag", f'max({own("page_lag_seconds")})', "s", steps=bad_from(900), description="How long until all samples that are queued now have come onto the page."),
            stat("Last reload", f'min({own("config_last_reload_successful")})', steps=up, description="1: the configuration file was read without an error, or there is none."),
            stat("Version", f'max by (version) ({own("build_info")})', legend="{{version}}"),
            lines("Edges taken, by what became of their samples", [(rate("edges_total", "outcome"), "{{outcome}}")], "cps"),
            lines("Refused, by reason", [(rate("refused_total", "reason"), "{{reason}}")], "cps"),
            lines("Never on a plain page, by reason", [(f'sum by (reason) (increase({own("samples_unexposed_total")}[$__rate_interval]))', "{{reason}}")], description="Late and old ones reach scrapers that say how large their window is."),
            lines("Samples of the page", [(f'sum({own(f"page_{name}_samples")})', name) for name in ["shown", "queued", "scheduled", "cut"]]),
            lines("Page lag", [(own("page_lag_seconds"), "{{instance}}")], "s"),
            lines("Page rendering, p99", [(p99("page_render_duration_seconds"), "p99")], "s"),
            lines("Requests by class of code", [(rate("http_requests_total", "code"), "{{code}}")], "reqps"),
            lines("Requests by route and code", [(rate("http_route_requests_total", "route, method, code"), "{{method}} {{route}} {{code}}")], "reqps"),
            lines("Request time, p99", [(p99("http_request_duration_seconds", ", route, method"), "{{method}} {{route}}")], "s"),
            lines("Connections and bodies", [(own("http_connections"), "connections"), (rate("http_connections_accepted_total", "instance"), "accepted/s"), (own("http_bytes_in_flight"), "bytes in flight")]),
            lines("Log, p99", [(p99("log_append_duration_seconds"), "append"), (p99("log_sync_duration_seconds"), "sync")], "s"),
            lines("Log and disk", [(own("log_bytes"), "log"), (own("storage_free_bytes"), "free"), (own("storage_size_bytes"), "size")], "bytes"),
            lines("Writer", [(own("writer_queue_depth"), "waiting, {{kind}}"), (rate("writer_queue_full_total", "instance"), "refused/s"), (rate("log_records_appended_total", "instance"), "records/s")]),
            lines("In memory", [(own(f"store_{name}"), name) for name in ["events", "edges", "series", "open_events", "lapsed_events"]]),
            lines("Trouble", [(f'increase({own(f"{name}_total")}[$__rate_interval])', name) for name in ["label_collisions", "label_values_cut", "http_handler_panics", "config_reloads_failed"]]),
            lines("Last start", [(own("replay_duration_seconds"), "replay, seconds"), (own("replay_records"), "records"), (own("log_torn_bytes"), "bytes cut off the log")]),
            lines("Memory", [(process("resident_memory_bytes"), "{{instance}}")], "bytes"),
            lines("CPU", [(f"rate(process_cpu_seconds_total{{{of}}}[$__rate_interval]) and on (job, instance) change_events_build_info", "{{instance}}")], "percentunit"),
            lines("Open files", [(process("open_fds"), "open"), (process("max_fds"), "limit")]),
        ],
        [choice("job", "Job", "change_events_build_info", "job"), choice("instance", "Instance", "change_events_build_info", "instance")],
    )


def main():
    stale = []
    for made in [change_events(), service(), service_with_whole_events(), stuck_states(), exporter_health()]:
        path = FOLDER / f'{made["uid"]}.json'
        written = json.dumps(made, indent=2, ensure_ascii=True) + "\n"
        if "--check" not in sys.argv[1:]:
            path.write_text(written)
        elif not path.exists() or path.read_text() != written:
            stale.append(path.name)
    if stale:
        sys.exit(f"not what build.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()
