#!/usr/bin/env python3
"""Draws pictures/*.svg: the dashboards, from what their own queries answer in a real Prometheus and in the real exporter that it scrapes.

`play.py` plays and asks; this draws panels in their places. It is a drawing, not a screenshot.
Needs `cargo build --release` and `tests/servers/install`. Usage: grafana/draw.py [ANSWERS], a file that holds the answers of
an earlier run, or gets them.
"""

import html
import json
import math
import pathlib
import re
import sys
import tempfile
import time

from play import CHOSEN
from play import LENGTH
from play import ROOT
from play import STEP
from play import record

# What a data source is called by its owner, by its type.
SOURCES = {"prometheus": "Prometheus", "yesoreyeram-infinity-datasource": "Change events"}
# Over which annotation the mouse is, by dashboard: the panel, and words of a tag or of the text.
HOVERED = {"change-events-service": ("Error rate", "result: success <br>author: jane"), "change-events-service-whole": ("Error rate", "deployment_id:42")}
COLUMN, ROW, GAP, WIDTH = 50, 27, 8, 1200
INK, GREY, LINE = "#1f2937", "#6b7280", "#e5e7eb"
PALETTE = ["#3f7d20", "#c28a00", "#2b8fb3", "#d9662b", "#c4352b", "#1f4e9c", "#8f3784", "#594a8c", "#6f8a1f", "#8c5a2b"]
NAMED = {"green": "#3f9142", "red": "#dc2626", "orange": "#ea7c0c", "text": INK, "blue": "#2563eb"}


def shown(value, unit):
    if value != value:
        return "NaN"
    if unit == "dateTimeAsIso":
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(value / 1000))
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for size, name in ((3600, "hours"), (60, "mins"), (1, "s"), (1e-3, "ms"), (1e-6, "\u00b5s")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return "0 s"
    if unit == "bytes":
        for size, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
    suffix = {"reqps": " req/s", "cps": " c/s"}.get(unit, "")
    for size, name in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(value) >= size:
            return f"{value / size:.3g}{name}{suffix}"
    return f"{value:.3g}{suffix}"


def colour_of(annotation):
    """The dashboard's own; a translucent one is made opaque, since regions are drawn translucent here."""
    return NAMED.get(annotation["iconColor"], "#5aa454")


def ticks(most, unit):
    """Values of grid lines from 0 up to at least this much, at round distances in the unit that is shown."""
    units = {"s": (3600, 60, 1), "bytes": (1 << 40, 1 << 30, 1 << 20, 1 << 10)}.get(unit, ())
    scale = next((size for size in units if most >= 2 * size), 1)
    rough = most / scale / 3
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= rough * 0.999) * scale
    return [step * number for number in range(math.ceil(most / step * 0.999) + 1)]


def legend(target, metric):
    if target["legendFormat"] != "__auto":
        return re.sub(r"\{\{(\w+)\}\}", lambda found: metric.get(found[1], ""), target["legendFormat"]).strip()
    labels = {name: value for name, value in metric.items() if name != "__name__"}
    return next(iter(labels.values())) if len(labels) == 1 else "{" + ", ".join(f"{name}={value}" for name, value in labels.items()) + "}"


def spans(found):
    """Begin and end of annotations in seconds."""
    return [(one["time"] / 1000, one["timeEnd"] / 1000) for one in found]


