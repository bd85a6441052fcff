"""A PostgreSQL, a Redis, an API and a worker of our own, with the settings of the native stack, and what they cost."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .say import ROOT, cache

TICKS = os.sysconf("SC_CLK_TCK")
SECRET = "q8Zt1vXw93LkYb7Rj2Nf5Hs0Pd6Gm4Ca"
POSTGRES = {"shared_buffers": "1GB", "effective_cache_size": "4GB", "work_mem": "8MB", "max_wal_size": "2GB",
            "random_page_cost": "1.1", "jit": "off", "max_connections": "100", "unix_socket_directories": ""}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name, given):
    target = Path(os.environ.get("CARGO_TARGET_DIR") or cache() / "target")
    path = Path(given) / name if given else target / "server" / name
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is not there: cargo build --profile server -p api -p worker")
    return path


def seconds_of(pid):
    """CPU seconds of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


class Stack:
    """All four; `with` ends them and removes what they wrote."""

    def __init__(self, binaries=None, env=None):
        self.folder = Path(tempfile.mkdtemp(prefix="linnet-bench-"))
        self.binaries, self.env, self.running = binaries, env or {}, {}
        self.ports = {name: free_port() for name in ("postgres", "redis", "api", "worker")}
        self.url = f"postgres://postgres@127.0.0.1:{self.ports['postgres']}/linnet"

    def __enter__(self):
        try:
            self.postgres()
            self.start("redis", ["redis-server", "--port", str(self.ports["redis"]), "--bind", "127.0.0.1", "--save", "",
                                 "--maxmemory", "256mb", "--maxmemory-policy", "volatile-ttl", "--dir", str(self.folder)])
            subprocess.run([program("api", self.binaries), "migrate"], check=True, stdout=subprocess.DEVNULL,
                           env={**os.environ, "DATABASE_URL": self.url, "LOG_LEVEL": "warn"})
            self.serve("api", ["serve"], API_PORT=str(self.ports["api"]), JWT_SECRET=SECRET, RATE_LIMITER="false",
                       API_WORKERS="2", **self.env)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.running.values()):
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, env=None):
        log = open(self.folder / f"{name}.log", "ab")
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", self.ports[name])):
            if self.running[name].poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{name} does not start:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def serve(self, name, words, **env):
        # The language model is away, and posts wait for their verdicts.
        env = {**os.environ, "DATABASE_URL": self.url, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.ports["redis"]),
               "LLM_URL": "http://127.0.0.1:1", "LOG_LEVEL": "error", **env}
        self.start(name, [program(name, self.binaries), *words], env)

    def worker(self, **env):
        self.serve("worker", [], WORKER_PORT=str(self.ports["worker"]), **env)

    def end(self, name):
        process = self.running.pop(name)
        process.terminate()
        process.wait()

    def postgres(self):
        home = max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)) / "bin"
        # PostgreSQL refuses to run as root.
        user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        if user:
            shutil.chown(self.folder, "postgres")
        data = str(self.folder / "postgres")
        subprocess.run([*user, home / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
                       check=True, stdout=subprocess.DEVNULL)
        settings = [word for name, value in POSTGRES.items() for word in ("-c", f"{name}={value}")]
        self.start("postgres", [*user, home / "postgres", "-D", data, "-p", str(self.ports["postgres"]),
                                "-c", "listen_addresses=127.0.0.1", *settings])
        deadline = time.monotonic() + 30
        create = ["psql", "-q", "-h", "127.0.0.1", "-p", str(self.ports["postgres"]), "-U", "postgres", "-c", "CREATE DATABASE linnet"]
        while subprocess.run(create, stderr=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline:
                sys.exit("PostgreSQL does not answer")
            time.sleep(0.1)

    def sql(self, text):
        done = subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", self.url], input=text, text=True,
                              stdout=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"psql failed at:\n{text[:500]}")
        return done.stdout.strip()

    def redis(self, *words, **more):
        done = subprocess.run(["redis-cli", "-p", str(self.ports["redis"]), *map(str, words)], stdout=subprocess.PIPE,
                              text=True, check=True, **more)
        return done.stdout.strip()

    def cpu(self):
        """CPU seconds so far, by program; PostgreSQL with all its processes."""
        spent = {name: seconds_of(process.pid) for name, process in self.running.items()}
        parent = self.running["postgres"].pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        spent["postgres"] += sum(map(seconds_of, children))
        return spent

    def call(self, method, path, body=None, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["api"], timeout=60)
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            sys.exit(f"{method} {path} answered {answer.status} {text[:500]}")
        return answer, json.loads(text or b"null")

    def join(self, name):
        """A new account: its number and a token."""
        account = {"username": name, "password": "a long enough password"}
        number = self.call("POST", "/api/user/signup", account)[1]["User created"][0]["id"]
        cookie = self.call("POST", "/api/auth/login", account)[0].getheader("set-cookie")
        return number, re.match(r"jwt=([^;]+)", cookie)[1]

    def metrics(self):
        """The worker's metrics by their names with labels."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["worker"], timeout=10)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def quantile(before, after, name, q):
    """A quantile of what a histogram has gained, in seconds, read off between its bounds."""
    bounds = []
    for key, count in after.items():
        found = re.fullmatch(re.escape(name) + r'_bucket\{le="(.+)"\}', key)
        if found:
            bounds.append((float(found[1].replace("+Inf", "inf")), count - before.get(key, 0)))
    bounds.sort()
    wanted, last_bound, last_count = q * bounds[-1][1], 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted and count > last_count:
            return last_bound if bound == float("inf") else last_bound + (bound - last_bound) * (wanted - last_count) / (count - last_count)
        last_bound, last_count = bound, count
    return last_bound
