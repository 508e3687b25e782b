"""Plays a quarter of an hour for draw.py, and asks what the dashboards ask.

Starts the release binary and Prometheus on loopback and sends change events, beside a made-up service whose requests fail and slow down
after one deployment. Then it asks every query as Grafana would for the last quarter of an hour, the exporter's own API too,
and turns the answers into annotations as Grafana does.
"""

import http.server
import json
import math
import os
import pathlib
import random
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("CHANGE_EVENTS_BINARY", ROOT / "target/release/change-events"))
SERVERS = pathlib.Path(os.environ.get("CHANGE_EVENTS_SERVERS", ROOT / "target/servers/bin"))
LENGTH, STEP, SCRAPE = 900, 10, 2
HOUR = 3600

CHECKOUT = {"service": "checkout", "env": "production", "team": "payments"}
SEARCH = {"service": "search", "env": "production", "team": "discovery"}
RENDER = {"service": "render", "env": "production", "team": "graphics", "state": "queued"}
# All that a pipeline may say of a deployment.
BAD = {"version": "1.8.0", "deployment_id": "42", "change_type": "feature", "author": "jane", "ticket": "SHOP-311", "commit": "9fceb02", "url": "https://ci.example/checkout/42"}
# Seconds after the beginning, when it is dated if not then, name, state, attributes.
SCRIPT = [
    (0, -5 * HOUR - 600, "job_lifecycle", "start", RENDER | {"entity_id": "job-3"}),
    (0, -4 * HOUR + 300, "job_lifecycle", "start", RENDER | {"entity_id": "job-9"}),
    (0, -42 * 60, "job_lifecycle", "start", RENDER | {"entity_id": "job-12"}),
    (60, None, "deployment", "start", CHECKOUT | {"version": "1.7.4", "deployment_id": "41"}),
    (160, None, "deployment", "stop", CHECKOUT | {"version": "1.7.4", "deployment_id": "41", "result": "success"}),
    (210, None, "config_change", "", SEARCH | {"key": "cache_size"}),
    (300, None, "deployment", "start", CHECKOUT | BAD),
    (350, None, "", "", {}),
    (360, -3 * HOUR, "config_change", "", SEARCH | {"key": "told too late"}),
    (400, None, "deployment", "stop", CHECKOUT | BAD | {"result": "success"}),
    (470, None, "incident", "start", CHECKOUT | {"entity_id": "INC-7"}),
    (520, None, "rollback", "start", CHECKOUT | {"version": "1.7.4", "deployment_id": "43"}),
    (560, None, "deployment", "start", SEARCH | {"version": "3.2.0", "deployment_id": "9"}),
    (600, None, "deployment", "stop", SEARCH | {"version": "3.2.0", "deployment_id": "9", "result": "failure"}),
    (610, None, "job_lifecycle", "stop", RENDER | {"entity_id": "job-3"}),
    (640, None, "rollback", "stop", CHECKOUT | {"version": "1.7.4", "deployment_id": "43", "result": "success"}),
    (700, None, "incident", "stop", CHECKOUT | {"entity_id": "INC-7"}),
    (740, None, "feature_flag", "", CHECKOUT | {"flag": "one_click"}),
    (790, None, "deployment", "start", CHECKOUT | {"version": "1.8.1", "deployment_id": "44"}),
]
# Seconds after the beginning, a tag of an event, and what somebody writes to it as to an annotation of Grafana.
NOTES = [(500, "deployment_id:42", "Prices are rounded per line, no longer per order. Suspected cause of INC-7.")]
BROKEN = (330, 630)
# Variables that somebody chose, by dashboard; the others are as they are when it is opened.
CHOSEN = {"change-events-service": {"service": "checkout"}, "change-events-service-whole": {"service": "checkout", "tag": "service_name:checkout"}}
# The JQ expression that `rows` does.
ROWS = 'map(.tags |= if . == [] then null else map(gsub(","; ";")) | join(",") end)'


