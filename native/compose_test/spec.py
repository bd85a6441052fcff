"""compose.yaml against the compose specification's schema, and as Docker Compose itself reads it."""

import os
import subprocess

from stack import packages
from stack.layout import ROOT
from stack.say import Trouble, note, run, step

from .debian import CACHE

CHECKER = "check-jsonschema==0.39.0"
# How people call it: development, production.
WAYS = (["compose.yaml", "compose.override.yaml"], ["compose.yaml"])


def check(compose):
    """What Docker Compose, which is this command, makes of the files in each way that people call it."""
    step("compose.yaml as Docker Compose reads it")
    for files in WAYS:
        read(compose, files)


def schema():
    step("compose.yaml against the compose specification")
    folder = CACHE / CHECKER.replace("==", "-")
    if not (folder / "check_jsonschema").exists():
        python = packages.find("pip")
        if not python:
            raise Trouble("pip is missing, which brings the checker: apt-get install -y python3-pip")
        run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", str(folder), CHECKER],
            f"installing {CHECKER}")
        # Compiled parts fit the interpreter that installed them.
        (folder / "python").write_text(run([python, "-c", "import sys; print(sys.executable)"], "asking Python").strip())
    python = (folder / "python").read_text()
    run([python, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         *(str(ROOT / file) for file in WAYS[0])],
        "the check against the compose specification", env={**os.environ, "PYTHONPATH": str(folder)})


def read(compose, files):
    """What Docker Compose makes of these files with nothing set."""
    words = [word for file in files for word in ("--file", str(ROOT / file))]
    plain = {"PATH": packages.PATH, "HOME": os.path.expanduser("~")}
    done = subprocess.run([*compose, *words, "--profile", "*", "config", "--quiet"], cwd="/", env=plain, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or "level=warning" in done.stdout:
        raise Trouble(f"Docker Compose does not take {' and '.join(files)}:\n{done.stdout.strip()}")
    note(f"{' and '.join(files)}: read without a warning")
