"""llm-service in the background: its build, its model, the start of its replicas.

`make up` does not wait for it. What it is at stands in a small file, which `make status` and
`make up WAIT_LLM=1` read.
"""

import json
import os
import re
import subprocess
import sys
import time

from . import build, packages, replicas
from .layout import NATIVE, ROOT, write_atomically
from .say import Trouble, duration, note

# Phases in their order. In the quick ones `make up` waits a moment rather than leave it half done.
QUICK = ("checking", "starting")
BUSY = ("checking", "building", "model", "starting")


def _file(layout):
    return layout.run / "llm-build.json"


def tell(layout, phase, detail=""):
    before = read(layout)
    began = before["began"] if before.get("phase") == phase else time.time()
    write_atomically(_file(layout), json.dumps({"phase": phase, "detail": detail, "began": began, "pid": os.getpid()}) + "\n")


def read(layout):
    try:
        return json.loads(_file(layout).read_text())
    except (OSError, ValueError):
        return {"phase": "absent", "detail": "", "began": time.time()}


def describe(layout, supervisor):
    """(phase, a sentence) of the background build. A build that was killed is "stopped"."""
    account = read(layout)
    phase, detail = account["phase"], account["detail"]
    if phase in BUSY and supervisor.state("llm-build") not in ("RUNNING", "STARTING"):
        return "stopped", "the build of llm-service was interrupted; `make up` takes it up again"
    since = duration(time.time() - account["began"])
    words = {
        "checking": "llm-service: asking cargo whether it is up to date",
        "building": f"llm-service is being built, for {since} ({detail}); posts wait as pending and are judged when it arrives",
        "model": f"llm-service: fetching the model, for {since}",
        "starting": f"llm-service is loading its model, for {since}",
        "ready": "",
        "failed": f"llm-service did not come up: {detail} (`make logs P=llm` shows all; `make up` tries again)",
        "absent": "llm-service has not been built yet",
        "unwanted": "no llm-service runs, as llm=0 says; posts wait as pending (`make scale llm=1` brings one)",
    }
    return phase, words.get(phase, detail)


# The background program --------------------------------------------------------------------------------

def background(layout, supervisor):
    """What the program llm-build of supervisor does. Its output is its log."""
    # The stack is in use meanwhile: it comes first.
    os.nice(10)
    try:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), "llm-build begins", flush=True)
        tell(layout, "checking")
        if not build.given():
            _cargo(layout)
        model = _model(layout)
        tell(layout, "starting")
        with layout.lock("the start of llm-service"):
            layout.settings["model"] = model
            layout.save()
            build.take(layout, "llm")
            replicas.apply(layout, supervisor, {"llm": layout.wanted("llm")})
        tell(layout, "ready")
        print(time.strftime("%Y-%m-%d %H:%M:%S"), f"llm-service is ready with {model['LLM_MODEL']}", flush=True)
    except (Trouble, OSError) as fault:
        tell(layout, "failed", str(fault).splitlines()[0])
        raise


def _cargo(layout):
    """Builds llm-service; says how many crates are done as it goes."""
    cargo = packages.cargo()
    environment = build.llm_environment()
    total = _crates(cargo, environment)
    done = 0
    command = [cargo, "build", "--release", "--locked", "-p", "llm-service"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            sys.stdout.write(line)
            sys.stdout.flush()
            word = line.split(maxsplit=1)[0] if line.strip() else ""
            if word in ("Compiling", "Downloading", "Downloaded", "Blocking"):
                done += word == "Compiling"
                tell(layout, "building", "another build holds cargo's folder" if word == "Blocking" else f"crate {done} of at most {total}")
    if process.returncode != 0:
        raise Trouble(f"cargo could not build llm-service (exit code {process.returncode})")


def _crates(cargo, environment):
    """How many crates llm-service is made of, or "?": only for the progress."""
    listed = subprocess.run([cargo, "tree", "--locked", "--offline", "-p", "llm-service", "-e", "normal,build", "--prefix", "none"],
                            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    names = {re.sub(r" \(\*\)$", "", line) for line in listed.stdout.splitlines() if line.strip()}
    return len(names) or "?"


def _model(layout):
    """What llm-service is to load, as its settings: LLM_MODEL if it was given, else the small model, which is
    also what it falls back to when the given one cannot be had."""
    passed = layout.settings.get("passed", {})
    given = passed.get("LLM_MODEL")
    if given and ("LLM_FALLBACK_MODEL" in passed or os.path.isfile(given)):
        return {"LLM_MODEL": given}
    tell(layout, "model")
    try:
        small = _fetch()
    except Trouble as fault:
        if not given:
            raise
        print(f"no small model to fall back to: {fault}", flush=True)
        return {"LLM_MODEL": given}
    return {"LLM_MODEL": given, "LLM_FALLBACK_MODEL": small} if given else {"LLM_MODEL": small}


def _fetch():
    fetch = NATIVE / "fetch-model"
    if not fetch.exists():
        raise Trouble(f"{fetch} is not there, and LLM_MODEL is not set")
    with subprocess.Popen([str(fetch)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        path = process.stdout.read().strip()
    if process.returncode != 0 or not path:
        raise Trouble("the small model could not be fetched; set LLM_MODEL to the path of a GGUF file, or see the log")
    return path


def model_that_answers(layout, running):
    """The name of the model that a ready llm-service says it has, or None."""
    for name in running:
        status, body = replicas.get(layout.replica_port(name))
        if status == 200:
            try:
                return json.loads(body).get("model")
            except (ValueError, AttributeError):
                return None
    return None


# Those who wait ----------------------------------------------------------------------------------------

def launch(layout, supervisor):
    """Starts the background program unless it is at work, or nobody wants what it makes."""
    if not layout.wanted("llm") and not replicas.running(supervisor, "llm"):
        tell(layout, "unwanted")
        return
    if supervisor.state("llm-build") not in ("RUNNING", "STARTING"):
        tell(layout, "checking")
        supervisor.start(["llm-build"])


def wait(layout, supervisor, patient):
    """Waits while it is quick, or to the end if `patient`. Returns the last phase."""
    began, said = time.monotonic(), ""
    next_word = 0
    while True:
        phase, words = describe(layout, supervisor)
        passed = time.monotonic() - began
        if phase not in BUSY:
            if patient and phase != "ready":
                raise Trouble(f"{words}\n{supervisor.tail('llm-build')}")
            return phase
        if not patient and (phase not in QUICK or passed > 12):
            return phase
        if patient and passed >= next_word and words != said:
            note(words)
            said, next_word = words, passed + 15
        time.sleep(0.1)

