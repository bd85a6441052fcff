"""`make up`: from whatever is there to a running stack. Doing it again changes only what differs."""

import os
import time

from . import build, database, llm, packages, processes, render, replicas, status, watch
from .layout import KINDS, check_port
from .say import Trouble, duration, note, step
from .templates import quoted_environment


def up(layout, supervisor, counts, wait_llm):
    began = time.monotonic()
    packages.ensure({**packages.RUN, **({} if build.given() else {**packages.BUILD, **packages.MODEL})})
    replicas.check_counts(counts)
    asked = check_port(os.environ["PORT"]) if os.environ.get("PORT") else None
    with layout.lock("make up"):
        running = supervisor.pid()
        if asked and asked != layout.port:
            if running:
                raise Trouble(f"the stack in {layout.data} already runs, at port {layout.port}. Stop it first with "
                              f"`make down`, or set LINNET_DATA to another folder for a second stack beside it.")
            # What outlived its supervisor holds the old ports; afterwards it could not be found.
            if layout.exists:
                processes.end_leftovers(layout)
            layout.port = asked
        layout.want(counts)
        if layout.exists:
            processes.end_leftovers(layout, running)
        if not running:
            processes.refuse_taken(layout.fixed_ports())
            processes.refuse_taken({layout.replica_port(name): name for kind in KINDS
                                    for name in replicas.names(kind, layout.wanted(kind))})
        build.servers()
        layout.create()
        for kind in ("api", "worker"):
            build.take(layout, kind)
        layout.settings["passed"] = render.passed_settings()
        layout.settings["front_proxies"] = render.front_proxies()
        layout.settings["build_environment"] = quoted_environment(
            {**render.build_environment(), "LINNET_DATA": str(layout.data)})
        watch.choose_alertmanager_config(layout)
        changed = render.services(layout)
        if database.create(layout):
            changed.add("postgres")
        layout.save()
        _fixed_programs(layout, supervisor, running, changed)
        counts = {kind: layout.wanted(kind) for kind in ("api", "worker")}
        did = replicas.apply(layout, supervisor, counts)
        if "nginx" in changed and running and not did:
            replicas.reload_nginx(layout, supervisor)
        _front(layout, supervisor)
        llm.launch(layout, supervisor)
    # The lock is free from here on: the background build takes it when it starts its replicas.
    phase = llm.wait(layout, supervisor, patient=wait_llm)
    status.show(layout, supervisor)
    note(f"{'was already up; checked' if running and not did else 'ready'} after {duration(time.monotonic() - began)}"
         + ("" if phase == "ready" else ", all but llm-service"))


def _fixed_programs(layout, supervisor, running, changed):
    """Supervisor, PostgreSQL and Redis up, and the database as this version needs it."""
    if running:
        known = set(replicas.running(supervisor))
        altered = set(replicas.declare(layout, supervisor, known))
        renewable = altered & {"prometheus", "log-rotate", "nginx", *watch.names()}
        if supervisor.state("llm-build") != "RUNNING":
            renewable |= altered & {"llm-build"}
        # nginx' own command changes only with this program, and then a short gap is told rather than hidden.
        if "nginx" in renewable:
            note("nginx' start command changed; it is started again")
        supervisor.renew(sorted(renewable))
        later = sorted((altered | changed) & {"postgres", "redis"})
        # They read their configuration again. Alertmanager's may be a person's own file, of which nothing is known here.
        for name in (changed & {"prometheus"} | {"alertmanager"}) - renewable:
            supervisor.signal(name, "HUP")
        if later:
            note(f"new settings of {' and '.join(later)} take effect after `make down` and `make up`")
    else:
        step("starting PostgreSQL and Redis")
        # An empty list: the replicas are declared when they are started.
        render.supervisor(layout, [])
        # What an earlier run last told nginx and Prometheus is no longer so.
        replicas.publish_files(layout, [])
        supervisor.launch()
    supervisor.start(["postgres", "redis"])
    supervisor.wait({name: lambda name=name: status.ready(layout, name) for name in ("postgres", "redis")}, 60)
    database.provision(layout, forced=not running)
    database.migrate(layout)


def _front(layout, supervisor):
    """nginx, and what watches, last: by now there is something to hand requests to and to look at."""
    watchers = ["prometheus", *watch.names()]
    if supervisor.state("nginx") not in ("RUNNING", "STARTING"):
        replicas.check_nginx(layout)
    supervisor.start(["nginx", *watchers, "log-rotate"])
    supervisor.wait({name: lambda name=name: status.ready(layout, name) for name in ["nginx", *watchers]}, 60)
