"""The collector that the end-to-end test sends traces to: rotel, which its makers publish on PyPI as a program for
Debian 12's Python. It is no part of the stack."""

import hashlib
import os
import platform
import socket
import subprocess
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

from . import packages
from .layout import NATIVE
from .say import Trouble

VERSION = "0.0.1a15"
SHA256 = "182f2a4ad68346bb1ca3bb87b8d52c80595f89aa9751dc8d80f0feb9ca18ca5d"
MEMBER = "rotel/rotel-agent"


def fetch(tools):
    """The path of the program, or None if it cannot be had here. Installed once into the folder of tools."""
    program = tools / f"rotel-{VERSION}" / "rotel-agent"
    if program.exists():
        return program
    python = packages.find("pip")
    if platform.machine() != "x86_64" or not python:
        return None
    folder = program.parent
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever Python pip itself runs on, the program is linked to Debian's.
    command = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11",
               "--implementation", "cp", "--abi", "cp311", "--platform", "manylinux_2_34_x86_64", "--dest", str(folder),
               f"rotel=={VERSION}"]
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode != 0:
        return None
    wheel = next(folder.glob("rotel-*.whl"))
    with zipfile.ZipFile(wheel) as content:
        code = content.read(MEMBER)
    found = hashlib.sha256(code).hexdigest()
    if found != SHA256:
        raise Trouble(f"rotel {VERSION} is not what it was: its SHA-256 is {found} and not {SHA256}.")
    wheel.unlink()
    # Renamed into place: a run that is cut short leaves no half of it.
    part = program.with_suffix(".part")
    part.write_bytes(code)
    part.chmod(0o755)
    part.replace(program)
    return program


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(program, spans):
    """Runs the collector, which writes the spans it gets into the file `spans`; gives the address to send them to."""
    http, grpc = _free_ports(2)
    log = Path(spans).with_suffix(".log")
    command = [program, "start", "--exporter", "blackhole", "--otlp-http-endpoint", f"127.0.0.1:{http}",
               "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}",
               "--otlp-with-trace-processor", NATIVE / "e2e" / "collector" / "spans.py"]
    with open(log, "w") as out:
        process = subprocess.Popen([str(word) for word in command], env={**os.environ, "LINNET_SPANS": str(spans)},
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 20
        while not _listens(http):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"the collector rotel does not come up. Its log:\n{log.read_text()}")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{http}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
