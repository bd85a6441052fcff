"""What watches the stack beside Prometheus: the exporters, Alertmanager, and Grafana where there is one.

Each is told here by its program, its port, what it is started with and how it is asked whether it works.
"""

import os
import re
import shutil
from pathlib import Path

from . import packages
from .layout import NATIVE, ROOT, WATCHERS, reaches, write_atomically
from .say import Trouble, run
from .templates import fill, quoted_environment

# What Prometheus scrapes of them: the job's name, which is also the instance's.
JOBS = {"alertmanager": "alertmanager", "node-exporter": "node", "redis-exporter": "redis", "postgres-exporter": "postgres",
        "nginx-exporter": "nginx"}
ADD_GRAFANA = ("dashboards are Prometheus' own pages; for Grafana's, install Grafana 10.4 or later so that grafana-server is on "
               "PATH, and `make up` again")


def port(layout, name):
    return layout.port + WATCHERS[name]


def address(layout, name):
    return f"http://127.0.0.1:{port(layout, name)}"


def names():
    """Those that run here, in the order in which they are shown. Grafana only where it is installed."""
    return [name for name in WATCHERS if name != "grafana" or grafana()]


def dashboards(layout):
    """Where a person looks at dashboards."""
    if grafana():
        return address(layout, "grafana")
    return f"http://127.0.0.1:{layout.prometheus_port}/consoles/index.html"


def health(name):
    """The path that says 200 when it works."""
    return {"alertmanager": "/-/ready", "grafana": "/api/health"}.get(name, "/metrics")


# Grafana -----------------------------------------------------------------------------------------------

def grafana():
    """(what it is started with, the folder of its own files), or None: Debian has no package of it."""
    program = shutil.which("grafana-server", path=packages.PATH)
    if not program:
        return None
    # An archive has its files around the program, a package has them in /usr/share.
    for home in (Path(program).resolve().parent.parent, Path("/usr/share/grafana")):
        if (home / "conf" / "defaults.ini").is_file():
            return program, home
    return None


