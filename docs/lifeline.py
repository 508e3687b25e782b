#!/usr/bin/env python3
"""Draws docs/lifeline.svg, the picture in the README, from what real servers did.

Starts the release binary, Prometheus and Alertmanager on loopback, lets a job be queued too long twice, kills the exporter
in between, and draws what Prometheus stored and what Alertmanager sent. Everything on the picture was measured.
Needs `cargo build --release` and `tests/servers/install`; takes five minutes. Usage: docs/lifeline.py
"""

import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("CHANGE_EVENTS_BINARY", ROOT / "target/release/change-events"))
SERVERS = pathlib.Path(os.environ.get("CHANGE_EVENTS_SERVERS", ROOT / "target/servers/bin"))
LIMIT = 60
END = 260
# Seconds after the beginning: what happens.
SCRIPT = [
    (0, "start", "job-17"),
    (20, "start", "job-18"),
    (65, "stop", "job-18"),
    (80, "kill", None),
    (100, "restart", None),
    (128, "stop", "job-17"),
    (155, "start", "job-17"),
    (238, "stop", "job-17"),
]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, **parameters):
    query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
    with urllib.request.urlopen(url + query, timeout=10) as answer:
        return answer.read()


def wait_for(url):
    for _ in range(600):
        try:
            return get(url)
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


