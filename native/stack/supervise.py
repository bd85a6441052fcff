"""Supervisor, over its unix socket: start, stop and ask. What runs and how many is decided elsewhere.

supervisorctl does the same, but each call of it takes a quarter of a second.
"""

import http.client
import os
import socket
import subprocess
import time
import xmlrpc.client

from . import packages, processes, render
from .database import FOREIGN
from .say import Trouble

# Names of the states in supervisor's own answers.
UP = ("RUNNING", "STARTING", "BACKOFF")
DOWN = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
# Faults that mean "it is so already".
ALREADY_STARTED, NOT_RUNNING, BAD_NAME = 60, 70, 10


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        return _Connection(self.path)


class Supervisor:
    def __init__(self, layout):
        self.layout = layout
        proxy = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=_Transport(str(layout.socket)))
        self.rpc = proxy.supervisor

    # The daemon itself -------------------------------------------------------------------------------

    def pid(self):
        """The supervisor's process id, or None when it does not run."""
        try:
            return self.rpc.getPID()
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return None

    def launch(self):
        """Starts supervisord, which starts nothing by itself."""
        # Settings of the programs come from its configuration only: what it inherited would outlast the
        # terminal it was typed in.
        environment = {name: value for name, value in os.environ.items()
                       if name not in render.passed_settings() and name not in FOREIGN}
        environment["PATH"] = packages.PATH
        done = subprocess.run([packages.find("supervisord"), "-c", str(self.layout.conf / "supervisord.conf")],
                              env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, start_new_session=True)
        until = time.monotonic() + 15
        while done.returncode == 0 and time.monotonic() < until:
            if self.pid():
                return
            time.sleep(0.02)
        raise Trouble(f"supervisor did not start:\n{done.stdout.strip()}\n{self.tail('supervisord')}")

    def shutdown(self):
        pid = self.pid()
        if not pid:
            return
        self.rpc.shutdown()
        until = time.monotonic() + 120
        while processes.alive(pid):
            if time.monotonic() > until:
                raise Trouble(f"supervisor (pid {pid}) did not end within 120 s; see {self.layout.logs}/supervisord.log.")
            time.sleep(0.05)

    # Programs ----------------------------------------------------------------------------------------

    def programs(self):
        """name → supervisor's account of it: statename, pid, start, now, spawnerr, …"""
        return {info["name"]: info for info in self.rpc.getAllProcessInfo()}

    def state(self, name):
        return self.programs().get(name, {"statename": "ABSENT", "pid": 0})["statename"]

    def sync(self):
        """Reads the configuration again. New programs become known; returns the changed and the removed ones,
        which go on as they are until `renew` or `forget`."""
        added, changed, removed = self.rpc.reloadConfig()[0]
        for name in added:
            self.rpc.addProcessGroup(name)
        return changed, removed

    def renew(self, names):
        """Stops programs and takes over their changed configuration. They are left stopped."""
        self.stop(names)
        for name in names:
            self.rpc.removeProcessGroup(name)
            self.rpc.addProcessGroup(name)

    def forget(self, names):
        """Stops programs that are no longer in the configuration."""
        self.stop(names)
        for name in names:
            self._unless(BAD_NAME, self.rpc.removeProcessGroup, name)

    def start(self, names):
        """Asks for the start of programs and returns at once."""
        for name in names:
            self._unless(ALREADY_STARTED, self.rpc.startProcess, name, False)

    def signal(self, name, which):
        """Sends a signal to a program, if it runs."""
        self._unless(NOT_RUNNING, self.rpc.signalProcess, name, which)

    def stop(self, names):
        """Stops programs together and returns when all have ended. Each has the time its stopwaitsecs gives it."""
        names = list(names)
        for name in names:
            try:
                self.rpc.stopProcess(name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode not in (NOT_RUNNING, BAD_NAME):
                    raise
        until = time.monotonic() + 120
        while True:
            programs = self.programs()
            left = [name for name in names if name in programs and programs[name]["statename"] not in DOWN]
            if not left:
                return
            if time.monotonic() > until:
                raise Trouble(f"{', '.join(left)} did not stop within 120 s; see {self.layout.logs}.")
            time.sleep(0.03)

    def _unless(self, code, call, *arguments):
        try:
            call(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != code:
                raise

    def tail(self, name, lines=15):
        """The end of a program's log, for a message about its fault."""
        path = self.layout.logs / f"{name}.log"
        try:
            with open(path, "rb") as log:
                log.seek(max(0, path.stat().st_size - 16384))
                last = log.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            last = []
        return f"the end of {path}:\n" + "\n".join(f"    {line[:400]}" for line in last)

    def wait(self, checks, seconds, patience=8):
        """Waits until each program answers. `checks` is name → a function that says whether it does.

        A program that keeps ending is given up after `patience` seconds rather than at the limit.
        """
        began = time.monotonic()
        waiting = dict(checks)
        asked = 0
        while True:
            waiting = {name: check for name, check in waiting.items() if not check()}
            if not waiting:
                return
            passed = time.monotonic() - began
            programs = self.programs()
            for name in waiting:
                state = programs.get(name, {}).get("statename", "ABSENT")
                if state in ("FATAL", "ABSENT", "STOPPED") or (state in ("BACKOFF", "EXITED") and passed > patience):
                    raise Trouble(f"{name} does not stay up ({state.lower()}); {self.tail(name)}")
            if passed > seconds:
                name = next(iter(waiting))
                raise Trouble(f"{', '.join(waiting)} did not become ready within {seconds} s; {self.tail(name)}")
            asked += 1
            time.sleep(0.03 if asked < 50 else 0.2)
