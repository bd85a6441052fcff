"""Two journeys of the stack in containers. In development: up, healthy, sign-up, post, verdict, more and fewer replicas under
traffic, an alert about what is gone, down. In production: secrets of its own, a proxy in front, somebody who is told of alerts.
"""

import http.client
import json
import os
import subprocess
import threading
import time
import urllib.parse
from secrets import token_urlsafe

from stack.layout import NATIVE, ROOT
from stack.say import Trouble, note, run, step

from .engine import limits
from .images import ABSENT

PUBLIC, PROMETHEUS, ALERTMANAGER = ("127.0.0.1", 8080), ("127.0.0.1", 9090), ("127.0.0.1", 9093)
# Every target of prometheus.compose.yml, with two API replicas.
JOBS = {"api": 2, "worker": 1, "llm": 1, "nginx": 1, "redis": 1, "postgres": 1, "node": 1, "prometheus": 1, "alertmanager": 1}
ONE_SHOT = {"provision", "migrate", "small-model", "notice"}
READERS = 4
PERSON = {"username": "ada", "password": "correct horse battery"}


def call(address, method, path, body=None, cookie=None, timeout=30, headers=None):
    """(status, JSON or text, headers) of one request."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        headers = {**(headers or {}), **({"content-type": "application/json"} if body is not None else {})}
        if cookie:
            headers["cookie"] = cookie
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        try:
            return answer.status, json.loads(text), answer.headers
        except ValueError:
            return answer.status, text, answer.headers
    finally:
        connection.close()


def eventually(what, seconds, condition):
    """Waits until `condition` gives something; a Trouble says what it gave last."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            done, last = condition()
            if done:
                return last
        except (OSError, http.client.HTTPException, KeyError, TypeError) as fault:
            last = fault
        time.sleep(0.2)
    raise Trouble(f"{what} did not come about within {seconds} s; last seen: {last}")


