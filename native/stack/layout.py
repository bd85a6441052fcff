"""Where everything is: the ports, the data folder, the settings and secrets kept in it.

Nothing here starts or changes a process.
"""

import fcntl
import hashlib
import json
import os
import pwd
import re
import resource
import secrets
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from .say import Trouble, note

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "native"
DEFAULT_PORT = 8080

# Each kind of replica: the distance of its first port from the public one, and what a fresh stack runs.
KINDS = {"api": (10, 2), "worker": (30, 1), "llm": (50, 1)}
POOL = 16
# What watches the stack, between the ranges of the replicas.
WATCHERS = {"alertmanager": 6, "node-exporter": 7, "redis-exporter": 8, "postgres-exporter": 9, "nginx-exporter": 26,
            "grafana": 27}
# Each with its length in bytes.
SECRETS = {"jwt": 32, "superuser": 16, "owner": 16, "app": 16, "redis": 16, "monitor": 16, "redis_monitor": 16, "grafana": 16}
BINARIES = {"api": "api", "worker": "worker", "llm": "llm-service"}


def write_atomically(path, text, mode=0o600):
    """Writes a file so that a reader sees the old or the new content, never a part. True if it changed."""
    path = Path(path)
    try:
        if path.read_text() == text and (path.stat().st_mode & 0o777) == mode:
            return False
    except FileNotFoundError:
        pass
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as out:
        out.write(text)
    # The mode given to open() is cut by the umask.
    os.chmod(temporary, mode)
    os.rename(temporary, path)
    return True


def reaches(user, path):
    """Whether this user may pass through every folder down to `path`. Only root can ask."""
    account = pwd.getpwnam(user)
    return subprocess.run(["/usr/bin/test", "-x", str(path)], cwd="/", user=account.pw_uid, group=account.pw_gid,
                          extra_groups=os.getgrouplist(user, account.pw_gid)).returncode == 0


def check_port(value):
    if not re.fullmatch(r"[0-9]{1,5}", str(value)) or not 1024 <= int(value) <= 65470:
        raise Trouble(f"PORT={value} cannot be used: it must be a number from 1024 to 65470 "
                      "(the stack's other ports are the 65 after it).")
    return int(value)


