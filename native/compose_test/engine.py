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
ENTER = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
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
    # A container without CAP_SYS_ADMIN has the programs and still may not.
    probe = subprocess.run([*ENTER, "true"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
    if probe.returncode != 0:
        raise Unavailable(f"no namespaces may be made here, which podman needs (CAP_SYS_ADMIN): {probe.stdout.strip()}")


def limits():
    """The most open files and processes that a container may be given here. podman by itself gives 1048576 of each that it is
    not told of, which who may not raise limits cannot have."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    hard = {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}
    return {name: 1048576 if limit == resource.RLIM_INFINITY else min(limit, 1048576) for name, limit in hard.items()}


def enter(words):
    """Runs this program again with these arguments in namespaces of its own; returns its exit status."""
    process = subprocess.Popen([*ENTER, sys.executable, *words], stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise


class Nobody:
    """A name server that knows no name, for the names that the networks' own do not know.

    podman gives a container one name server for each of its networks, and each knows that network alone. Without a way out of
    these namespaces it would stay silent about any other name, and five seconds pass before the next one is asked. “Server
    failure” has it asked at once, as Docker's, which is one for all networks, answers at once.
    """

    ADDRESS = "127.0.0.53"

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ADDRESS, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            question, asker = self.socket.recvfrom(512)
            if len(question) >= 12:
                # The question again, as an answer (0x80 in its flags) with the code 2.
                self.socket.sendto(question[:2] + bytes([question[2] | 0x80, 0x82]) + question[4:], asker)


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
        try:
            run(["ip", "link", "set", "lo", "up"], "the loopback interface")
            # What netavark keeps there belongs to these namespaces only.
            os.makedirs("/run/containers", exist_ok=True)
            run(["mount", "-t", "tmpfs", "tmpfs", "/run/containers"], "a /run/containers of its own")
            (self.folder / "resolv.conf").write_text(f"nameserver {Nobody.ADDRESS}\n")
            run(["mount", "--bind", str(self.folder / "resolv.conf"), "/etc/resolv.conf"], "a resolv.conf of its own")
            Nobody()
        except (Trouble, OSError) as fault:
            raise Unavailable(f"podman cannot be given what it needs here: {fault}")
        for name in ("tmp", "networks", "volumes"):
            (self.folder / name).mkdir(exist_ok=True)
        defaults = ", ".join(f'"{name}={limit}:{limit}"' for name, limit in limits().items())
        # static_dir is what podman makes of graphroot when it is called to clean up after a container that has ended: with
        # another one it would not find the container, which then never counts as ended.
        (self.folder / "containers.conf").write_text(f"""
[containers]
log_driver = "k8s-file"
default_ulimits = [{defaults}]
[network]
network_backend = "netavark"
network_config_dir = "{self.folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
static_dir = "{self.folder}/storage/libpod"
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
