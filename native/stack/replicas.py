"""How many of each program run, and how nginx and Prometheus learn of it.

The order is what keeps requests from failing: a replica is started and ready before nginx hears of it,
and nginx has stopped using one before it is asked to end.
"""

import http.client
import json
import os
import signal
import time

from . import packages, processes, render
from .layout import BINARIES, KINDS, POOL, write_atomically
from .say import Trouble, note, run, step
from .supervise import DOWN, UP

# The most that a start may take. A large model is read from disk and has to answer once.
READY_SECONDS = {"api": 45, "worker": 45, "llm": 900}
# How long nginx's old workers may finish requests before their replica is stopped all the same; it
# then has its own 30 s for what it still holds.
DRAIN_SECONDS = 15
# How long clients are told to open a new connection before nginx is reloaded.
CLOSING_SECONDS = 1


def kind_of(name):
    """"api" of "api-03"; None for a program that is not a replica."""
    kind, _, number = name.partition("-")
    return kind if kind in KINDS and number.isdigit() else None


def names(kind, count):
    return [f"{kind}-{number:02d}" for number in range(count)]


def running(supervisor, kind=None):
    """The replicas that supervisor keeps up, sorted; also those it is just trying to start again."""
    return sorted(name for name, info in supervisor.programs().items()
                  if kind_of(name) and kind in (None, kind_of(name)) and info["statename"] in UP)


def get(port, path="/readyz"):
    """What GET on this loopback port says: (status, body), or (None, b"") when nobody answers in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(65536)
    except (OSError, http.client.HTTPException):
        return None, b""
    finally:
        connection.close()


def answers(port, path="/readyz"):
    return get(port, path)[0] == 200


def wait_ready(layout, supervisor, replicas):
    for kind in KINDS:
        mine = [name for name in replicas if kind_of(name) == kind]
        supervisor.wait({name: lambda port=layout.replica_port(name): answers(port) for name in mine},
                        READY_SECONDS[kind])


# nginx and Prometheus ----------------------------------------------------------------------------------

def publish(layout, supervisor, members, forced=False):
    """Tells nginx and Prometheus that these replicas take requests. Returns when nginx has stopped using others.

    `forced` reloads nginx even if its list of replicas is the same, for a changed configuration.
    """
    changed = publish_files(layout, members)
    if (changed or forced) and supervisor.state("nginx") == "RUNNING":
        reload_nginx(layout, supervisor)


def publish_files(layout, members):
    """Writes the lists that nginx and Prometheus read. True if nginx' changed."""
    for kind in KINDS:
        mine = sorted(name for name in members if kind_of(name) == kind)
        targets = [{"targets": [f"127.0.0.1:{layout.replica_port(name)}"], "labels": {"instance": name}} for name in mine]
        write_atomically(layout.targets / f"{kind}.json", json.dumps(targets, indent=1) + "\n")
    return any([write_atomically(layout.upstreams / f"upstream-{kind}.inc", upstream(layout, kind, members))
                for kind in ("api", "llm")])


def upstream(layout, kind, members):
    mine = sorted(name for name in members if kind_of(name) == kind)
    if not mine:
        # nginx refuses an upstream without servers; one that is marked down makes it answer 502 at once.
        return "server 127.0.0.1:1 down;\n"
    # A busy llm-service says 503, which must not count as dead: nginx would leave a lone one for 5 s.
    fails = "max_fails=0" if kind == "llm" else "max_fails=2 fail_timeout=5s"
    return "".join(f"server 127.0.0.1:{layout.replica_port(name)} {fails};  # {name}\n" for name in mine)


def check_nginx(layout):
    """Raises a Trouble with nginx's own words if it would not take the configuration."""
    # It opens the logs, and makes them if they are not there yet.
    run(nginx(layout) + ["-t", "-q"], "nginx' own check of its configuration", umask=0o077)


def nginx(layout):
    binary = packages.find("nginx")
    return [binary, "-p", str(layout.data), "-e", str(layout.logs / "nginx-error.log"), "-c", str(layout.conf / "nginx.conf")]