class Service(http.server.BaseHTTPRequestHandler):
    """Requests of two services that nobody made; `checkout` fails and slows down while its bad version is out."""

    began = time.time()
    counted = 0
    codes, buckets = {}, {}
    random = random.Random(7)
    bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, math.inf]

    def do_GET(self):
        while self.counted < time.time() - self.began:
            broken = BROKEN[0] <= self.counted < BROKEN[1]
            for name, rate, typical, bad in (("checkout", 60, 0.06, broken), ("search", 90, 0.03, False)):
                for _ in range(round(self.random.gauss(rate, rate / 15))):
                    took = self.random.lognormvariate(math.log(typical * (4 if bad else 1)), 0.6)
                    code = "500" if self.random.random() < (0.09 if bad else 0.002) else "200"
                    self.codes[name, code] = self.codes.get((name, code), 0) + 1
                    for bound in self.bounds:
                        self.buckets[name, code, bound] = self.buckets.get((name, code, bound), 0) + (took <= bound)
            Service.counted += 1
        labels = lambda name, code: f'service_name="{name}",deployment_environment="production",http_response_status_code="{code}"'
        lines = [f"http_server_request_duration_seconds_count{{{labels(*of)}}} {value}" for of, value in self.codes.items()]
        for (name, code, bound), value in self.buckets.items():
            le = "+Inf" if bound == math.inf else bound
            lines.append(f'http_server_request_duration_seconds_bucket{{{labels(name, code)},le="{le}"}} {value}')
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(("\n".join(lines) + "\n").encode())

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url):
    for _ in range(600):
        try:
            return urllib.request.urlopen(url, timeout=10).read()
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def iso(at):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03}Z"


