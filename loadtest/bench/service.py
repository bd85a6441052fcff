"""An llm-service of our own, and callers that post to it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .say import ROOT, cache


def binary(given):
    """The llm-service to measure."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or cache() / "target") / "llm"
    path = Path(given) if given else target / "release" / "llm-service"
    if not os.access(path, os.X_OK):
        sys.exit(f"llm-bench: {path} is not there. `make up` builds it, or by hand: RUSTFLAGS=\"-C target-cpu=native\" "
                 f"cargo build --release -p llm-service --target-dir {target}")
    return path


def model():
    if os.environ.get("LLM_MODEL"):
        return os.environ["LLM_MODEL"]
    fetched = subprocess.run([ROOT / "native" / "fetch-model"], stdout=subprocess.PIPE, text=True)
    return fetched.stdout.strip() if fetched.returncode == 0 else sys.exit("llm-bench: there is no model to measure")


class Service:
    """An llm-service of our own."""

    def __init__(self, path, name):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {**os.environ, "LLM_HOST": "127.0.0.1", "LLM_PORT": str(self.port), "LLM_MODEL": name}
        self.log = tempfile.TemporaryFile()
        began = time.monotonic()
        # In a group of its own: Ctrl-C is for this program, which then stops it.
        environment = {"LOG_LEVEL": "warn,llm_service=info", **environment}
        self.process = subprocess.Popen([path], env=environment, stdout=self.log, stderr=self.log, start_new_session=True)
        try:
            self.wait(began)
        except BaseException:
            self.stop()
            raise

    def wait(self, began):
        while (status := self.get("/readyz")[0]) != 200:
            if self.process.poll() is not None:
                sys.exit(f"llm-bench: llm-service ended with {self.process.returncode}:\n{self.said()[-2000:]}")
            if time.monotonic() - began > 600:
                sys.exit(f"llm-bench: llm-service is not ready after 10 minutes (/readyz answers {status}):\n"
                         f"{self.said()[-2000:]}")
            time.sleep(0.02)
        self.ready_seconds = time.monotonic() - began
        self.calibrated = "this is done once" in self.said()

    def said(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def get(self, path):
        """The status and the text of the answer; status 0 when there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def series(self):
        """What its metrics say now, and when that was."""
        status, text = self.get("/metrics")
        if status != 200:
            sys.exit(f"llm-bench: llm-service's /metrics answers {status}")
        found = {name: float(value) for name, value in re.findall(r"^(llm_\w+(?:{[^}]*})?) ([\d.e+]+)$", text, re.M)}
        tokens = sum(value for name, value in found.items() if name.startswith("llm_tokens_total{"))
        return {"at": time.monotonic(), "tokens": tokens,
                "texts": found["llm_batch_size_sum"], "passes": found["llm_batch_size_count"]}

    def resident(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        sys.exit("llm-bench: llm-service is gone")

    def stop(self):
        """Ends it, by its own number."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Callers:
    """Threads that post one text after the other and note how it went."""

    def __init__(self, service, count, take):
        self.service, self.take, self.lock, self.stopped = service, take, threading.Lock(), False
        # (when it was answered, seconds, tokens, dangerous); (when, what went wrong)
        self.answers, self.faults = [], []
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=150)
        while not self.stopped and (text := self.take()) is not None:
            began = time.monotonic()
            try:
                body = json.dumps({"texts": [text]})
                connection.request("POST", "/v1/analyze", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                body, status = answer.read(), answer.status
                verdict = json.loads(body)["verdicts"][0] if status == 200 else None
            except (OSError, http.client.HTTPException, ValueError) as fault:
                connection.close()
                verdict, status = None, str(fault) or type(fault).__name__
            now = time.monotonic()
            with self.lock:
                if verdict:
                    self.answers.append((now, now - began, verdict["tokens"], verdict["safety"] != "ok"))
                else:
                    self.faults.append((now, status))
            if not verdict:
                time.sleep(0.2)

    def join(self):
        for thread in self.threads:
            thread.join()

    def stop(self):
        self.stopped = True
        self.join()