def _grafana_environment(layout):
    return {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1", "GF_SERVER_HTTP_PORT": str(port(layout, "grafana")),
        "GF_PATHS_DATA": str(layout.data / "grafana"), "GF_PATHS_LOGS": str(layout.logs),
        "GF_PATHS_PROVISIONING": str(layout.conf / "grafana"), "GF_LOG_MODE": "console",
        # Whoever reaches the loopback address may look; to change something one logs in as admin.
        "GF_AUTH_ANONYMOUS_ENABLED": "true", "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_SECURITY_ADMIN_PASSWORD": layout.secrets()["grafana"],
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(ROOT / "grafana" / "dashboards" / "overview.json"),
        # It need not tell its makers anything, nor ask them.
        "GF_ANALYTICS_REPORTING_ENABLED": "false", "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false", "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    }


def provisioning(layout):
    """Writes what Grafana is told at its start: what containers are told, with the addresses of here."""
    ours = {"http://prometheus:9090": f"http://127.0.0.1:{layout.prometheus_port}",
            "/etc/grafana/dashboards": str(ROOT / "grafana" / "dashboards")}
    for source in sorted((ROOT / "grafana" / "provisioning").glob("*/*.yml")):
        text = source.read_text()
        for theirs, here in ours.items():
            text = text.replace(theirs, here)
        folder = layout.conf / "grafana" / source.parent.name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(folder / source.name, text)


# Supervisor's programs ---------------------------------------------------------------------------------

def alertmanager_config(layout):
    """The file that says who is told of an alert: ours, which tells nobody, or the one in ALERTMANAGER_CONFIG."""
    own = layout.settings.get("alertmanager_config") or str(ROOT / "alertmanager" / "alertmanager.yml")
    if not re.fullmatch(r"[A-Za-z0-9._/+@-]+", own):
        raise Trouble(f"ALERTMANAGER_CONFIG={own} has a character that supervisor's configuration cannot carry. Name a path of "
                      "letters, digits and ._/+@-")
    return own


def who_is_told(layout):
    """Who hears of an alert, in words."""
    own = layout.settings.get("alertmanager_config")
    if own:
        return f"alerts are told as {own} says; ALERTMANAGER_CONFIG= (empty) tells nobody any more"
    return "alerts are told to nobody; for a webhook or mail: make up ALERTMANAGER_CONFIG=… (alertmanager/examples)"


def choose_alertmanager_config(layout):
    """Takes ALERTMANAGER_CONFIG over from this terminal and has Alertmanager's own checker read the file.

    Unlike the programs' settings it stays until another one is given, or none (`make up ALERTMANAGER_CONFIG=`): a plain `make up`
    must not leave an alert without anybody to hear it, which nobody would notice."""
    given = os.environ.get("ALERTMANAGER_CONFIG")
    if given is not None:
        layout.settings["alertmanager_config"] = os.path.abspath(given) if given else ""
    file = alertmanager_config(layout)
    if not Path(file).is_file():
        raise Trouble(f"ALERTMANAGER_CONFIG={file} is no file. Name one (alertmanager/examples has two to begin with), or none, "
                      "and nobody is told of alerts: make up ALERTMANAGER_CONFIG=")
    run([packages.find("amtool"), "check-config", file], f"Alertmanager's check of {file}")


def programs(layout):
    """The sections of supervisord.conf for all of them."""
    secrets, listen = layout.secrets(), "--web.listen-address=127.0.0.1:{}".format
    nginx = f"http://127.0.0.1:{layout.status_port}/stub_status"
    monitor_of_postgres = {"DATA_SOURCE_URI": f"127.0.0.1:{layout.postgres_port}/linnet?sslmode=disable",
                           "DATA_SOURCE_USER": "linnet_monitor", "DATA_SOURCE_PASS": secrets["monitor"]}
    monitor_of_redis = {"REDIS_ADDR": f"redis://127.0.0.1:{layout.redis_port}", "REDIS_USER": "linnet_monitor",
                        "REDIS_PASSWORD": secrets["redis_monitor"]}
    # name → its program, its arguments, its environment (where passwords belong: everybody can read arguments).
    known = {
        "alertmanager": ("prometheus-alertmanager", [
            f"--config.file={alertmanager_config(layout)}", f"--storage.path={layout.data}/alertmanager",
            f"--web.external-url={address(layout, 'alertmanager')}", "--cluster.listen-address=", "--log.level=warn"], {}),
        # Debian's has this collector on, which says once a scrape that there is no systemd.
        "node-exporter": ("prometheus-node-exporter", ["--no-collector.systemd", "--log.level=warn"], {}),
        "redis-exporter": ("prometheus-redis-exporter", [], monitor_of_redis),
        "postgres-exporter": ("prometheus-postgres-exporter", ["--log.level=warn"], monitor_of_postgres),
        "nginx-exporter": ("prometheus-nginx-exporter", [f"--nginx.scrape-uri={nginx}"], {}),
    }
    text, reader = "", _user(layout)
    for name, (program, arguments, environment) in known.items():
        path = packages.find(program)
        if not path:
            raise Trouble(f"{program} is missing. `make up` installs it.")
        command = " ".join([path, listen(port(layout, name)), *arguments])
        text += _program(layout, name, command, environment, layout.user if name == "alertmanager" else reader)
    found = grafana()
    if found:
        program, home = found
        text += _program(layout, "grafana", f"{program} --homepath={home}", _grafana_environment(layout), layout.user)
    return text


def _program(layout, name, command, environment, user):
    return fill(NATIVE / "watch.conf.template", {
        "NAME": name, "COMMAND": command, "USER": user, "DATA": layout.data, "LOGS": layout.logs,
        "ENVIRONMENT": quoted_environment(environment)})


def _user(layout):
    """Exporters only read, so as root they become nobody, unless that cannot get to the data folder they start in."""
    return "nobody" if layout.is_root and reaches("nobody", layout.data) else layout.user


# Prometheus' files -------------------------------------------------------------------------------------

def copies(layout):
    """Copies rules and console pages to where Prometheus reads them: what runs is what `make up` took. True if any differed."""
    changed = False
    for folder in ("rules", "consoles", "console_libraries"):
        there = layout.conf / folder
        there.mkdir(mode=0o700, exist_ok=True)
        wanted = {path.name: path.read_text() for path in (ROOT / "prometheus" / folder).iterdir()}
        for path in there.iterdir():
            if path.name not in wanted:
                path.unlink()
                changed = True
        for name, text in wanted.items():
            changed |= write_atomically(there / name, text)
    return changed


def template_values(layout):
    """What prometheus.yml.template names: ALERTMANAGER, NODE, REDIS, POSTGRES, NGINX and their addresses."""
    return {job.upper() + "_EXPORTER": f"127.0.0.1:{port(layout, name)}" for name, job in JOBS.items()}
