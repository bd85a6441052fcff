"""podman, driven so that nothing of the machine is touched: its storage is in a folder of its own, and it runs in mount, network
and process namespaces that end with the test, and with them every container, bridge and firewall rule.
"""

import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from stack import packages
from stack.say import Trouble, run

from .debian import Unavailable

# As in stack/packages.py: program → Debian package.
PACKAGES = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "iptables": "iptables", "ip": "iproute2",
            "unshare": "util-linux", "/usr/lib/podman/netavark": "netavark", "/usr/lib/podman/aardvark-dns": "aardvark-dns"}
HEALTH_SECONDS = 1


def ensure():
    """Installs what is missing, or raises Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("podman is driven as root here, for networks between containers")
    if not shutil.which("apt-get"):
        raise Unavailable("there is no apt-get, which brings podman")
    try:
        packages.ensure(PACKAGES)
    except Trouble as fault:
        raise Unavailable(str(fault))


def enter(words):
    """Runs this program again with these arguments in namespaces of its own; returns its exit status."""
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise


class Engine:
    """podman and its service, which speaks Docker's protocol. To be used inside of `enter`."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = folder / "podman.sock"
        self.environment = {
            "PATH": packages.PATH, "HOME": str(folder), "TMPDIR": str(folder / "tmp"), "LC_ALL": "C.UTF-8",
            "CONTAINERS_CONF": str(folder / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            # There is no systemd whose timers could ask for health: `Health` does.
            "DISABLE_HC_SYSTEMD": "true",
        }
        self.service = None

    def __enter__(self):
        run(["ip", "link", "set", "lo", "up"], "the loopback interface")
        # What netavark keeps there belongs to these namespaces only.
        os.makedirs("/run/containers", exist_ok=True)
        run(["mount", "-t", "tmpfs", "tmpfs", "/run/containers"], "a /run/containers of its own")
        for name in ("tmp", "networks", "static", "volumes"):
            (self.folder / name).mkdir(exist_ok=True)
        # Where a container is given any limit podman adds one on processes, by default more than may be allowed here.
        processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        limit = 1048576 if processes == resource.RLIM_INFINITY else processes
        (self.folder / "containers.conf").write_text(f"""
[containers]
log_driver = "k8s-file"
default_ulimits = ["nproc={limit}:{limit}"]
[network]
network_backend = "netavark"
network_config_dir = "{self.folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
static_dir = "{self.folder}/static"
tmp_dir = "{self.folder}/libpod"
volume_path = "{self.folder}/volumes"
""")
        (self.folder / "storage.conf").write_text(f"""
[storage]
driver = "overlay"
graphroot = "{self.folder}/storage"
runroot = "{self.folder}/run"
""")
        with open(self.folder / "podman.log", "w") as log:
            self.service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{self.socket}"],
                                            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            if self.service.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"podman's service does not run here:\n{(self.folder / 'podman.log').read_text()[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        if self.service:
            self.service.terminate()
            self.service.wait()

    def _answers(self):
        try:
            return self.ask("GET", "/libpod/_ping")[0] == 200
        except OSError:
            return False

    def podman(self, *arguments, shown=False):
        """Runs a podman command; what it wrote."""
        if shown:
            if subprocess.run(["podman", *arguments], env=self.environment, stdin=subprocess.DEVNULL).returncode != 0:
                raise Trouble(f"`podman {arguments[0]}` failed; its own words are above.")
            return ""
        return run(["podman", *arguments], f"`podman {' '.join(arguments[:2])}`", env=self.environment, stdin=subprocess.DEVNULL)

    def ask(self, method, path):
        """(status, JSON or None) of podman's own interface."""
        connection = http.client.HTTPConnection("podman", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(60)
        try:
            connection.sock.connect(str(self.socket))
            connection.request(method, f"/v4.0.0{path}" if path.startswith("/libpod/") else path)
            answer = connection.getresponse()
            body = answer.read()
            try:
                return answer.status, json.loads(body)
            except ValueError:
                return answer.status, None
        except http.client.HTTPException as fault:
            raise OSError(str(fault))
        finally:
            connection.close()

    def containers(self, everything=True):
        """What podman says of its containers."""
        return self.ask("GET", f"/libpod/containers/json?all={str(everything).lower()}")[1] or []

    def inspect(self, name):
        return self.ask("GET", f"/libpod/containers/{urllib.parse.quote(name)}/json")[1] or {}


class Health:
    """Asks containers for their health again and again, as an engine with timers would."""

    def __init__(self, engine):
        self.engine = engine
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.checked = {}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    def _run(self):
        while not self.stopped.wait(HEALTH_SECONDS):
            try:
                for container in self.engine.containers(everything=False):
                    identity = container["Id"]
                    if identity not in self.checked:
                        about = self.engine.inspect(identity).get("Config", {})
                        self.checked[identity] = bool((about.get("Healthcheck") or {}).get("Test"))
                    if self.checked[identity] and not self.stopped.is_set():
                        self.engine.ask("GET", f"/libpod/containers/{identity}/healthcheck")
            except (OSError, ValueError, KeyError):
                # A container that has just ended; the next round sees the others.
                continue