def reload_nginx(layout, supervisor):
    """HUP, then waits until the workers with the old configuration have ended, or DRAIN_SECONDS.

    For a second before it every answer closes its connection, so that no busy client has an idle one that
    the old workers would close under it.
    """
    check_nginx(layout)
    closing = layout.data / "nginx" / "closing"
    closing.touch()
    try:
        time.sleep(CLOSING_SECONDS)
        master = supervisor.programs()["nginx"]["pid"]
        old = processes.children(master)
        os.kill(master, signal.SIGHUP)
        began = time.monotonic()
        while not processes.children(master) - old:
            if time.monotonic() - began > 10:
                raise Trouble(f"nginx did not take its new configuration; see {layout.logs}/nginx-error.log.")
            time.sleep(0.02)
        while any(processes.alive(pid) for pid in old) and time.monotonic() - began < DRAIN_SECONDS:
            time.sleep(0.02)
    finally:
        closing.unlink(missing_ok=True)


# Starting, stopping, replacing -------------------------------------------------------------------------

def check_counts(counts):
    for kind, count in counts.items():
        least = 1 if kind == "api" else 0
        if not least <= count <= POOL:
            raise Trouble(f"{kind}={count} cannot be: from {least} to {POOL} {kind} replicas can run.")


def declare(layout, supervisor, replicas):
    """Makes supervisor know these replicas and no others. Returns the programs whose configuration changed,
    which run on with their old one. What is no longer known and has ended is forgotten."""
    render.supervisor(layout, replicas)
    changed, removed = supervisor.sync()
    programs = supervisor.programs()
    supervisor.forget([name for name in removed if programs[name]["statename"] in DOWN])
    return changed


def apply(layout, supervisor, counts, forced=()):
    """Brings each kind to its count, and onto the present binary and settings. True if anything was done.

    `forced` names kinds whose replicas are replaced even if nothing about them changed.
    """
    target = {name for kind, count in counts.items() for name in names(kind, count)}
    before = set(running(supervisor))
    others = {name for name in before if kind_of(name) not in counts}
    # The surplus stays in the configuration until it has ended, or supervisor would call it removed.
    changed = declare(layout, supervisor, before | target)

    missing = sorted(target - before)
    if missing:
        processes.refuse_taken({layout.replica_port(name): name for name in missing})
        step(f"starting {', '.join(missing)}")
        supervisor.renew([name for name in missing if name in changed])
        supervisor.start(missing)
        wait_ready(layout, supervisor, missing)

    surplus = sorted(before - target - others)
    publish(layout, supervisor, target | others)
    if surplus:
        step(f"stopping {', '.join(surplus)}")
        supervisor.stop(surplus)
        declare(layout, supervisor, target | others)

    stale = [name for name in sorted(target & before) if name in changed or kind_of(name) in forced or is_stale(layout, supervisor, name)]
    if stale:
        replace(layout, supervisor, stale, set(changed), target | others)
    return bool(missing or surplus or stale)


def is_stale(layout, supervisor, name):
    info = supervisor.programs()[name]
    return info["pid"] and processes.runs_old_file(info["pid"], layout.bin / BINARIES[kind_of(name)])


def replace(layout, supervisor, stale, changed, members):
    """Puts new processes in place of these replicas, one after the other, each out of nginx' list meanwhile."""
    step(f"replacing {', '.join(stale)}, one after the other")
    spare = None
    api = [name for name in members if kind_of(name) == "api"]
    if len(api) == 1 and kind_of(stale[0]) == "api":
        # Alone it cannot be taken away: another one stands in for it.
        spare = names("api", 2)[1]
        processes.refuse_taken({layout.replica_port(spare): spare})
        declare(layout, supervisor, members | {spare})
        supervisor.start([spare])
        wait_ready(layout, supervisor, [spare])
    present = members | {spare} if spare else members
    for name in stale:
        # Takes this one out and the one before it in again: one reload of nginx for both.
        publish(layout, supervisor, present - {name})
        if name in changed:
            supervisor.renew([name])
        else:
            supervisor.stop([name])
        supervisor.start([name])
        wait_ready(layout, supervisor, [name])
    publish(layout, supervisor, members)
    if spare:
        supervisor.stop([spare])
        declare(layout, supervisor, members)


def scale(layout, supervisor, counts):
    """`make scale`: remembers the counts and brings them about."""
    check_counts(counts)
    if not supervisor.pid():
        raise Trouble("the stack does not run, so there is nothing to scale. Start it with `make up`.")
    layout.want(counts)
    layout.save()
    now = {kind: count for kind, count in counts.items() if kind != "llm" or (layout.bin / BINARIES["llm"]).exists()}
    if len(now) < len(counts):
        note(f"llm-service is not built yet; {counts['llm']} will start when it is (`make status` says how far it is)")
    return apply(layout, supervisor, now)
