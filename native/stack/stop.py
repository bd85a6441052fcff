"""`make down`, `make clean`, and the rotation of nginx' access log."""

import os
import shutil
import signal
import sys
import time

from . import processes, replicas, watch
from .layout import ROOT
from .say import Trouble, note, step

ROTATE_BYTES = 100 * 2**20
KEPT = 3


def down(layout, supervisor):
    """Stops everything, front first and PostgreSQL last. Data and logs stay."""
    if not layout.exists:
        note(f"nothing to stop: there is no stack in {layout.data}")
        return
    if supervisor.pid():
        # Not under the lock: the build may hold it, and is to end without having its way first.
        supervisor.stop(["llm-build"])
    with layout.lock("make down"):
        if not supervisor.pid():
            note("stopped; the data stays" if processes.end_leftovers(layout) else "the stack does not run")
            return
        step("stopping (requests and jobs under way are finished first)")
        supervisor.stop(["nginx"])
        supervisor.stop(replicas.running(supervisor) + ["prometheus", "log-rotate", *watch.names()])
        supervisor.stop(["redis", "postgres"])
        supervisor.shutdown()
        processes.end_leftovers(layout)
        note(f"stopped; the data stays in {layout.data}")


def clean(layout, supervisor, yes):
    """Deletes the data folder, after a question."""
    if not layout.exists:
        note(f"nothing to delete: there is no stack in {layout.data}")
        return
    if supervisor.pid() or processes.leftovers(layout):
        raise Trouble("the stack runs; its data is not deleted under it. Stop it first with `make down`.")
    places = [layout.data]
    if layout.run.parent != layout.data:
        places.append(layout.run)
    database = layout.settings.get("postgres", "")
    if database and not database.startswith(f"{layout.data}/"):
        places.append(layout.postgres_data.parent)
    what = " and ".join(str(place) for place in places)
    if not yes:
        if not sys.stdin.isatty():
            raise Trouble(f"this would delete {what} with every user and post in it. Nobody can be asked here; "
                          "say `make clean YES=1` if that is meant.")
        if input(f"Delete {what}, with every user and post in it? Type yes: ").strip() != "yes":
            note("nothing was deleted")
            return
    for place in places:
        if place == ROOT or not place.is_absolute() or len(place.parts) < 3:
            raise Trouble(f"{place} is not a folder that this command deletes.")
        if place.exists():
            shutil.rmtree(place)
    note(f"deleted {what}; the build stays in cargo's folder")


def rotate_logs(layout, supervisor):
    """Renames the access log when it has grown, and has nginx open a new one. Runs for ever, under supervisor."""
    log = layout.logs / "nginx-access.log"
    # Supervisor may stop this at any moment: nothing is half done that the next run would not repeat.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        time.sleep(5)
        try:
            if log.stat().st_size < ROTATE_BYTES:
                continue
            for number in range(KEPT, 0, -1):
                older = log.with_name(f"{log.name}.{number}")
                newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
                if newer.exists():
                    os.rename(newer, older)
            os.kill(supervisor.programs()["nginx"]["pid"], signal.SIGUSR1)
        except (OSError, KeyError) as fault:
            print(f"the access log was not rotated: {fault}", flush=True)
