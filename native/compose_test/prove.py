"""The proof from its beginning: what needs the network outside, the run itself in namespaces without one."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stack import build
from stack.layout import NATIVE
from stack.say import duration, note, plain

from . import debian, engine, images, journey, spec
from .debian import CACHE, Unavailable

# The exit status of the run inside that says: not here, and the file `why` says why.
CANNOT = 3


def outside(program, full):
    """All of it. `program` is what calls `inside` with the words that it is given. Raises Unavailable where the stack cannot be
    run, and answers the exit status."""
    began = time.monotonic()
    compose = debian.compose()
    spec.check(compose)
    spec.schema()
    engine.ensure()
    # Early: who is told after minutes that a program is missing has waited for nothing.
    if not build.given() and not full:
        build.servers()
    images.binaries(full)
    model = subprocess.run([str(NATIVE / "fetch-model")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if model.returncode != 0:
        raise Unavailable("the small model cannot be fetched; native/fetch-model says why above")
    images.gather(full)
    if full:
        images.fetch_crates()
    CACHE.mkdir(parents=True, exist_ok=True)
    # A short path: the socket's may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="linnet-compose-", dir="/var/tmp"))
    try:
        status = engine.enter([program, "inside", str(folder), model.stdout.strip(), *compose])
        if status == CANNOT:
            raise Unavailable((folder / "why").read_text())
    finally:
        if os.environ.get("KEEP"):
            note(f"the data of this run stays in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if status == 0:
        plain(f"\nthe stack runs in containers; {duration(time.monotonic() - began)} in all")
    return 1 if status else 0


def inside(folder, model, compose, full):
    """The run, by the first process of its namespaces. Answers the exit status."""
    return _attend(lambda: _run(folder, model, compose, full))


def _run(folder, model, compose, full):
    try:
        with engine.Engine(folder) as podman:
            (folder / "build").mkdir()
            images.make_standins(podman, images.gather(full), folder / "build")
            images.make_ours(podman, folder / "build", full)
            with engine.Health(podman):
                for stack in (journey.Stack(podman, compose, folder, model), journey.Production(podman, compose, folder, model)):
                    try:
                        stack.prepare()
                        stack.travel()
                    except Exception:
                        journey.show_logs(stack)
                        raise
    except Unavailable as why:
        (folder / "why").write_text(str(why))
        return CANNOT
    return 0


def _attend(work):
    """Does the work in a child and buries whoever ends meanwhile. A namespace's first process inherits all orphans, which are
    podman's helpers here, four a second; nobody else takes notice of their end."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        return work()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        ended, status = os.wait()
        if ended == child:
            # 128 and the signal's number, as a shell says it.
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