class Stack:
    """compose.yaml under an engine, in development, with what has to differ here in one more file."""

    FILES = ("compose.yaml", "compose.override.yaml")

    def __init__(self, engine, compose, folder, model):
        self.engine, self.compose, self.folder, self.model = engine, compose, folder, model
        self.environment = {**engine.environment, "DOCKER_HOST": f"unix://{engine.socket}",
                            "DOCKER_CONFIG": str(folder / "docker"), **self.settings()}
        self.files = [word for file in self.FILES for word in ("--file", str(ROOT / file))]

    def settings(self):
        """What is set in the terminal that calls compose."""
        # What a test does is what limits are there to refuse.
        return {"RATE_LIMITER": "false"}

    def volumes(self):
        """Lines of the file of the differences."""
        # The model is there already: the package registry is out of reach.
        return ["volumes:", "  small-model:", "    driver: local", "    driver_opts:",
                f"      {{ type: none, o: bind, device: {self.model.parent} }}"]

    def prepare(self):
        """Writes the file of what differs: podman 4 knows no start_interval, and this machine may allow fewer open files than
        compose.yaml asks for."""
        config = json.loads(self.call("config", "--format", "json", said=True))
        lines = ["services:"]
        for name, service in sorted(config["services"].items()):
            more = []
            if "start_interval" in service.get("healthcheck", {}):
                more += ["    healthcheck:", "      start_interval: !reset null"]
            if service.get("ulimits"):
                more += ["    ulimits:", *(f"      {limit}: {count}" for limit, count in _allowed(service["ulimits"]).items())]
            if more:
                lines += [f"  {name}:", *more]
        path = self.folder / f"{type(self).__name__.lower()}.yaml"
        path.write_text("\n".join(lines + self.volumes()) + "\n")
        self.files += ["--file", str(path)]
        self.services = sorted(set(config["services"]) - set(ABSENT))

    def travel(self):
        travel(self)

    def call(self, *arguments, said=False):
        """Runs Docker Compose; what it wrote."""
        done = subprocess.run([*self.compose, "--project-directory", str(ROOT), *self.files, *arguments], cwd=ROOT,
                              env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE if said else subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Trouble(f"`docker compose {' '.join(arguments[:3])} …` failed (exit code {done.returncode}):\n"
                          f"{(done.stdout + (done.stderr or ''))[-4000:].strip()}")
        return done.stdout

    def execute(self, service, *words, source=os.devnull, into=os.devnull):
        """Runs a command in a service's container, from one file and into another."""
        with open(source, "rb") as given, open(into, "wb") as taken:
            done = subprocess.run([*self.compose, "--project-directory", str(ROOT), *self.files, "exec", "-T", service, *words],
                                  cwd=ROOT, env=self.environment, stdin=given, stdout=taken, stderr=subprocess.PIPE)
        if done.returncode != 0:
            raise Trouble(f"`{words[0]}` in {service} failed (exit code {done.returncode}):\n{done.stderr.decode()[-2000:].strip()}")

    def up(self, *scale):
        words = [word for count in scale for word in ("--scale", count)]
        self.call("up", "--detach", "--no-build", "--pull", "never", *words, *self.services)

    def containers(self, service):
        return [container for container in self.engine.containers()
                if (container.get("Labels") or {}).get("com.docker.compose.service") == service]

    def state(self):
        """service → the states of its containers: healthy, running, exited 0, …"""
        states = {}
        for container in self.engine.containers():
            service = (container.get("Labels") or {}).get("com.docker.compose.service")
            state = self.engine.inspect(container["Id"])["State"]
            # podman 4.3 calls it Healthcheck in its own interface, later ones Health.
            health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status")
            states.setdefault(service, []).append(
                f"exited {state['ExitCode']}" if state["Status"] in ("exited", "stopped") else health or state["Status"])
        return states

    def is_up(self):
        states = self.state()
        good = all(state in (("exited 0",) if service in ONE_SHOT else ("healthy", "running"))
                   for service, found in states.items() for state in found)
        return good and set(self.services) <= set(states), states


class Traffic:
    """Readers with connections of their own, and one writer: what fails is kept."""

    def __init__(self, cookie):
        self.cookie, self.stopped = cookie, threading.Event()
        self.counts, self.failures, self.lock = {"GET": 0, "POST": 0}, [], threading.Lock()
        self.threads = [threading.Thread(target=self._read, daemon=True) for _ in range(READERS)]
        self.threads.append(threading.Thread(target=self._write, daemon=True))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def _done(self, method, wanted, status, text):
        with self.lock:
            self.counts[method] += 1
            if status != wanted:
                self.failures.append(f"{method}: {status} {str(text)[:200]}")

    def _read(self):
        connection = None
        while not self.stopped.wait(0.005):
            try:
                connection = connection or http.client.HTTPConnection(*PUBLIC, timeout=30)
                connection.request("GET", "/api/posts?limit=10")
                answer = connection.getresponse()
                self._done("GET", 200, answer.status, answer.read())
            except (OSError, http.client.HTTPException) as fault:
                self._done("GET", 200, repr(fault), "")
                connection = None

    def _write(self):
        while not self.stopped.wait(0.05):
            try:
                post = {"content": "Written while replicas come and go"}
                status, text, _ = call(PUBLIC, "POST", "/api/posts", post, self.cookie)
                self._done("POST", 201, status, text)
            except (OSError, http.client.HTTPException) as fault:
                self._done("POST", 201, repr(fault), "")

    def since(self):
        with self.lock:
            return dict(self.counts)

    def verdict(self, what):
        """A Trouble if anything failed so far; how much went well."""
        with self.lock:
            counts, failures = dict(self.counts), list(self.failures)
        if failures:
            raise Trouble(f"{len(failures)} of {sum(counts.values())} requests failed while {what}: {'; '.join(failures[:5])}")
        note(f"{what}: {counts['GET']} reads and {counts['POST']} posts so far, 0 failed")


def _allowed(asked):
    """A service's limits, as far as this machine allows them. podman wants all of them when it is told any."""
    allowed = limits()
    for name, wanted in asked.items():
        wanted = wanted if isinstance(wanted, int) else wanted.get("single") or wanted["hard"]
        allowed[name] = min(wanted, allowed.get(name, wanted))
    return allowed


# What is looked at ---------------------------------------------------------------------------------------------

def targets():
    """job → how many targets Prometheus finds healthy, and what ails the others."""
    status, body, _ = call(PROMETHEUS, "GET", "/api/v1/targets?state=active")
    if status != 200:
        return {}, {"prometheus": status}
    healthy, ailing = {}, {}
    for target in body["data"]["activeTargets"]:
        job = target["labels"]["job"]
        if target["health"] == "up":
            healthy[job] = healthy.get(job, 0) + 1
        else:
            ailing[target["scrapeUrl"]] = target["lastError"]
    return healthy, ailing


def targets_are(wanted):
    healthy, ailing = targets()
    return all(healthy.get(job) == count for job, count in wanted.items()), (healthy, ailing)


def query(text):
    _, body, _ = call(PROMETHEUS, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": text}))
    return body["data"]["result"]


def busy_replicas():
    """The API replicas that answered requests in the last seconds."""
    asked = query('sum by (instance) (rate(http_requests_total{job="api",route="/api/posts"}[15s])) > 0')
    return [row["metric"]["instance"] for row in asked]


def exporters_see():
    found = {name: [row["value"][1] for row in query(name)] for name in ("pg_up", "redis_up", "nginx_up")}
    return all(values == ["1"] for values in found.values()), found


def rules_work():
    """Every rule has been evaluated without a fault, and there is one Alertmanager to tell."""
    rules = [rule for group in call(PROMETHEUS, "GET", "/api/v1/rules")[1]["data"]["groups"] for rule in group["rules"]]
    wrong = {rule["name"]: rule.get("lastError") or rule["health"] for rule in rules if rule["health"] != "ok"}
    told = [one["url"] for one in call(PROMETHEUS, "GET", "/api/v1/alertmanagers")[1]["data"]["activeAlertmanagers"]]
    return bool(rules) and not wrong and len(told) == 1, (len(rules), wrong, told)


def is_asked(alert, job):
    found = query(f'ALERTS{{alertname="{alert}",job="{job}"}}')
    return bool(found), query("up")


def told_of(alert, job):
    """Whether Alertmanager has been told of this alert; if not, what Prometheus says of it."""
    there = [one["labels"] for one in call(ALERTMANAGER, "GET", "/api/v2/alerts")[1]]
    return any(labels["alertname"] == alert and labels.get("job") == job for labels in there), query(f'ALERTS{{job="{job}"}}')


def address_seen(stack, claimed, scheme="http"):
    """The address that NGINX writes down of a request that comes with these headers."""
    mark = f"mark-{time.monotonic_ns()}"
    call(PUBLIC, "GET", f"/api/posts?limit=1&{mark}", headers={"X-Forwarded-For": claimed, "X-Forwarded-Proto": scheme})

    def line():
        log = stack.engine.podman("logs", stack.containers("nginx")[0]["Id"])
        found = [json.loads(line)["remote_addr"] for line in log.splitlines() if mark in line and line.startswith("{")]
        return bool(found), found and found[0]
    # NGINX gathers its lines for a second.
    return eventually("the request in NGINX' log", 15, line)


def is_secure(person, scheme):
    """Whether the cookie of a login that comes with this scheme is for https alone."""
    status, body, headers = call(PUBLIC, "POST", "/api/auth/login", person, headers={"X-Forwarded-Proto": scheme})
    if status != 200:
        raise Trouble(f"login answered {status}: {body}")
    return "; secure" in headers["set-cookie"].lower()


def behind_a_proxy(stack):
    """Whoever is named in FRONT_PROXIES is believed, and what he was told by others is not."""
    for claimed in ("203.0.113.7", "198.51.100.66, 203.0.113.7", "203.0.113.7, 192.0.2.1"):
        seen = address_seen(stack, claimed)
        if seen != "203.0.113.7":
            raise Trouble(f"of “X-Forwarded-For: {claimed}” from a proxy that is believed NGINX made {seen}")
    for scheme, secure in (("https", True), ("http", False), ("https, x", False)):
        if is_secure(PERSON, scheme) != secure:
            raise Trouble(f"with “X-Forwarded-Proto: {scheme}” the cookie of a login is secure: {not secure}")
    note("behind a proxy that is believed, addresses and schemes are those of its clients")


def sign_up():
    status, body, _ = call(PUBLIC, "POST", "/api/user/signup", PERSON)
    if status != 201:
        raise Trouble(f"sign-up answered {status}: {body}")
    return log_in()


def log_in():
    status, body, headers = call(PUBLIC, "POST", "/api/auth/login", PERSON)
    if status != 200:
        raise Trouble(f"login answered {status}: {body}")
    return headers["set-cookie"].split(";")[0]


def is_logged_in(cookie):
    """What the API says of a cookie. It may not answer at once: NGINX still knows the addresses that replicas had before."""
    def status():
        code, body, _ = call(PUBLIC, "GET", "/api/auth/loginstatus", cookie=cookie)
        return code == 200, body
    return eventually("an answer", 30, status)["isLoggedIn"]


def judged(cookie, words):
    """Writes a post and waits for its verdict."""
    status, body, _ = call(PUBLIC, "POST", "/api/posts", {"content": words}, cookie)
    if status != 201:
        raise Trouble(f"the post answered {status}: {body}")

    def verdict():
        analysis = call(PUBLIC, "GET", f"/api/posts/{body[0]['id']}")[1]["analysis"]
        return analysis["status"] == "done", analysis
    return eventually("the verdict", 120, verdict)


def confinement(stack):
    """What the containers may do."""
    for service in ("api", "worker", "llm", "nginx", "postgres", "redis", "prometheus", "alertmanager"):
        for container in stack.containers(service):
            about = stack.engine.inspect(container["Id"])
            user, sealed = about["Config"]["User"] or "root", about["HostConfig"]["ReadonlyRootfs"]
            if not sealed or user.split(":")[0] in ("0", "root"):
                raise Trouble(f"{service} runs as {user}, read-only: {sealed}")
    edge = stack.containers("nginx")[0]["Id"]
    for host, reachable in (("api:3000", True), ("postgres:5432", False), ("redis:6379", False)):
        # curl: 6 for a name that nobody knows, 28 for silence; anything else is an answer of some kind.
        done = subprocess.run(["podman", "exec", edge, "curl", "-s", "-o", "/dev/null", "--max-time", "3", f"http://{host}/"],
                              env=stack.engine.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if (done.returncode not in (6, 7, 28)) != reachable:
            raise Trouble(f"NGINX {'cannot' if reachable else 'can'} reach {host} (curl: {done.returncode})")
    note("every container is read-only and none is root; NGINX reaches the API and neither PostgreSQL nor Redis")


def refuses_development_secrets(stack):
    """The API in production with the secrets that all know."""
    secrets = ROOT / "secrets" / "development"
    command = ["podman", "run", "--rm", "--network", "none", "--read-only", "--volume", f"{secrets}:/secrets:ro",
               "--env", "JWT_SECRET_FILE=/secrets/jwt_secret", "--env", "DATABASE_URL_FILE=/secrets/app_database_url",
               "localhost/linnet/api:local"]
    done = subprocess.run(command, env=stack.engine.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode == 0 or "JWT_SECRET looks like a default" not in done.stdout:
        raise Trouble(f"in production the API should refuse the secrets of development, but said: {done.stdout.strip()}")
    note("in production the API refuses the secrets of development")


# The journey ---------------------------------------------------------------------------------------------------

def travel(stack):
    for name, what in ABSENT.items():
        note(f"NOT in this run: {name}; Debian does not package {what}, and its image cannot be pulled here")
    step("up")
    began = time.monotonic()
    stack.up()
    eventually("a healthy stack", 240, stack.is_up)
    note(f"healthy after {time.monotonic() - began:.0f} s: "
         + ", ".join(f"{service} ({', '.join(states)})" for service, states in sorted(stack.state().items())))
    if "DEVELOPMENT" not in stack.call("logs", "notice"):
        raise Trouble("nothing said that this is a development set-up")
    confinement(stack)
    refuses_development_secrets(stack)

    step("sign-up, post, verdict")
    cookie = sign_up()
    good, bad = judged(cookie, "What a lovely day, I love this place!"), judged(cookie, "This is awful, I hate it so much.")
    note(f"“What a lovely day…” is {good['polarity']} ({good['score']:+.2f}), “This is awful…” {bad['polarity']} "
         f"({bad['score']:+.2f}); {good['model']}")
    eventually("every target of Prometheus", 60, lambda: targets_are(JOBS))
    note(f"Prometheus finds {sum(JOBS.values())} targets and all are up")
    eventually("PostgreSQL, Redis and NGINX as their exporters see them", 60, exporters_see)
    eventually("every rule evaluated", 60, rules_work)
    note("the exporters reach PostgreSQL, Redis and NGINX; every rule is evaluated; Alertmanager is told")
    seen = address_seen(stack, "203.0.113.9")
    if seen == "203.0.113.9":
        raise Trouble("NGINX believes anybody about his address, though FRONT_PROXIES is not set")
    if is_secure(PERSON, "https"):
        raise Trouble("NGINX believes anybody about his scheme, though FRONT_PROXIES is not set")

    with Traffic(cookie) as traffic:
        step("three API replicas and two workers, under traffic")
        eventually("traffic", 30, lambda: (traffic.since()["GET"] > 200, traffic.since()))
        stack.up("api=3", "worker=2")
        eventually("a healthy stack", 120, stack.is_up)
        eventually("five replicas in Prometheus", 60, lambda: targets_are({**JOBS, "api": 3, "worker": 2}))
        eventually("traffic on three API replicas", 60, lambda: (len(busy_replicas()) == 3, busy_replicas()))
        traffic.verdict("scaling up")
        step("one API replica, under traffic")
        stack.up("api=1", "worker=1")
        eventually("one replica in Prometheus", 90, lambda: targets_are({**JOBS, "api": 1, "worker": 1}))
        before = traffic.since()["GET"]
        eventually("traffic on the last one", 30, lambda: (traffic.since()["GET"] > before + 200, traffic.since()))
        traffic.verdict("scaling up and down")
        eventually("a question about the two that are gone", 60, lambda: is_asked("FewerReplicas", "api"))
        note("Prometheus sees that there were more: FewerReplicas, api, is pending")

    restored(stack, cookie)

    step("without a worker")
    stack.call("stop", "worker")
    eventually("an alert about it", 120, lambda: told_of("NoReplica", "worker"))
    note("Prometheus sees that it is gone and Alertmanager is told: NoReplica, worker")
    down(stack)


def restored(stack, cookie):
    """A backup and its restore, as docs/operations.md says it for containers."""
    step("a backup, a post that comes after it, and the restore")
    began = time.monotonic()
    dump = stack.folder / "linnet.dump"
    stack.execute("postgres", "pg_dump", "-U", "linnet_owner", "-Fc", "--exclude-table-data=public.sessions",
                  "--exclude-table=public.log_records_2*", "linnet", into=dump)
    before = [post["id"] for post in call(PUBLIC, "GET", "/api/posts?limit=100")[1]]
    judged(cookie, "Nobody will remember this.")
    stack.execute("postgres", "createdb", "-U", "postgres", "-O", "linnet_owner", "linnet_restore")
    stack.execute("postgres", "pg_restore", "-U", "linnet_owner", "--no-owner", "--exit-on-error", "-d", "linnet_restore",
                  source=dump)
    stack.execute("postgres", "vacuumdb", "-q", "-U", "postgres", "--analyze", "linnet_restore")
    serving = ["api", "worker", "postgres-exporter"]
    stack.call("stop", *serving)
    stack.execute("postgres", "psql", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "--single-transaction",
                  "-c", "ALTER DATABASE linnet RENAME TO linnet_before", "-c", "ALTER DATABASE linnet_restore RENAME TO linnet")
    stack.call("restart", "redis")
    for once in ("provision", "migrate"):
        stack.call("run", "--rm", once)
    stack.call("start", *serving)
    eventually("a healthy stack", 120, stack.is_up)
    # NGINX may still keep the addresses that the replicas had before.
    after = eventually("the posts of the backup", 30, lambda: (
        (answer := call(PUBLIC, "GET", "/api/posts?limit=100"))[0] == 200, answer[1]))
    if [post["id"] for post in after] != before:
        raise Trouble(f"after the restore there are other posts than before the backup: {after} instead of {before}")
    again = log_in()
    if is_logged_in(cookie):
        raise Trouble("a session from before the restore is believed")
    judged(again, "Life goes on, and it is wonderful.")
    note(f"the newest {len(before)} posts are those of the backup, the later one is gone; who was logged in logs in again; "
         f"{time.monotonic() - began:.0f} s in all")


def rotated(stack, cookie):
    """Another secret for logins, in the three steps of docs/operations.md for containers."""
    step("another secret for logins")
    secrets = stack.folder / "secrets"
    old, new = (secrets / "jwt_secret").read_text(), token_urlsafe(48)
    for now, previous, believed in ((old, new, True), (new, old, True), (new, "", False)):
        (secrets / "jwt_secret").write_text(now)
        (secrets / "jwt_secret_previous").write_text(previous)
        stack.call("restart", "api")
        eventually("a healthy stack", 60, stack.is_up)
        if is_logged_in(cookie) != believed:
            raise Trouble(f"a login from before {'does not count' if believed else 'counts'}, jwt_secret being "
                          f"{'new' if now == new else 'old'} and jwt_secret_previous {'not empty' if previous else 'empty'}")
    if not is_logged_in(log_in()):
        raise Trouble("who logs in with the new secret is not logged in")
    note("nobody was logged out by it; a login that the old secret signed counts until that is taken away")


def down(stack):
    step("down")
    stack.call("down", "--volumes")
    left = [container["Names"] for container in stack.engine.containers()]
    if left:
        raise Trouble(f"these containers are left: {left}")
    note("nothing is left of it")


class Production(Stack):
    """compose.yaml alone, with secrets that were made for it, behind what ends TLS."""

    FILES = ("compose.yaml",)

    def settings(self):
        secrets = self.folder / "secrets"
        run([str(NATIVE / "make-secrets"), str(secrets)], "native/make-secrets")
        return {
            "LINNET_SECRETS": str(secrets), "LLM_MODELS": str(self.model.parent), "LLM_MODEL": f"/models/{self.model.name}",
            "LLM_MEMORY": "3g", "API_REPLICAS": "1",
            # Whoever calls from this machine: podman's networks are in this one.
            "FRONT_PROXIES": "10.0.0.0/8, 192.0.2.1",
            "ALERTMANAGER_CONFIG": str(ROOT / "alertmanager" / "examples" / "webhook.yml"),
        }

    def volumes(self):
        return []

    def travel(self):
        step("in production: up")
        began = time.monotonic()
        self.up()
        eventually("a healthy stack", 240, self.is_up)
        eventually("the API behind NGINX", 30, lambda: (call(PUBLIC, "GET", "/readyz")[0] == 200, call(PUBLIC, "GET", "/readyz")))
        note(f"healthy after {time.monotonic() - began:.0f} s, with secrets of native/make-secrets")
        eventually("PostgreSQL, Redis and NGINX as their exporters see them", 60, exporters_see)
        told = call(ALERTMANAGER, "GET", "/api/v2/status")[1]["config"]["original"]
        if "webhook" not in told:
            raise Trouble(f"Alertmanager has not read ALERTMANAGER_CONFIG but: {told}")
        note("Alertmanager has read the file in ALERTMANAGER_CONFIG")
        cookie = sign_up()
        behind_a_proxy(self)
        status, body, _ = call(PUBLIC, "POST", "/api/posts", {"content": "The first words of a new place"}, cookie)
        if status != 201:
            raise Trouble(f"the post answered {status}: {body}")
        rotated(self, cookie)
        down(self)


def show_logs(stack):
    """The ends of the containers' logs, and before them what our own programs warned of, when something failed."""
    for container in stack.engine.containers():
        done = subprocess.run(["podman", "logs", container["Id"]], env=stack.engine.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = done.stdout.splitlines()
        warnings = [line for line in lines[:-15] if '"level":40' in line or '"level":50' in line]
        print(f"---- {container['Names'][0]} ({container['State']})")
        print("\n".join(line[:600] for line in warnings[-15:] + lines[-15:]), flush=True)