class Notifications(http.server.BaseHTTPRequestHandler):
    seen = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in body["alerts"]:
            self.seen.append((time.time(), alert["status"], alert["labels"]["entity_id"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def record(folder):
    """Plays the script; answers what Prometheus stored and Alertmanager sent, in seconds after its beginning."""
    exporter, prometheus, alertmanager, webhook = (free_port() for _ in range(4))
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", webhook), Notifications)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    rules = [BINARY, "rules", "stuck", "--event-name", "job_lifecycle", "--state", "queued", "--entity", "entity_id"]
    rule = subprocess.run([*rules, f"--for={LIMIT}s"], check=True, capture_output=True).stdout
    (folder / "stuck.rules.yml").write_bytes(rule)
    (folder / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [stuck.rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: change-events, static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]}}]
""")
    (folder / "alertmanager.yml").write_text(f"""
route: {{receiver: hook, group_by: [alertname, entity_id], group_wait: 0s, group_interval: 1s}}
receivers: [{{name: hook, webhook_configs: [{{url: "http://127.0.0.1:{webhook}/", send_resolved: true}}]}}]
""")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def serve():
        command = [BINARY, "serve", f"--storage.path={folder}/events", f"--web.listen-address=127.0.0.1:{exporter}", "--exposure.hold=3s"]
        process = subprocess.Popen(command, **quiet)
        wait_for(f"http://127.0.0.1:{exporter}/-/ready")
        return process

    def send(state, entity):
        event = {"event_name": "job_lifecycle", "event_state": state, "attributes": {"entity_id": entity, "state": "queued"}}
        url = f"http://127.0.0.1:{exporter}/api/v4/organizations/acme/change_events"
        request = urllib.request.Request(url, json.dumps(event).encode(), {"Content-Type": "application/json"}, method="PUT")
        urllib.request.urlopen(request, timeout=10).read()

    processes = [serve()]
    try:
        listen = f"--web.listen-address=127.0.0.1:{alertmanager}"
        command = [SERVERS / "alertmanager", "--config.file=alertmanager.yml", "--cluster.listen-address=", listen]
        processes.append(subprocess.Popen(command, cwd=folder, **quiet))
        command = [SERVERS / "prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{prometheus}"]
        processes.append(subprocess.Popen(command, cwd=folder, **quiet))
        wait_for(f"http://127.0.0.1:{alertmanager}/-/ready")
        wait_for(f"http://127.0.0.1:{prometheus}/-/ready")
        time.sleep(8)
        began = time.time()
        for after, what, entity in [*SCRIPT, (END, "end", None)]:
            time.sleep(max(0.0, began + after - time.time()))
            if what == "kill":
                processes[0].kill()
                processes[0].wait()
            elif what == "restart":
                processes[0] = serve()
            elif what != "end":
                send(what, entity)

        def query(expression):
            """Per series its labels and its points, one each half second."""
            url = f"http://127.0.0.1:{prometheus}/api/v1/query_range"
            answer = json.loads(get(url, query=expression, start=began, end=began + END, step=0.5))
            series = answer["data"]["result"]
            return [(one["metric"], [(at - began, float(value)) for at, value in one["values"]]) for one in series]

        return {
            "age": query("time() - last9_change_events_open_timestamp_seconds"),
            "up": query("up")[0][1],
            "firing": query('ALERTS{alertstate="firing"}'),
            "sent": [(at - began, status, entity) for at, status, entity in Notifications.seen],
        }
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait()


LEFT, RIGHT = 150, 930
GREY, RED, GREEN = "#6b7280", "#dc2626", "#15803d"
COLOUR = {"job-17": "#2563eb", "job-18": "#7c3aed"}


def x(seconds):
    return round(LEFT + (RIGHT - LEFT) * seconds / END, 1)


def runs(points):
    """Consecutive points, split where one is missing."""
    parts = []
    for point in points:
        if parts and point[0] - parts[-1][-1][0] < 0.6:
            parts[-1].append(point)
        else:
            parts.append([point])
    return parts


def draw(data):
    out = []

    def text(at, y, words, size=11, anchor="start", fill="#1f2937", weight="normal"):
        out.append(f'<text x="{at}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{words}</text>')

    def bar(begin, end, y, fill):
        out.append(f'<rect x="{x(begin)}" y="{y}" width="{round(x(min(end, END)) - x(begin), 1)}" height="15" rx="2" fill="{fill}"/>')

    def lane(y, name, *about):
        text(16, y, name, 13, weight="bold")
        for row, words in enumerate(about, 1):
            text(16, y + 15 * row, words, fill=GREY)

    for second in range(0, END + 1, 20):
        out.append(f'<line x1="{x(second)}" y1="28" x2="{x(second)}" y2="376" stroke="#e5e7eb"/>')
        text(x(second), 394, f"{second} s", anchor="middle", fill=GREY)

    lane(48, "events", "start and stop sent")
    opened = {}
    for after, what, entity in SCRIPT:
        row = 36 if entity == "job-17" else 58
        if what == "start":
            opened[entity] = after
        elif what == "stop":
            begin = opened.pop(entity)
            bar(begin, after, row, COLOUR[entity])
            text(x(begin) + 5, row + 11, f"{entity} queued", fill="#ffffff")

    bottom, top, most = 218, 98, 140
    level = lambda age: round(bottom - (bottom - top) * age / most, 1)
    lane(118, "open gauge", "seconds open,", "as Prometheus", "stored it")
    for age in (0, 60, 120):
        text(LEFT - 8, level(age) + 4, age, anchor="end", fill=GREY)
    out.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{RIGHT}" y2="{bottom}" stroke="#9ca3af"/>')
    out.append(f'<line x1="{LEFT}" y1="{level(LIMIT)}" x2="{RIGHT}" y2="{level(LIMIT)}" stroke="{RED}" stroke-dasharray="5 4"/>')
    text(x(131), level(LIMIT) - 5, f"limit of the rule: {LIMIT} s", fill=RED)
    for metric, points in data["age"]:
        for run in runs(points):
            path = " ".join(f"{x(at)},{level(value)}" for at, value in run)
            out.append(f'<polyline points="{path}" fill="none" stroke="{COLOUR[metric["entity_id"]]}" stroke-width="2.5"/>')

    lane(252, "exporter", "up, by its scrapes")
    for value, fill, words in ((1, GREEN, "up"), (0, "#4b5563", "kill -9")):
        for run in runs([point for point in data["up"] if point[1] == value]):
            bar(run[0][0], run[-1][0] + 0.5, 240, fill)
            text(x(run[0][0]) + 5, 251, words, fill="#ffffff")

    lane(296, "alert", "job is stuck, firing")
    for metric, points in data["firing"]:
        for run in runs(points):
            bar(run[0][0], run[-1][0] + 0.5, 284, RED)
            text(x(run[0][0]) + 5, 295, metric["entity_id"], fill="#ffffff")

    lane(338, "notifications", "sent by Alertmanager")
    for at, status, _ in data["sent"]:
        fill = RED if status == "firing" else GREEN
        out.append(f'<circle cx="{x(at)}" cy="335" r="5" fill="{fill}"/>')
        text(x(at), 354, status, anchor="middle", fill=fill)
        text(x(at), 367, f"{at:.1f} s", anchor="middle", fill=GREY)

    font = "font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 404" width="960" height="404" role="img" {font}>',
        "<title>The life of an alert: sent, stored, firing while the exporter is killed and comes back, resolved, and again</title>",
        '<rect x="0.5" y="0.5" width="959" height="403" rx="8" fill="#ffffff" stroke="#e5e7eb"/>',
        *out,
        "</svg>",
        "",
    ])


def main():
    with tempfile.TemporaryDirectory() as folder:
        data = record(pathlib.Path(folder))
    (ROOT / "docs/lifeline.svg").write_text(draw(data))


if __name__ == "__main__":
    main()
