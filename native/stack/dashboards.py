"""Dashboards: from grafana/source/*.toml to Grafana's JSON (grafana/dashboards) and Prometheus' consoles.

A source says what a panel shows and why; this file knows how Grafana writes that down. What is made is committed, and
`make test` says when it is stale. The form of a source:

  title, about            the dashboard's
  variables = [...]       "replica" and "route", as far as its expressions use $replica and $route
  replicas_of             which jobs the variable replica chooses from, as a regular expression; api|worker|llm
  refresh, from           as in Grafana; 10s and now-1h
  [words]                 name = text: an expression may say <name> for the text
  [[section]] title       a row of panels
  [[section.panel]]
    title, about          about is what a person reads who wonders: what it is, what is good, what is bad
    unit                  one of UNITS, or "suffix: …"
    empty                 what is shown when there is nothing to show
    queries               [[legend, expression], …]; [R] is the range that suits the zoom
    kind                  "chart" unless it says "stat": one figure
    show                  of a stat: "name" (the legend), "up" (1 is up, 0 is down); otherwise the value
    stack, min, max       of a chart
    red_above             from this value on it is red
    may_be_empty          why the end-to-end test must not expect a figure here
"""

import json
import re
import tomllib
import zlib

from . import consoles
from .layout import ROOT, write_atomically
from .say import Trouble, note

SOURCE = ROOT / "grafana" / "source"
MADE = ROOT / "grafana" / "dashboards"
# In the order of the menu; the first is where a person begins.
NAMES = ("overview", "posts", "llm", "stores", "loadtest")

DATA_SOURCE = {"type": "prometheus", "uid": "linnet-prometheus"}
UNITS = {"none", "short", "s", "bytes", "Bps", "percentunit", "reqps", "ops"}
DASHBOARD_KEYS = {"title", "about", "variables", "replicas_of", "refresh", "from", "words", "section"}
PANEL_KEYS = {"title", "about", "unit", "empty", "queries", "kind", "show", "stack", "min", "max", "red_above",
              "may_be_empty"}
# Grafana's grid is 24 wide. Six figures stand in a row, and two charts.
WIDTH, SIZES = 24, {"stat": (4, 4), "chart": (12, 8)}
# That of Grafana 10.4; later ones read it.
SCHEMA_VERSION = 39
VARIABLES = {
    "replica": ("Replica", 'label_values(up{{job=~"{replicas_of}"}}, instance)'),
    "route": ("Route", 'label_values(http_requests_total{{job="api"}}, route)'),
}


def sources():
    """name → the source as it is written, words put in. Raises a Trouble that names what is wrong."""
    unknown = {path.stem for path in SOURCE.glob("*.toml")} ^ set(NAMES)
    if unknown:
        raise Trouble(f"grafana/source and NAMES in native/stack/dashboards.py differ in {', '.join(sorted(unknown))}.")
    return {name: _read(name) for name in NAMES}


def _read(name):
    path = SOURCE / f"{name}.toml"
    try:
        source = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as fault:
        raise Trouble(f"{path} is not TOML: {fault}")
    _known(path, source, DASHBOARD_KEYS, {"title", "about", "variables", "section"})
    words = source.get("words", {})

    def word(found):
        if found[1] not in words:
            raise Trouble(f"{path} uses <{found[1]}>, which its [words] do not have.")
        return words[found[1]]

    for section in source["section"]:
        _known(path, section, {"title", "panel"}, {"title", "panel"})
        for panel in section["panel"]:
            _known(path, panel, PANEL_KEYS, {"title", "about", "unit", "empty", "queries"})
            if panel["unit"] not in UNITS and not panel["unit"].startswith("suffix: "):
                raise Trouble(f"{path}: the unit {panel['unit']} of {panel['title']} is none of {', '.join(sorted(UNITS))}.")
            panel["queries"] = [(legend, re.sub(r"<([a-z]+)>", word, expression)) for legend, expression in panel["queries"]]
    return source


def _known(path, table, known, needed):
    what = table.get("title", "a panel without a title")
    for key in table.keys() - known:
        raise Trouble(f"{path}: {what} has {key}, which is not known; see native/stack/dashboards.py.")
    for key in needed - table.keys():
        raise Trouble(f"{path}: {what} has no {key}.")


def panels(source):
    """The panels of a source, in their order."""
    return [panel for section in source["section"] for panel in section["panel"]]


def in_prometheus(expression):
    """An expression of a source as Prometheus takes it: for every replica and route, over the last minute."""
    return expression.replace("[R]", "[1m]").replace("$replica", ".*").replace("$route", ".*")


# Grafana's JSON ----------------------------------------------------------------------------------------

