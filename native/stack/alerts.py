"""What is checked of alerts and expressions without a running stack: rules, their tests, the runbook, Alertmanager's files.

Prometheus' and Alertmanager's own tools say whether they can read them. What they do not ask (does each alert say what to do,
has each one a case that fires it and one that does not) is asked here of the text, whose form is that of prometheus/rules.
"""

import json
import re
import tempfile
from pathlib import Path

from . import dashboards, packages, templates, watch
from .layout import ROOT, WATCHERS
from .say import Trouble, note, run

RULES, TESTS, RUNBOOK = ROOT / "prometheus" / "rules", ROOT / "prometheus" / "tests", ROOT / "docs" / "runbook.md"
SEVERITIES = ("critical", "warning")


def check():
    """All of it. Raises a Trouble with everything that is wrong with the texts, or with a tool's own words."""
    alerts = _alerts()
    receivers = [ROOT / "alertmanager" / "alertmanager.yml", *sorted((ROOT / "alertmanager" / "examples").glob("*.yml"))]
    wrong = [*_incomplete(alerts), *_untested(alerts), *_unexplained(alerts), *_untold(receivers)]
    if wrong:
        raise Trouble("\n".join(wrong))
    promtool = packages.find("promtool")
    run([promtool, "check", "rules", *_files(RULES)], "promtool's check of the rules")
    run([promtool, "test", "rules", *_files(TESTS)], "promtool's test of the rules")
    for file in receivers:
        run([packages.find("amtool"), "check-config", str(file)], f"Alertmanager's check of {file}")
    count = _expressions(promtool)
    _configuration(promtool)
    note(f"{len(alerts)} alerts with their tests and their runbook, {count} expressions of dashboards")


def _untold(files):
    """Every file leaves out of a message what the first one leaves out: a copy of an example must not be noisier."""
    rules = [file.read_text().partition("inhibit_rules:")[2].strip() for file in files]
    yield from (f"{file} and {files[0]} differ in their inhibit_rules." for file, own in zip(files, rules) if own != rules[0])


def _files(folder):
    return sorted(str(path) for path in folder.glob("*.yml"))


def _alerts():
    """name → what its rule says: severity, summary, description, runbook_url, as far as they are there."""
    alerts, current = {}, None
    for path in _files(RULES):
        for line in Path(path).read_text().splitlines():
            found = re.match(r"\s+- alert: (\w+)$", line)
            if found:
                if found[1] in alerts:
                    raise Trouble(f"{path} has a second alert {found[1]}.")
                current = alerts[found[1]] = {}
            found = re.match(r"\s+(severity|summary|description|runbook_url): \"?(.+?)\"?$", line)
            if found and current is not None:
                current[found[1]] = found[2]
    if not alerts:
        raise Trouble(f"no alert was found in {RULES}.")
    return alerts


def _incomplete(alerts):
    for name, says in alerts.items():
        for field in ("severity", "summary", "description", "runbook_url"):
            if field not in says:
                yield f"{name} has no {field}."
        if says.get("severity") not in SEVERITIES:
            yield f"{name} has the severity {says.get('severity')}, which is none of {', '.join(SEVERITIES)}."
        # Who, or how much: a message without either sends people looking.
        if not re.search(r"\$labels\.|\$value", says.get("description", "")):
            yield f"{name}'s description names neither who it is nor how much."
        if says.get("runbook_url") != f"docs/runbook.md#{name.lower()}":
            yield f"{name}'s runbook_url is {says.get('runbook_url')} and not docs/runbook.md#{name.lower()}."


def _untested(alerts):
    fires, quiet = set(), set()
    for path in _files(TESTS):
        for part in re.split(r"^\s+- eval_time:", Path(path).read_text(), flags=re.M)[1:]:
            name = re.search(r"alertname: (\w+)", part)
            (quiet if re.search(r"exp_alerts: \[\]", part) else fires).add(name[1] if name else "")
    yield from (f"no test in {TESTS} fires {name}." for name in sorted(alerts.keys() - fires))
    yield from (f"no test in {TESTS} shows when {name} does not fire." for name in sorted(alerts.keys() - quiet))
    yield from (f"{TESTS} tests {name}, which is no alert." for name in sorted((fires | quiet) - alerts.keys()))


def _unexplained(alerts):
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", RUNBOOK.read_text(), flags=re.M | re.S))
    for name in sorted(alerts.keys() - sections.keys()):
        yield f"{RUNBOOK} has no section ### {name}."
    for name in sorted(sections.keys() - alerts.keys()):
        yield f"{RUNBOOK} has a section on {name}, which is no alert."
    for name in sorted(alerts.keys() & sections.keys()):
        severity = alerts[name].get("severity", "")
        for piece in (f"*{severity.capitalize()}.*", "**Look at**", "**Do**"):
            if piece not in sections[name]:
                yield f"{RUNBOOK}: the section {name} has no {piece}"


def _expressions(promtool):
    """Has promtool read the expression of every panel. Returns how many there are."""
    asked = [(f"{name}, {panel['title']}", dashboards.in_prometheus(expression))
             for name, source in dashboards.sources().items() for panel in dashboards.panels(source)
             for _, expression in panel["queries"]]
    rules = [{"record": f"panel:{number}", "expr": expression, "labels": {"panel": panel}}
             for number, (panel, expression) in enumerate(asked)]
    with tempfile.TemporaryDirectory(prefix="linnet-panels-") as folder:
        # JSON is YAML too.
        file = Path(folder) / "panels.yml"
        file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
        run([promtool, "check", "rules", str(file)], "promtool's check of the expressions in grafana/source")
    return len(rules)


def _configuration(promtool):
    """Has promtool read prometheus.yml, filled in as `make up` does, and that of containers."""
    addresses = {f"{job.upper()}_EXPORTER": f"127.0.0.1:{8080 + WATCHERS[name]}" for name, job in watch.JOBS.items()}
    values = {**addresses, "CONF": "/nowhere", "TARGETS": "/nowhere", "PROMETHEUS": "127.0.0.1:8082"}
    with tempfile.TemporaryDirectory(prefix="linnet-prometheus-") as folder:
        file = Path(folder) / "prometheus.yml"
        file.write_text(templates.fill(ROOT / "prometheus" / "prometheus.yml.template", values))
        run([promtool, "check", "config", "--syntax-only", str(file)], "promtool's check of prometheus.yml")
    run([promtool, "check", "config", "--syntax-only", str(ROOT / "prometheus" / "prometheus.compose.yml")],
        "promtool's check of prometheus.compose.yml")