def record(folder):
    """Plays the script and answers every query of every dashboard."""
    exporter, prometheus, service = (free_port() for _ in range(3))
    threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", service), Service).serve_forever, daemon=True).start()
    target = lambda port: f'static_configs: [{{targets: ["127.0.0.1:{port}"]}}]'
    (folder / "prometheus.yml").write_text(f"""
global: {{scrape_interval: {SCRAPE}s}}
scrape_configs: [{{job_name: change-events, {target(exporter)}}}, {{job_name: service, {target(service)}}}]
""")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    command = [BINARY, "serve", "--storage.path=events", f"--web.listen-address=127.0.0.1:{exporter}", f"--exposure.hold={2 * SCRAPE}s500ms"]
    processes = [subprocess.Popen(command, **quiet)]
    command = [SERVERS / "prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{prometheus}"]
    processes.append(subprocess.Popen(command, **quiet))

    def send(dated, name, state, attributes, more=None):
        event = {"event_name": name or 7, "timestamp": iso(dated), "attributes": attributes} | (more or {})
        if state:
            event["event_state"] = state
        url = f"http://127.0.0.1:{exporter}/api/v4/organizations/acme/change_events"
        request = urllib.request.Request(url, json.dumps(event).encode(), {"Content-Type": "application/json"}, method="PUT")
        try:
            urllib.request.urlopen(request, timeout=10).read()
        except urllib.error.HTTPError as error:
            assert not name, error.read()

    def ask_exporter(path, method="GET", body=None, **parameters):
        url = f"http://127.0.0.1:{exporter}{path}?{urllib.parse.urlencode(parameters)}"
        request = urllib.request.Request(url, body and json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        return json.loads(urllib.request.urlopen(request, timeout=10).read())

    try:
        wait_for(f"http://127.0.0.1:{exporter}/-/ready")
        wait_for(f"http://127.0.0.1:{prometheus}/-/ready")
        time.sleep(6 * SCRAPE)
        began = time.time()
        Service.began, Service.counted = began, 0
        script, notes = list(SCRIPT), list(NOTES)
        for second in range(LENGTH):
            time.sleep(max(0.0, began + second - time.time()))
            while script and script[0][0] <= second:
                _, dated, *event = script.pop(0)
                send(began + dated if dated else time.time(), *event)
            while notes and notes[0][0] <= second:
                _, tag, words = notes.pop(0)
                noted = ask_exporter("/api/annotations", tags=tag, limit=1)[0]["id"]
                ask_exporter(f"/api/annotations/{noted}", "PATCH", {"text": words})
            if second % 3 == 0:
                # Another cluster's jobs, which are not on the page that is scraped here.
                state = "start" if second % 2 == 0 else "stop"
                send(time.time(), "job_lifecycle", state, {"entity_id": f"build-{second // 6}"}, {"data_source_name": "ci"})
        time.sleep(2 * SCRAPE)
        end = int(time.time()) // STEP * STEP
        url = f"http://127.0.0.1:{prometheus}/api/v1/"

        def ask(path, **parameters):
            answer = json.loads(urllib.request.urlopen(url + path + "?" + urllib.parse.urlencode(parameters), timeout=60).read())
            return answer["data"]["result"]

        files = sorted((ROOT / "grafana/dashboards").glob("*.json"))
        return {"end": end, "dashboards": {path.stem: answers(json.loads(path.read_text()), end, ask, ask_exporter) for path in files}}
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def answers(dashboard, end, ask, ask_exporter):
    """What each panel and each annotation gets when the dashboard is opened."""
    values = {}
    for variable in dashboard["templating"]["list"]:
        chosen = variable["current"]["value"]
        values[variable["name"]] = variable["allValue"] if chosen == ["$__all"] else chosen
    values |= CHOSEN.get(dashboard["uid"], {})

    def filled(text, step):
        builtin = {"__interval": f"{step}s", "__rate_interval": f"{max(step + SCRAPE, 4 * SCRAPE)}s", "__range": f"{LENGTH}s", "__from": f"{end - LENGTH}000", "__to": f"{end}000"}
        return re.sub(r"\$\{(\w+)(?::\w+)?\}|\$([A-Za-z_]\w*)", lambda found: (builtin | values)[found[1] or found[2]], text)

    def range_of(expression, step):
        # Both ends at a full step, as Grafana does.
        first, last = (at // step * step for at in (end - LENGTH, end))
        return ask("query_range", query=filled(expression, step), start=first, end=last, step=step)

    panels = {}
    for panel in dashboard["panels"]:
        of = lambda target: ask("query", query=filled(target["expr"], STEP), time=end) if target["instant"] else range_of(target["expr"], STEP)
        panels[panel["id"]] = [of(target) for target in panel["targets"]]
    annotations = {}
    for annotation in dashboard["annotations"]["list"]:
        if "url" in annotation["target"]:
            parameters = {each["key"]: filled(each["value"], STEP) for each in annotation["target"]["url_options"]["params"]}
            answer = ask_exporter(annotation["target"]["url"], annotation["target"]["url_options"]["method"], **parameters)
            annotations[annotation["name"]] = rows(annotation["target"], answer)
            continue
        step = max(STEP, 60 * int((annotation["target"]["interval"] or "0m")[:-1]))
        annotations[annotation["name"]] = regions(annotation, step, range_of(annotation["target"]["expr"], step))
    return {"panels": panels, "annotations": annotations}


def rows(target, answer):
    """As Infinity does: the rows that the JQ expression makes, here `ROWS` by hand, and of each the columns; times in milliseconds.

    The expression makes one text of the tags, which Grafana cuts at its commas: a comma within a tag becomes a semicolon.
    """
    assert target["root_selector"] == ROWS, target["root_selector"]
    made = [row | {"tags": ",".join(tag.replace(",", ";") for tag in row["tags"]) or None} for row in answer]
    return [{column["text"]: row[column["selector"]] for column in target["columns"]} for row in made]


def regions(annotation, step, series):
    """As @grafana/prometheus does: points above 0, those at most a step apart as one region; times in milliseconds."""
    found = []
    for one in series:
        last = None
        for at, value in one["values"]:
            if float(value) > 0:
                at = math.floor(float(value)) if annotation["useValueForTime"] else at * 1000
                if last and last["timeEnd"] + step * 1000 >= at:
                    last["timeEnd"] = at
                else:
                    words = [re.sub(r"\{\{(\w+)\}\}", lambda name: one["metric"].get(name[1]) or name[1], annotation[part]) for part in ("titleFormat", "textFormat")]
                    tags = [one["metric"][name] for name in annotation["tagKeys"].split(",") if name in one["metric"]]
                    last = {"time": at, "timeEnd": at, "title": words[0], "text": words[1], "tags": ",".join(tags)}
                    found.append(last)
    return found
