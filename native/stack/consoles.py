"""Prometheus' own console pages, made from the same sources as Grafana's dashboards: for a machine without Grafana.

What is the same on every page (head, style, script) is in prometheus/console_libraries/linnet.lib. Charts are drawn by the
script that Prometheus serves for this; figures are put in by Prometheus when it renders the page.
"""

import html
import json
import re

from .layout import ROOT

MADE = ROOT / "prometheus" / "consoles"
# How a figure is written by Prometheus' template functions, by its unit.
FIGURES = {"percentunit": "humanizePercentage", "s": "humanizeDuration", "bytes": "humanize1024", "Bps": "humanize1024"}
# Whose replicas there are to choose from, as a regular expression over jobs.
REPLICAS_OF = "api|worker|llm"
SUFFIXES = {"bytes": "B", "Bps": "B/s", "reqps": "/s", "ops": "/s"}


def made(sources):
    """path → page, for each dashboard; the first is index.html, which Prometheus links in its menu."""
    names = {name: "index" if number == 0 else name for number, name in enumerate(sources)}
    return {MADE / f"{names[name]}.html": _page(name, sources, names) for name in sources}


def _page(name, sources, names):
    source = sources[name]
    menu = "\n".join(f'    <a href="{names[other]}.html"{" aria-current=page" if other == name else ""}>'
                     f'{html.escape(sources[other]["title"])}</a>' for other in sources)
    charts = []
    parts = [_section(section, charts) for section in source["section"]]
    return f"""{{{{/* Made from grafana/source/{name}.toml by `make dashboards`; a change here would be lost. */}}}}
{{{{ $replica := or .Params.replica ".*" }}}}{{{{ $route := or .Params.route ".*" }}}}
{{{{ template "linnet_head" "{html.escape(source["title"])}" }}}}
  <nav>
{menu}
  </nav>
  {{{{ template "linnet_alerts" }}}}
  <h1>{html.escape(source["title"])}</h1>
  <p class="about">{html.escape(source["about"])}</p>
{_choose(source)}{"".join(parts)}{{{{ template "linnet_times" }}}}
<script>
var CHOSEN = {{ replica: "{{{{ $replica }}}}", route: "{{{{ $route }}}}" }};
{"".join(charts)}</script>
{{{{ template "linnet_tail" }}}}
"""


def _choose(source):
    """Lists of what $replica and $route may be, as far as this page uses them."""
    queries = {"replica": ("instance", f'group by (instance) (up{{job=~"{source.get("replicas_of", REPLICAS_OF)}"}})'),
               "route": ("route", 'group by (route) (http_requests_total{job="api"})')}
    fields = []
    for which in source["variables"]:
        label, query = queries[which]
        field = """    <label>WHICH <select name="WHICH" onchange="this.form.submit()"><option value="">all</option>
      {{ range query QUERY | sortByLabel "LABEL" -}}
      <option{{ if eq .Labels.LABEL (or $.Params.WHICH "") }} selected{{ end }}>{{ .Labels.LABEL }}</option>
      {{- end }}</select></label>
"""
        fields.append(field.replace("WHICH", which).replace("QUERY", json.dumps(query)).replace("LABEL", label))
    return f"  <form>\n{''.join(fields)}  </form>\n" if fields else ""


def _section(section, charts):
    figures = [panel for panel in section["panel"] if panel.get("kind") == "stat"]
    drawn = [panel for panel in section["panel"] if panel.get("kind") != "stat"]
    parts = [f'  <h2>{html.escape(section["title"])}</h2>\n']
    if figures:
        parts.append('  <div class="figures" data-fresh>\n' + "".join(map(_figure, figures)) + "  </div>\n")
    if drawn:
        parts.append('  <div class="charts">\n')
        for panel in drawn:
            parts.append(_place(panel, f"chart{len(charts)}"))
            charts.append(_chart(panel, f"chart{len(charts)}"))
        parts.append("  </div>\n")
    return "".join(parts)


def _figure(panel):
    (legend, expression), = panel["queries"]
    how = f'{{{{ $one | value | {FIGURES.get(panel["unit"], "humanize")} }}}}{_suffix(panel["unit"])}'
    if panel.get("show") == "up":
        how = '{{ if eq ($one | value) 1.0 }}up{{ else }}<b class="red">down</b>{{ end }}'
    elif panel.get("show") == "name":
        how = re.sub(r"{{(\w+)}}", r'{{ $one | label "\1" }}', legend)
    elif "red_above" in panel:
        how = f'<span{{{{ if ge ($one | value) {float(panel["red_above"])} }}}} class="red"{{{{ end }}}}>{how}</span>'
    label = re.search(r"{{(\w+)}}", legend)
    if label and panel.get("show") != "name":
        how = f'{{{{ $one | label "{label[1]}" }}}} {how}'
    return (f'    <div title="{html.escape(panel["about"])}"><h3>{html.escape(panel["title"])}</h3>'
            f'{{{{ range $one := query {_query(expression)} }}}}<p>{how}</p>'
            f'{{{{ else }}}}<p class="empty">{html.escape(panel["empty"])}</p>{{{{ end }}}}</div>\n')


def _suffix(unit):
    return html.escape(SUFFIXES.get(unit, unit.removeprefix("suffix:") if unit.startswith("suffix: ") else ""))


def _query(expression):
    """The expression as an argument of the template function query: fixed text, and what the reader has chosen."""
    parts = re.split(r"(\$replica|\$route)\b", _at_rest(expression))
    if len(parts) == 1:
        return json.dumps(parts[0])
    words = " ".join(part if part.startswith("$") else json.dumps(part) for part in parts)
    return f"(printf \"{'%s' * len(parts)}\" {words})"


def _at_rest(expression):
    return expression.replace("[R]", "[1m]")


def _place(panel, name):
    empty = html.escape(panel["empty"].replace("'", "’"))
    return (f'    <section style="--empty: \'{empty}\'"><h3>{html.escape(panel["title"])}</h3>'
            f'<p>{html.escape(panel["about"])}</p><div id="{name}"></div></section>\n')


def _chart(panel, name):
    expressions = json.dumps([_at_rest(expression) for _, expression in panel["queries"]])
    # Where Grafana writes {{label}}, which here would be Prometheus' own.
    legends = json.dumps([re.sub(r"{{(\w+)}}", r"[[ \1 ]]", legend) for legend, _ in panel["queries"]])
    options = {key: panel[key] for key in ("min", "max") if key in panel}
    if panel.get("stack"):
        options["renderer"] = "area"
    return f"chart({json.dumps(name)}, {json.dumps(panel['unit'])}, {expressions}, {legends}, {json.dumps(options)});\n"