class Layout:
    """One stack: its data folder and all that follows from it and from the public port."""

    def __init__(self):
        self.data = Path(os.path.abspath(os.environ.get("LINNET_DATA") or ROOT / ".linnet"))
        if not re.fullmatch(r"[A-Za-z0-9._/+@-]+", str(self.data)):
            raise Trouble(f"the data folder {self.data} has a character in its path that the configuration files "
                          "of nginx or supervisor cannot carry. Set LINNET_DATA to a path of letters, digits and ._/+@-")
        self.is_root = os.geteuid() == 0
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.tag = hashlib.sha256(str(self.data).encode()).hexdigest()[:8]
        self.logs = self.data / "logs"
        self.conf = self.data / "conf"
        self.bin = self.data / "bin"
        self.upstreams = self.data / "upstreams"
        self.targets = self.data / "targets"
        self.settings_file = self.data / "settings.json"
        # The kernel takes 107 bytes for a socket's path, and supervisor first binds a longer, temporary name.
        self.run = self.data / "run"
        if len(str(self.run / "supervisor.sock.1234567")) > 107:
            self.run = Path(f"/tmp/linnet-{os.geteuid()}-{self.tag}")
        self.socket = self.run / "supervisor.sock"
        self.settings = self._load()
        self.port = self.settings.get("port", DEFAULT_PORT)

    # Ports ------------------------------------------------------------------------------------------

    @property
    def internal_port(self):
        return self.port + 1

    @property
    def prometheus_port(self):
        return self.port + 2

    @property
    def postgres_port(self):
        return self.port + 3

    @property
    def redis_port(self):
        return self.port + 4

    @property
    def status_port(self):
        return self.port + 5

    def replica_port(self, name):
        kind, number = name.split("-")
        return self.port + KINDS[kind][0] + int(number)

    def fixed_ports(self):
        """Every port that is not a replica's: port → what wants it."""
        return {
            self.port: "nginx, the public address",
            self.internal_port: "nginx, the internal address of llm-service",
            self.prometheus_port: "Prometheus",
            self.postgres_port: "PostgreSQL",
            self.redis_port: "Redis",
            self.status_port: "nginx, its status page",
            **{self.port + distance: name for name, distance in WATCHERS.items()},
        }

    # Addresses --------------------------------------------------------------------------------------

    @property
    def public_url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def llm_url(self):
        return f"http://127.0.0.1:{self.internal_port}"

    def database_url(self, role, name="linnet"):
        return f"postgres://linnet_{role}:{self.secrets()[role]}@127.0.0.1:{self.postgres_port}/{name}?sslmode=disable"

    @property
    def redis_url(self):
        return f"redis://:{self.secrets()['redis']}@127.0.0.1:{self.redis_port}/0"

    # Settings and secrets ---------------------------------------------------------------------------

    def _load(self):
        try:
            return json.loads(self.settings_file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as fault:
            raise Trouble(f"{self.settings_file} cannot be read ({fault}). Without it this folder is not known to "
                          "be Linnet's; restore it, or set LINNET_DATA to another folder.")

    def reload(self):
        """Takes over what another command has saved since; call it when the lock is held."""
        self.settings = self._load()
        self.port = self.settings.get("port", DEFAULT_PORT)

    def save(self):
        self.settings["port"] = self.port
        write_atomically(self.settings_file, json.dumps(self.settings, indent=1) + "\n")

    def wanted(self, kind):
        return self.settings.get("replicas", {}).get(kind, KINDS[kind][1])

    def want(self, counts):
        self.settings.setdefault("replicas", {}).update(counts)

    def secrets(self):
        """Made once and kept for the life of the data folder; `make rotate` alone changes one. Hexadecimal, so that nothing
        has to be quoted."""
        path = self.data / "secrets.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        # A data folder that an earlier version has made lacks what came later.
        made = {who: secrets.token_hex(length) for who, length in SECRETS.items() if who not in kept}
        if made:
            kept.update(made)
            self.keep_secrets(kept)
        return kept

    def keep_secrets(self, changed):
        write_atomically(self.data / "secrets.json", json.dumps(changed, indent=1) + "\n")

    # Folders ----------------------------------------------------------------------------------------

    @property
    def exists(self):
        return self.settings_file.exists()

    def create(self):
        """Makes the folders. As root some can be passed through but not listed: PostgreSQL and nginx's workers,
        which open their logs again after a rotation, run as other users."""
        passable = 0o711 if self.is_root else 0o700
        for folder, mode in [(self.data, passable), (self.run, 0o700), (self.logs, passable), (self.conf, 0o700),
                             (self.bin, 0o700), (self.upstreams, 0o700), (self.targets, 0o700),
                             (self.data / "redis", 0o700), (self.data / "prometheus", 0o700),
                             (self.data / "alertmanager", 0o700), (self.data / "grafana", 0o700),
                             (self.data / "nginx", passable)]:
            folder.mkdir(exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise Trouble(f"{folder} belongs to another user. Remove it, or set LINNET_DATA to a folder of your own.")
            os.chmod(folder, mode)
        if "postgres" not in self.settings:
            self.settings["postgres"] = str(self._place_postgres())
        self.save()
        self.secrets()

    @property
    def postgres_data(self):
        return Path(self.settings["postgres"])

    @property
    def postgres_user(self):
        # PostgreSQL refuses to run as root.
        return "postgres" if self.is_root else self.user

    @property
    def nginx_user(self):
        """Whom nginx's workers become when its master is root: Debian's account for it, unless that cannot get here."""
        return "www-data" if reaches("www-data", self.data) else "root"

    def _place_postgres(self):
        if not self.is_root or reaches("postgres", self.data):
            return self.data / "postgres"
        place = Path(f"/var/lib/linnet/{self.tag}/postgres")
        note(f"the user postgres cannot get to {self.data}; the database goes to {place}")
        return place

    @property
    def nofile(self):
        """As many open files as nginx asks for, or as the machine allows."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return 16384 if hard == resource.RLIM_INFINITY else min(16384, hard)

    @contextmanager
    def lock(self, what):
        """One command at a time changes a stack."""
        try:
            self.data.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise Trouble(f"the data folder {self.data} cannot be made ({fault.strerror}). Set LINNET_DATA to a folder "
                          "that this user may write in.")
        if not self.exists and any(entry.name != "lock" for entry in self.data.iterdir()):
            raise Trouble(f"{self.data} is not empty and was not made by Linnet. Set LINNET_DATA to an empty or new folder.")
        with open(self.data / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                note(f"waiting for another command on this stack to end: {file.read().strip()}")
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            file.truncate()
            file.write(f"{what}, pid {os.getpid()}, since {time.strftime('%H:%M:%S')}\n")
            file.flush()
            self.reload()
            try:
                yield
            finally:
                file.truncate(0)