class Drawing:
    def __init__(self, end):
        self.out, self.end, self.top = [], end, 0
        # Of each panel that has annotations, by its title: where a time stands, where the axis is, and how far apart its words are.
        self.axes = {}

    def text(self, x, y, words, size=11, anchor="start", fill=INK, weight="", room=None):
        words = str(words)
        each = size * (0.62 if weight else 0.55)
        if room is not None and len(words) * each > room:
            words = words[: max(1, int(room / each) - 1)] + "\u2026"
        weight = f' font-weight="{weight}"' if weight else ""
        anchor = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.out.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}"{anchor} fill="{fill}"{weight}>{html.escape(words, quote=False)}</text>')

    def box(self, x, y, width, height, fill, more=""):
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{more}/>')

    def line(self, x1, y1, x2, y2, stroke, more=""):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>')

    def head(self, dashboard):
        """Title, choices and switches of annotations."""
        began, ended = (time.strftime("%H:%M", time.gmtime(at)) for at in (self.end - LENGTH, self.end))
        self.text(GAP, 22, dashboard["title"], 16, weight="600")
        self.text(WIDTH - GAP, 22, f"{began} to {ended}", 12, "end", GREY)
        x, y = GAP, 34
        for variable in dashboard["templating"]["list"]:
            chosen = CHOSEN.get(dashboard["uid"], {}).get(variable["name"], variable["current"]["text"])
            value = " + ".join(chosen) if isinstance(chosen, list) else chosen or SOURCES.get(variable["query"], "")
            words = len(variable["label"]) * 6.4 + 16
            width = words + len(value) * 6.6 + 8
            if x + width > WIDTH - GAP:
                x, y = GAP, y + 28
            self.box(x, y, width, 22, "#ffffff", f' stroke="{LINE}" rx="3"')
            self.text(x + 6, y + 15, variable["label"], fill=GREY)
            self.text(x + words, y + 15, value)
            x += width + GAP
        for annotation in dashboard["annotations"]["list"]:
            if x + 58 > WIDTH:
                x, y = GAP, y + 28
            self.out.append(f'<circle cx="{x + 8:.0f}" cy="{y + 11}" r="5" fill="{colour_of(annotation)}"/>')
            self.text(x + 18, y + 15, annotation["name"])
            x += 58
        self.top = y + 28

    def panel(self, panel, answer, annotations):
        grid = panel["gridPos"]
        x, y = grid["x"] * COLUMN + GAP / 2, grid["y"] * ROW + GAP / 2 + self.top
        width, height = grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP
        self.box(x, y, width, height, "#ffffff", f' stroke="{LINE}" rx="3"')
        self.text(x + 8, y + 16, panel["title"], 12, weight="600", room=width - 16)
        getattr(self, panel["type"])(panel, answer, (x + 8, y + 24, width - 16, height - 32), annotations)

    def stat(self, panel, answer, place, _):
        x, y, width, height = place
        unit, steps = panel["fieldConfig"]["defaults"]["unit"], panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        if not answer[0]:
            self.text(x + width / 2, y + height / 2 + 8, "No data", 20, "middle", GREY)
            return
        value, words = float(answer[0][0]["value"][1]), legend(panel["targets"][0], answer[0][0]["metric"])
        colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
        # As Grafana does, a name is shown when the query names it.
        named = panel["targets"][0]["legendFormat"] != "__auto"
        self.text(x + width / 2, y + height / 2 + 10, words if named else shown(value, unit), 26, "middle", NAMED[colour], "600")

    def table(self, panel, answer, place, _):
        x, y, width, height = place
        override = panel["fieldConfig"]["overrides"][0]
        name, unit = override["matcher"]["options"], override["properties"][0]["value"]
        rows = sorted(answer[0], key=lambda one: -float(one["value"][1]))
        columns = sorted({label for one in rows for label in one["metric"]})
        cell = lambda column: max((len(one["metric"].get(column, "")) for one in rows), default=0)
        # Where there is no room for the names of labels, their values come first.
        words = [max(len(column) * 1.15, cell(column)) + 2 for column in columns]
        first = 150
        if sum(words) * 6.4 > width - first:
            words, first = [max(cell(column), 6) + 2 for column in columns], 75
        rooms = [(width - first) * each / sum(words) for each in words]
        places = [x + first + sum(rooms[:number]) for number in range(len(columns))]
        self.text(x, y + 12, name, fill=GREY, weight="600")
        for number, column in enumerate(columns):
            self.text(places[number], y + 12, column, fill=GREY, weight="600", room=rooms[number] - 4)
        for row, one in enumerate(rows[: int((height - 18) // 19)]):
            base = y + 32 + row * 19
            self.line(x, base - 14, x + width, base - 14, LINE)
            self.text(x, base, shown(float(one["value"][1]), unit), room=first)
            for number, column in enumerate(columns):
                self.text(places[number], base, one["metric"].get(column, ""), room=rooms[number] - 2)

    def bargauge(self, panel, answer, place, _):
        x, y, width, height = place
        rows = sorted(((legend(panel["targets"][0], one["metric"]), float(one["value"][1])) for one in answer[0]), key=lambda row: -row[1])
        most, each = max((value for _, value in rows), default=1) or 1, min(34, height / max(1, len(rows)))
        for row, (words, value) in enumerate(rows):
            self.text(x, y + row * each + each / 2 + 4, words, room=96)
            self.box(x + 100, y + row * each + 4, max(1, (width - 150) * value / most), each - 9, PALETTE[row % len(PALETTE)])
            self.text(x + width, y + row * each + each / 2 + 4, f"{value:g}", 12, "end", weight="600")

    def timeseries(self, panel, answer, place, annotations):
        x, y, width, height = place
        defaults = panel["fieldConfig"]["defaults"]
        unit, custom = defaults["unit"], defaults["custom"]
        series = []
        for target, result in zip(panel["targets"], answer):
            for one in result:
                points = [(at, float(value)) for at, value in one["values"] if value != "NaN"]
                if points:
                    series.append((legend(target, one["metric"]), points))
        stacked, bars = bool(custom.get("stacking")), custom.get("drawStyle") == "bars"
        totals = {}
        for _, points in series:
            for at, value in points:
                totals[at] = totals.get(at, 0) + value if stacked else max(totals.get(at, 0), value)
        grid = ticks(max(totals.values(), default=0) or 1, unit)
        most = grid[-1]
        left, right, top, bottom = x + 62, x + width - 14, y + 6, y + height - 36
        across = lambda at: left + (right - left) * (at - self.end + LENGTH) / LENGTH
        up = lambda value: bottom - (bottom - top) * value / most
        for value in grid:
            self.line(left, up(value), right, up(value), LINE)
            self.text(left - 5, up(value) + 4, shown(value, unit), 10, "end", GREY)
        each = 60 * math.ceil(LENGTH / 60 / max(2, (right - left) // 60))
        for at in range(math.ceil((self.end - LENGTH) / each) * each, self.end + 1, each):
            self.text(across(at), bottom + 17, time.strftime("%H:%M", time.gmtime(at)), 10, "middle", GREY)
        self.marks(annotations, across, top, bottom, (left, right))
        self.axes[panel["title"]] = across, bottom, each
        if not series:
            self.text((left + right) / 2, (top + bottom) / 2, "No data", 16, "middle", GREY)
        base = {}
        for number, (_, points) in enumerate(series):
            colour = PALETTE[number % len(PALETTE)]
            if custom.get("drawStyle") == "points":
                for at, value in points:
                    self.out.append(f'<circle cx="{across(at):.1f}" cy="{up(value):.1f}" r="3.5" fill="{colour}"/>')
            elif bars:
                wide = (right - left) * STEP / LENGTH * 0.8
                for at, value in points:
                    low = base.get(at, 0)
                    self.box(across(at), up(low + value), wide, up(low) - up(low + value), colour)
                    base[at] = low + value
            else:
                self.path(points, across, up, colour)
        at = left
        for number, (words, _) in enumerate(series):
            room = min(len(words) * 5.6 + 22, right - left)
            if at + room > right + 12:
                self.text(at, bottom + 33, f"+ {len(series) - number}", 10, fill=GREY)
                break
            self.box(at, bottom + 27, 10, 3, PALETTE[number % len(PALETTE)])
            self.text(at + 14, bottom + 33, words, 10, fill=GREY, room=room)
            at += room

    def path(self, points, across, up, colour):
        """One line per stretch without gaps; points on a level are left out."""
        parts = [[points[0]]]
        for before, point in zip(points, points[1:]):
            if point[0] - before[0] > STEP * 1.5:
                parts.append([])
            parts[-1].append(point)
        for part in parts:
            bend = lambda i: i in (0, len(part) - 1) or not part[i - 1][1] == part[i][1] == part[i + 1][1]
            path = " ".join(f"{across(at):.0f},{up(value):.1f}" for i, (at, value) in enumerate(part) if bend(i))
            if len(part) == 1:
                self.out.append(f'<circle cx="{across(part[0][0]):.1f}" cy="{up(part[0][1]):.1f}" r="1.5" fill="{colour}"/>')
            self.out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')

    def marks(self, annotations, across, top, bottom, sides):
        inside = lambda at: min(max(across(at), sides[0]), sides[1])
        upright = lambda at, colour: self.line(across(at), top, across(at), bottom, colour, ' stroke-dasharray="3 2"')
        for colour, exact, found in annotations:
            for start, end in found:
                if end < self.end - LENGTH:
                    continue
                if end > start:
                    self.box(inside(start), top, inside(end) - inside(start), bottom - top, colour, ' opacity="0.09"')
                    self.box(inside(start), bottom - 4, inside(end) - inside(start), 4, colour)
                    # Ends that are as rough as a step are not stressed.
                    for at in (start, end):
                        if exact and self.end - LENGTH <= at <= self.end:
                            upright(at, colour)
                else:
                    upright(start, colour)
                    self.out.append(f'<path d="M{across(start):.1f},{bottom:.1f}l-4,6h8z" fill="{colour}"/>')


    def popup(self, annotation, colour, axis, top):
        """What Grafana shows of an annotation below the mouse; here below the panels, and how far it reaches."""
        across, bottom, each = axis
        start, end = spans([annotation])[0]
        # Where it is farthest from the words of the axis.
        at = across(min((start + (end - start) * part for part in (0.1, 0.5, 0.9)), key=lambda at: abs(at % each - each / 2)))
        width, line = 560, 17
        left = min(max(at - width / 2, GAP), WIDTH - GAP - width)
        room = width - 24
        # It is HTML, in which everything is escaped.
        words = [html.unescape(re.sub("<[^>]*>", "", words)) for words in re.split(r"<br ?/?>\n?", annotation["text"])]
        badges, x, y = [], 0, 0
        for tag in (annotation["tags"] or "").split(","):
            wide = min(len(tag) * 6.8 + 14, room)
            if x + wide > room:
                x, y = 0, y + 24
            badges.append((x, y, wide, tag))
            x += wide + 6
        texts = top + 62
        tags = texts + len(words) * line
        height = tags + y + 32 - top
        self.line(at, bottom + 1, at, top, colour, ' stroke-width="1.5"')
        self.box(left, top, width, height, "#ffffff", f' stroke="{colour}" rx="3"')
        began, ended = (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) for at in (start, end))
        self.text(left + 12, top + 20, f"{began} - {ended}" if end > start else began, fill=GREY)
        self.line(left, top + 30, left + width, top + 30, LINE)
        self.text(left + 12, top + 48, annotation["title"], 12, weight="600", room=room)
        for number, one in enumerate(words):
            self.text(left + 12, texts + 5 + number * line, one, room=room)
        for x, y, wide, tag in badges:
            self.box(left + 12 + x, tags + y, wide, 20, LINE, ' rx="3"')
            self.text(left + 19 + x, tags + y + 14, tag, room=wide - 14)
        return top + height


def draw(dashboard, answer, end):
    drawing = Drawing(end)
    of = lambda annotation: answer["annotations"][annotation["name"]]
    listed = dashboard["annotations"]["list"]
    annotations = [(colour_of(one), "url" in one["target"], spans(of(one))) for one in reversed(listed)]
    drawing.head(dashboard)
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * ROW + drawing.top
    for panel in dashboard["panels"]:
        drawing.panel(panel, answer["panels"][str(panel["id"])], annotations)
    if hovered := HOVERED.get(dashboard["uid"]):
        axis, tag = drawing.axes[hovered[0]], hovered[1]
        found = next((one, colour_of(by)) for by in listed for one in of(by) if tag in (one["tags"] or "").split(",") or tag in " ".join(one["text"].split()))
        height = math.ceil(drawing.popup(*found, axis, height + GAP) + GAP)
    font = "font-family=\"system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" {font}>',
        f"<title>{dashboard['title']}: drawn from the answers to the dashboard's queries by grafana/draw.py</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#f4f5f5"/>',
        *drawing.out,
        "</svg>",
        "",
    ])


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if path and path.exists():
        recorded = json.loads(path.read_text())
    else:
        with tempfile.TemporaryDirectory() as folder:
            recorded = json.loads(json.dumps(record(pathlib.Path(folder))))
        if path:
            path.write_text(json.dumps(recorded))
    (ROOT / "grafana/pictures").mkdir(exist_ok=True)
    for name, answer in recorded["dashboards"].items():
        dashboard = json.loads((ROOT / f"grafana/dashboards/{name}.json").read_text())
        (ROOT / f"grafana/pictures/{name}.svg").write_text(draw(dashboard, answer, recorded["end"]))


if __name__ == "__main__":
    main()
