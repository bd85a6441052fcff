"""`make status`, `make logs` and `linnet env`: what runs, where, and what it says."""

import os
import sys

from . import database, llm, processes, redis, replicas, rotate, watch
from .layout import KINDS, NATIVE, WATCHERS
from .say import Trouble, duration, note, plain, table

FRONT = ("nginx", "prometheus", "postgres", "redis")


def show(layout, supervisor):
    """The table of what runs. Returns whether the stack runs."""
    if not supervisor.pid():
        left = processes.leftovers(layout) if layout.exists else {}
        if left:
            note(f"the supervisor of the stack in {layout.data} has died; these go on without it: "
                 + ", ".join(f"{processes.name_of(pid)} (pid {pid})" for pid in sorted(left)))
            note("`make up` starts the stack anew, `make down` ends it")
        else:
            note(f"Linnet does not run (its data folder is {layout.data}). Start it with `make up`.")
        return False
    programs = supervisor.programs()
    rows = [["program", "state", "address", "pid", "memory", "up for"]]
    for name in [*FRONT, *watch.names(), *sorted(name for name in programs if replicas.kind_of(name))]:
        info = programs.get(name)
        if not info:
            continue
        alive = info["pid"] and info["statename"] in ("RUNNING", "STARTING")
        state = info["statename"].lower()
        if alive:
            state = "ready" if ready(layout, name) else "not ready"
        rows.append([name, state, address(layout, name), str(info["pid"] or ""),
                     f"{processes.memory(info['pid']) / 2**20:.0f} MB" if alive else "",
                     duration(info["now"] - info["start"]) if alive else ""])
    plain()
    table(rows)
    plain()
    phase, words = llm.describe(layout, supervisor)
    if words:
        note(words)
    model = llm.model_that_answers(layout, replicas.running(supervisor, "llm"))
    if model:
        note(f"posts are judged by {model}")
    if rotate.is_overdue(layout.secrets()):
        note("the secret that signed logins before is still believed, and nobody needs it any more: make rotate END=1")
    note(f"open {layout.public_url}    API documentation: {layout.public_url}/docs")
    note(f"watch {watch.dashboards(layout)}    alerts: http://127.0.0.1:{layout.prometheus_port}/alerts")
    note(watch.who_is_told(layout))
    if not watch.grafana():
        note(watch.ADD_GRAFANA)
    note(f"data and logs: {layout.data}")
    note("make scale api=4 worker=2 · make logs P=api · make status · make down")
    return True


def address(layout, name):
    if name in WATCHERS:
        return watch.address(layout, name)
    if replicas.kind_of(name):
        return f"http://127.0.0.1:{layout.replica_port(name)}"
    return {
        "nginx": layout.public_url,
        "prometheus": f"http://127.0.0.1:{layout.prometheus_port}",
        "postgres": f"127.0.0.1:{layout.postgres_port}",
        "redis": f"127.0.0.1:{layout.redis_port}",
    }[name]


def ready(layout, name):
    """Whether a part of the stack does its work, asked of the part itself."""
    if replicas.kind_of(name):
        return replicas.answers(layout.replica_port(name))
    if name in WATCHERS:
        return replicas.answers(watch.port(layout, name), watch.health(name))
    return {
        "nginx": lambda: replicas.answers(layout.status_port, "/livez"),
        "prometheus": lambda: replicas.answers(layout.prometheus_port, "/-/ready"),
        "postgres": lambda: database.answers(layout),
        "redis": lambda: redis.ask(layout, "PING") == "+PONG",
    }[name]()


def environment(layout, supervisor):
    """How to reach the running stack, as NAME=value lines: for the end-to-end tests and for scripts.

    Holds passwords.
    """
    if not supervisor.pid():
        raise Trouble("the stack does not run. Start it with `make up`.")
    urls = {kind: ",".join(f"http://127.0.0.1:{layout.replica_port(name)}" for name in replicas.running(supervisor, kind))
            for kind in KINDS}
    return {
        "LINNET_URL": layout.public_url,
        "LINNET_DATA": str(layout.data),
        "LINNET_CONTROL": str(NATIVE / "linnet"),
        "LINNET_LLM_URL": layout.llm_url,
        "LINNET_PROMETHEUS_URL": f"http://127.0.0.1:{layout.prometheus_port}",
        "LINNET_ALERTMANAGER_URL": watch.address(layout, "alertmanager"),
        "LINNET_NGINX_STATUS_URL": f"http://127.0.0.1:{layout.status_port}/stub_status",
        "LINNET_DATABASE_URL": layout.database_url("app"),
        "LINNET_REDIS_URL": layout.redis_url,
        "LINNET_API_URLS": urls["api"],
        "LINNET_WORKER_URLS": urls["worker"],
        "LINNET_LLM_URLS": urls["llm"],
    }


def logs(layout, program, lines):
    """Shows the end of the logs whose name begins with `program`, and goes on as they grow if a person looks."""
    names = sorted(path for path in layout.logs.glob("*.log") if path.name.startswith(program or ""))
    if not names:
        known = ", ".join(sorted(path.stem for path in layout.logs.glob("*.log"))) or "none yet"
        raise Trouble(f"there is no log whose name begins with {program or 'anything'}. There are: {known}.")
    follow = ["-F"] if sys.stdout.isatty() else []
    os.execvp("tail", ["tail", "-n", str(lines), *follow, *map(str, names)])