def canonical(value):
    """The one way in which a dashboard is written down, so that a difference shows what was changed and no more."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def dashboard(name, source):
    """The dashboard as Grafana's JSON model."""
    made, at = [], [0, 0, 0]
    for section in source["section"]:
        _new_line(at)
        made.append({"type": "row", "title": section["title"], "collapsed": False, "panels": [],
                     "id": _identity(section["title"]), "gridPos": {"x": 0, "y": at[1], "w": WIDTH, "h": 1}})
        at[:] = [0, at[1] + 1, 0]
        for panel in section["panel"]:
            made.append(_panel(panel, section["title"], _place(at, *SIZES[panel.get("kind", "chart")])))
    ids = [panel["id"] for panel in made]
    if len(set(ids)) != len(ids):
        raise Trouble(f"two panels of {name} have the same title in the same section, or are taken for each other; rename one.")
    return {
        "uid": f"linnet-{name}",
        "title": source["title"],
        "description": source["about"],
        "tags": ["linnet"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        # One cross-hair through all charts: what happened at the same time?
        "graphTooltip": 1,
        "refresh": source.get("refresh", "10s"),
        "time": {"from": source.get("from", "now-1h"), "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "Linnet", "tags": ["linnet"], "asDropdown": False, "icon": "dashboard",
                   "includeVars": False, "keepTime": True, "targetBlank": False, "tooltip": ""}],
        "annotations": {"list": [_load_tests()]},
        "templating": {"list": [_variable(which, source) for which in source["variables"]]},
        "panels": made,
    }


def _identity(title):
    # From the title and not the place: a panel that is put in between must not change the links to the others.
    return zlib.crc32(title.encode()) & 0x7FFFFFFF


def _new_line(at):
    if at[0]:
        at[:] = [0, at[1] + at[2], 0]


def _place(at, width, height):
    """Puts a panel at the next free place of [x, y, height of the line]."""
    if at[0] + width > WIDTH:
        _new_line(at)
    place = {"x": at[0], "y": at[1], "w": width, "h": height}
    at[:] = [at[0] + width, at[1], max(at[2], height)]
    return place


def _load_tests():
    """What `loadtest run --grafana` marks."""
    return {"name": "Load tests", "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": False,
            "iconColor": "purple", "type": "tags",
            "target": {"limit": 100, "matchAny": False, "tags": ["loadtest"], "type": "tags"}}


def _variable(which, source):
    label, query = VARIABLES[which]
    query = query.format(replicas_of=source.get("replicas_of", consoles.REPLICAS_OF))
    return {
        "name": which, "label": label, "type": "query", "datasource": DATA_SOURCE,
        "query": {"query": query, "refId": which},
        # Asked again when the time range changes: replicas come and go.
        "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _panel(panel, section, place):
    kind = panel.get("kind", "chart")
    thresholds = [{"color": "green", "value": None}]
    if "red_above" in panel:
        thresholds.append({"color": "red", "value": panel["red_above"]})
    defaults = {"unit": panel["unit"], "noValue": panel["empty"], "thresholds": {"mode": "absolute", "steps": thresholds},
                "color": {"mode": "thresholds" if kind == "stat" else "palette-classic"},
                **{key: panel[key] for key in ("min", "max") if key in panel}}
    if panel.get("show") == "up":
        defaults["mappings"] = [{"type": "value", "options": {"0": {"text": "down", "color": "red", "index": 0},
                                                              "1": {"text": "up", "color": "green", "index": 1}}}]
    if kind == "chart":
        defaults["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if panel.get("stack") else 8, "showPoints": "never",
            "spanNulls": False, "stacking": {"mode": "normal" if panel.get("stack") else "none", "group": "A"},
            "thresholdsStyle": {"mode": "line" if "red_above" in panel else "off"},
        }
        options = {"legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
                   "tooltip": {"mode": "multi", "sort": "desc"}}
    else:
        options = {"colorMode": "value", "graphMode": "none" if panel.get("show") else "area", "justifyMode": "auto",
                   "orientation": "auto", "showPercentChange": False, "percentChangeColorMode": "standard",
                   "wideLayout": True,
                   "textMode": "name" if panel.get("show") == "name" else "auto",
                   "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return {
        "id": _identity(f"{section}/{panel['title']}"), "title": panel["title"], "description": panel["about"],
        "type": "timeseries" if kind == "chart" else "stat", "gridPos": place, "datasource": DATA_SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": [{"refId": chr(ord("A") + number), "datasource": DATA_SOURCE, "editorMode": "code", "range": True,
                     "expr": expression.replace("[R]", "[$__rate_interval]"), "legendFormat": legend or "__auto"}
                    for number, (legend, expression) in enumerate(panel["queries"])],
    }


# What is made ------------------------------------------------------------------------------------------

def made():
    """path → content of every file that is made from the sources."""
    everything = sources()
    files = {MADE / f"{name}.json": canonical(dashboard(name, source)) for name, source in everything.items()}
    files.update(consoles.made(everything))
    return files


def refresh(check):
    """Writes what is made, or with `check` only says whether it is up to date."""
    wanted = made()
    there = {*MADE.glob("*"), *consoles.MADE.glob("*.html")}
    stale = sorted([path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
                   + list(there - wanted.keys()))
    names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
    if not stale:
        note(f"the {len(wanted)} files made from grafana/source are up to date")
    elif check:
        raise Trouble(f"not what grafana/source says: {names}. Change the source, run `make dashboards`, and commit both.")
    else:
        for path in there - wanted.keys():
            path.unlink()
        for path, text in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text, 0o644)
        note(f"made anew: {names}")
