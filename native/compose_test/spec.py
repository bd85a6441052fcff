"""compose.yaml against the compose specification's schema, and as Docker Compose itself reads it."""

import json
import os
import re
import subprocess

from stack import packages
from stack.layout import ROOT
from stack.say import Trouble, note, run, step

from .debian import CACHE, Unavailable

CHECKER = "check-jsonschema==0.39.0"
# How people call it: development, production.
WAYS = (["compose.yaml", "compose.override.yaml"], ["compose.yaml"])


# Options of the programs that compose.yaml does not pass on, and why.
KEPT = {
    "API_HOST": "the image listens on all addresses of its container", "WORKER_HOST": "the same", "LLM_HOST": "the same",
    "API_PORT": "every container has its own ports", "WORKER_PORT": "the same", "LLM_PORT": "the same",
    "REDIS_HOST": "REDIS_URL has it", "REDIS_PORT": "the same",
    "OTEL_SERVICE_NAME": "one name would be that of all three programs",
    "LLM_CALIBRATION_DIR": "the image has it in a volume",
}
SERVICES = {"api": "api", "worker": "worker", "llm-service": "llm"}


def check(compose):
    """What Docker Compose, which is this command, makes of the files in each way that people call it."""
    step("compose.yaml as Docker Compose reads it")
    for files in WAYS:
        services = read(compose, files)["services"]
        wrong = [*_built_twice(services), *_not_passed(services)]
        if wrong:
            raise Trouble("\n".join(wrong))
        note(f"{' and '.join(files)}: read without a warning; every option of the programs can be set")


def _built_twice(services):
    # Two builds of one name run beside each other, and the second one's image cannot be given a name that is there already.
    builders = {}
    for name, service in services.items():
        if service.get("build"):
            builders.setdefault(service.get("image"), []).append(name)
    yield from (f"{' and '.join(names)} build the same image {image}; one of them is enough."
                for image, names in builders.items() if len(names) > 1)


def _not_passed(services):
    """Each option in README's tables reaches its container, by its name or as the name of a file."""
    text = (ROOT / "README.md").read_text()
    for program, service in SERVICES.items():
        table = re.search(rf"<!-- options of {program} -->\n(.*?)<!-- end -->", text, re.S)
        names = re.findall(r"^\| `([A-Z][A-Z0-9_]+)`", table[1] if table else "", re.M)
        if not names:
            yield f"README.md has no table of the options of {program}."
        given = services[service].get("environment", {})
        yield from (f"compose.yaml does not pass {name} on to {service}, and native/compose_test/spec.py gives no reason."
                    for name in names if name not in given and f"{name}_FILE" not in given and name not in KEPT)


def schema():
    step("compose.yaml against the compose specification")
    folder = CACHE / CHECKER.replace("==", "-")
    if not (folder / "check_jsonschema").exists():
        python = packages.find("pip")
        if not python:
            raise Trouble("pip is missing, which brings the checker: apt-get install -y python3-pip")
        try:
            run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--target", str(folder), CHECKER],
                f"installing {CHECKER}")
        except Trouble as fault:
            raise Unavailable(str(fault))
        # Compiled parts fit the interpreter that installed them.
        (folder / "python").write_text(run([python, "-c", "import sys; print(sys.executable)"], "asking Python").strip())
    python = (folder / "python").read_text()
    run([python, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         *(str(ROOT / file) for file in WAYS[0])],
        "the check against the compose specification", env={**os.environ, "PYTHONPATH": str(folder)})


def read(compose, files):
    """What Docker Compose makes of these files with nothing set. Not a word of a warning."""
    words = [word for file in files for word in ("--file", str(ROOT / file))]
    plain = {"PATH": packages.PATH, "HOME": os.path.expanduser("~")}
    done = subprocess.run([*compose, *words, "--profile", "*", "config", "--format", "json"], cwd="/", env=plain,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0 or "level=warning" in done.stderr:
        raise Trouble(f"Docker Compose does not take {' and '.join(files)}:\n{done.stderr.strip()}")
    return json.loads(done.stdout)
