"""What an operator does to a stack with people in it, done to two stacks of the test's own: a step of `make test`.

The first is backed up while people write, the second starts empty and is restored into; backups are damaged in every way
that can be told; the secret of logins is changed under requests.
"""

import contextlib
import hashlib
import http.client
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from stack import backup, packages
from stack.layout import NATIVE
from stack.say import Trouble, note
from stack.snapshot import LEFT_OUT

LINNET = str(NATIVE / "linnet")
PASSWORD = "a long enough password"
# How long is waited for what has to happen, in seconds.
PATIENCE = 30


def demand(is_so, what):
    if not is_so:
        raise Trouble(f"this should be so and is not: {what}")


def eventually(what, question):
    until = time.monotonic() + PATIENCE
    while not question():
        if time.monotonic() > until:
            raise Trouble(f"waited in vain: {what}")
        time.sleep(0.05)


class Stack:
    """A native stack without a language model, as the terminal sees it."""

    def __init__(self, data, port, environment):
        self.data = data
        # The worker would use all of its time to stop, hoping for the language model that it is not given.
        self.environment = {**environment, "LINNET_DATA": str(data), "PORT": str(port), "RATE_LIMITER": "false",
                            "WORKER_SHUTDOWN_SECONDS": "1"}

    def start(self, *counts):
        self.linnet("up", *counts, "llm=0")
        lines = self.linnet("env").splitlines()
        self.reach = {name: shlex.split(value)[0] if value else "" for name, value in (line.split("=", 1) for line in lines)}

    def linnet(self, *words, **settings):
        done = self.run(*words, **settings)
        if done.returncode != 0:
            raise Trouble(f"linnet {' '.join(words)} failed:\n{done.stdout}")
        return done.stdout

    def refusal(self, *words, **settings):
        """What a command says that must not succeed."""
        done = self.run(*words, **settings)
        demand(done.returncode == 1, f"linnet {' '.join(words)} is refused; it said:\n{done.stdout}")
        return done.stdout

    def run(self, *words, **settings):
        return subprocess.run([LINNET, *words], env={**self.environment, **settings}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def psql(self):
        """psql as a command and its environment, with the rights of the programs."""
        url = urlsplit(self.reach["LINNET_DATABASE_URL"])
        environment = {**os.environ, "PGHOST": url.hostname, "PGPORT": str(url.port), "PGUSER": url.username,
                       "PGPASSWORD": url.password, "PGDATABASE": url.path.strip("/"), "PGSSLMODE": "disable"}
        return [str(Path(packages.find("postgres")).parent / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"], environment

    def sql(self, statement, **settings):
        command, environment = self.psql()
        done = subprocess.run([*command, "-c", statement], env={**environment, **settings}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        demand(done.returncode == 0, f"{statement} works: {done.stdout}")
        return done.stdout.strip()

    def contents(self):
        """table → what is in it, by another way than the backup's own."""
        tables = self.sql("SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relkind = 'r' "
                          "AND relnamespace = 'public'::regnamespace").split(",")
        found = {}
        for table in tables:
            if table not in LEFT_OUT:
                rows = self.sql(f"SELECT r::text FROM {table} AS r ORDER BY r::text COLLATE \"C\"")
                found[table] = (rows.count("\n") + bool(rows), hashlib.md5(rows.encode()).hexdigest())
        return found


class Person:
    """Somebody with an account."""

    def __init__(self, stack, name):
        self.url, self.name, self.token = stack.reach["LINNET_URL"], name, None

    def call(self, method, path, body=None):
        """The status and the JSON of the answer; status 0 when there is none."""
        url = urlsplit(self.url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {self.token}"} if self.token else {})}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            cookie = answer.getheader("set-cookie") or ""
            if cookie.startswith("jwt="):
                self.token = cookie[4:].split(";")[0]
            return answer.status, json.loads(text or b"null")
        except (OSError, http.client.HTTPException, ValueError) as fault:
            return 0, str(fault)
        finally:
            connection.close()

    def join(self):
        status, answer = self.call("POST", "/api/user/signup", {"username": self.name, "password": PASSWORD})
        demand(status == 201, f"{self.name} can sign up: {status} {answer}")
        return self.log_in()

    def log_in(self):
        status, answer = self.call("POST", "/api/auth/login", {"username": self.name, "password": PASSWORD})
        demand(status == 200, f"{self.name} can log in: {status} {answer}")
        return self

    def is_logged_in(self):
        status, answer = self.call("GET", "/api/auth/loginstatus")
        return status == 200 and answer["isLoggedIn"]

    def post(self, text):
        status, answer = self.call("POST", "/api/posts", {"content": text})
        demand(status == 201, f"{self.name} can post: {status} {answer}")
        return answer[0]["id"]


class Writers:
    """People who post, like and edit until they are told to stop."""

    def __init__(self, people):
        self.written, self.faults, self.enough = [], [], threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(person,)) for person in people]
        for thread in self.threads:
            thread.start()

    def _write(self, person):
        try:
            for number in itertools.count():
                if self.enough.is_set():
                    return
                post = person.post(f"Thought {number} of {person.name}: the tram was late again, and nobody said a word")
                self.written.append(post)
                person.call("POST", f"/api/posts/{post}/like")
                if number % 5 == 4:
                    person.call("PUT", f"/api/posts/{post}", {"content": f"On second thought {number}, it was the bus"})
        except Trouble as fault:
            self.faults.append(str(fault))

    def stop(self):
        self.enough.set()
        for thread in self.threads:
            thread.join()
        demand(not self.faults, f"everybody can write meanwhile: {self.faults[:3]}")


def run(environment, free_port):
    """The step: `environment` without this terminal's settings, `free_port` for a stack's first port."""
    folder = Path(tempfile.mkdtemp(prefix="linnet-operations-"))
    stacks = []
    # Readable for PostgreSQL's own user, which has its data below.
    os.chmod(folder, 0o711)
    failed = True
    try:
        # Known before they run: one that does not get up has begun something all the same.
        first = Stack(folder / "first", free_port(), environment)
        stacks.append(first)
        first.start("api=2", "worker=0")
        # The programs that were just built, without asking cargo again.
        again = {**environment, "LINNET_BIN_DIR": str(first.data / "bin")}
        second = Stack(folder / "second", free_port(), again)
        stacks.append(second)
        second.start("api=1", "worker=0")
        people = [Person(first, f"writer{number}").join() for number in range(4)]
        whole = under_writes(first, second, people, folder / "backups")
        broken_off(first, folder / "backups")
        quiet = quiet_and_the_same(first, second, folder / "backups")
        damaged(second, [whole, quiet], folder / "damaged")
        taken_up_again(second)
        secret_changes(first, people[0])
        failed = False
    finally:
        left = [stack.data for stack in stacks if stack.run("down").returncode != 0]
        if failed or left:
            note(f"the data and logs of this run stay in {folder}")
        else:
            shutil.rmtree(folder)


def under_writes(first, second, people, backups):
    """A backup of a stack that is written to is of one moment, and an empty stack becomes that."""
    demand(Person(second, "nobody").call("GET", "/api/posts") == (200, []), "an empty stack has an empty feed, now cached")
    before = [people[0].post("This one was there before"), *(person.post("So was this") for person in people)]
    writers = Writers(people)
    eventually("people write", lambda: len(writers.written) >= 20)
    began = len(writers.written)
    first.linnet("backup", f"to={backups}")
    during = len(writers.written) - began
    writers.stop()
    after = people[0].post("Nobody has backed this up")
    note(f"{during} posts were written while the backup was made")
    demand(during > 0, "people write while the backup is made")

    whole, = backups.glob("linnet-*")
    for path in [whole, *whole.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        demand(path.stat().st_mode & 0o777 == wanted, f"nobody else may read {path}")
    told = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=whole).returncode
    demand(told == 0, "sha256sum finds the backup whole")

    kept = restored_under_a_newcomer(second, whole)
    found = second.sql("SELECT username FROM users", PGDATABASE=kept)
    demand(found == "newcomer", f"who signs up while a backup is restored is in the database that is kept, {kept}: {found}")
    restored = set(map(int, second.sql("SELECT id FROM posts").split()))
    demand(set(before) | set(writers.written[:began]) <= restored, "what was written before the backup is in it")
    demand(after not in restored, "what came later is not")
    # These change together, in one transaction each: at any one moment they agree.
    for one, other in [("count(*) FROM posts", "count(*) FROM post_analysis"),
                       ("count(*) FROM likes", "coalesce(sum(likes), 0) FROM post_counts")]:
        demand(second.sql(f"SELECT {one}") == second.sql(f"SELECT {other}"), f"{one} and {other} are of the same moment")
    fresh = Person(second, "nobody").call("GET", "/api/posts")[1]
    demand(fresh and fresh[0]["id"] == max(restored), "the feed is the restored one at once")
    return whole


def restored_under_a_newcomer(second, whole):
    """Restores into an empty stack that gets its first account meanwhile. The name of the database that was there."""
    def sign_up():
        eventually("the restored database is made", lambda: second.sql(
            "SELECT count(*) FROM pg_database WHERE datname = 'linnet_restore'") == "1")
        Person(second, "newcomer").join()

    with ThreadPoolExecutor() as pool:
        newcomer = pool.submit(sign_up)
        said = second.linnet("restore", f"from={whole}")
        newcomer.result()
    kept = re.search(r"is kept as (linnet_before_\w+)", said)
    demand(kept, f"the database is kept, because somebody is in it: {said}")
    return kept[1]


def dumps(backups):
    """The processes that write into this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = process.read_bytes()
            if b"pg_dump" in words and str(backups).encode() in words:
                found.append(process.parent.name)
    return found


def broken_off(first, backups):
    """A backup that was killed is not there, and what is left of it goes with the next. No password is in a list of processes."""
    command, environment = first.psql()
    # The rights of the programs do for a lock that keeps pg_dump from beginning.
    blocker = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    blocker.stdin.write("BEGIN;\nLOCK TABLE log_records IN ACCESS EXCLUSIVE MODE;\nSELECT 'held';\n")
    blocker.stdin.flush()
    demand(blocker.stdout.readline() == "held\n", "the table is held")
    whole = sorted(backups.glob("linnet-*"))

    def begun():
        process = subprocess.Popen([LINNET, "backup", f"to={backups}"], env=first.environment, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually("pg_dump runs", lambda: dumps(backups))
        return process

    told = begun()
    told.terminate()
    demand(told.wait() == 143, "a backup that is told to stop does")
    demand(not dumps(backups) and not list(backups.glob(".linnet-*.part")), "pg_dump has stopped with it, and nothing is left")
    killed = begun()
    secrets = [secret.encode() for secret in json.loads((first.data / "secrets.json").read_text()).values()]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        demand(not any(secret in words for secret in secrets), f"no secret is in {process}")
    killed.kill()
    killed.wait()
    blocker.communicate("COMMIT;\n")
    # Nobody has told this one's pg_dump to stop.
    eventually("it comes to its end", lambda: not dumps(backups))
    demand(sorted(backups.glob("linnet-*")) == whole, "a backup that was killed is not there")
    part, = backups.glob(".linnet-*.part")
    said = first.refusal("restore", f"from={part}", REPLACE="1")
    demand("never finished" in said, f"it cannot be restored: {said}")


def quiet_and_the_same(first, second, backups):
    """Table by table and row by row the same; a login from before does not outlive the restore. Old backups go."""
    late = Person(second, "writer0").log_in()
    demand(late.is_logged_in(), "a restored person can log in")
    said = first.linnet("backup", f"to={backups}", "keep=1")
    demand("never finished" in said, f"what was broken off is removed: {said}")
    demand(not list(backups.glob(".linnet-*.part")), "nothing is left of what was broken off")
    quiet, = backups.glob("linnet-*")
    wanted = first.contents()
    manifest = json.loads((quiet / backup.MANIFEST).read_text())
    demand({name: table["rows"] for name, table in manifest["tables"].items()} ==
           {name: rows for name, (rows, _) in wanted.items()}, "the manifest counts right")

    said = second.refusal("restore", f"from={quiet}")
    demand("people and" in said and "REPLACE=1" in said, f"a stack with people in it is not replaced unasked: {said}")
    demand(late.is_logged_in(), "and goes on as it was")
    second.linnet("restore", f"from={quiet}", REPLACE="1")
    found = second.contents()
    for table in sorted(wanted.keys() | found.keys()):
        demand(wanted.get(table) == found.get(table), f"{table} is as it was: {wanted.get(table)}, {found.get(table)}")
    note(f"{len(wanted)} tables with {sum(rows for rows, _ in wanted.values())} rows are the same, row by row")
    demand(second.sql("SELECT count(*) FROM sessions") == "0" and not late.is_logged_in(), "nobody is logged in any more")
    demand(late.log_in().is_logged_in(), "and everybody can be")
    ids = int(second.sql("SELECT max(id) FROM posts"))
    demand(late.post("The first one after the restore") > ids, "new posts do not take old numbers")
    return quiet


def damaged(second, wholes, folder):
    """Whatever is wrong with a backup is said, and the database stays as it is."""
    before, databases = second.contents(), "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database"
    there = second.sql(databases)
    # The first backup has been deleted by the second one's KEEP=1.
    demand(not wholes[0].exists(), "the oldest backup was deleted")
    whole = wholes[1]
    largest = max((whole / backup.DUMP).iterdir(), key=lambda path: path.stat().st_size).relative_to(whole)

    def flip(copy):
        content = bytearray((copy / largest).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / largest).write_bytes(content)

    def cut(copy):
        os.truncate(copy / largest, 10)

    def altered(change):
        def alter(copy):
            manifest = json.loads((copy / backup.MANIFEST).read_text())
            change(manifest)
            (copy / backup.MANIFEST).write_text(json.dumps(manifest))
            sums = [f"{backup.digest(path)}  {path.relative_to(copy)}\n" for path in backup.files(copy)]
            (copy / backup.SUMS).write_text("".join(sums))
        return alter

    cases = [
        ("a changed bit", flip, "is not what was written"),
        ("a cut file", cut, "is not what was written"),
        ("a lost file", lambda copy: (copy / largest).unlink(), "is missing"),
        ("a strange file", lambda copy: (copy / "dump" / "more").touch(), "does not belong to it"),
        ("no sums", lambda copy: (copy / backup.SUMS).unlink(), "no whole backup"),
        ("no manifest", lambda copy: (copy / backup.MANIFEST).unlink(), "no whole backup"),
        ("a line of no sum", lambda copy: (copy / backup.SUMS).write_text("0 dump\n"), "a line that is none"),
        ("a later format", altered(lambda told: told.update(format=2)), "has format 2"),
        ("a migration of tomorrow", altered(lambda told: told["migrations"].update({"9001": "00"})), "not known to this version"),
        ("another migration", altered(lambda told: told["migrations"].update({"3": "00"})), "another than this version's"),
        ("a newer server", altered(lambda told: told.update(postgresql=990001)), "made by PostgreSQL 99"),
        # All is there, and it is still not what it says: found after it was restored, and before it is in service.
        ("a row too few", altered(lambda told: told["tables"]["likes"].update(rows=0)), "is not what was backed up"),
        ("other rows", altered(lambda told: told["tables"]["users"].update(digest="1")), "is not what was backed up"),
    ]
    for what, damage, says in cases:
        copy = folder / whole.name
        shutil.copytree(whole, copy)
        damage(copy)
        said = second.refusal("restore", f"from={copy}", REPLACE="1")
        demand(says in said, f"of {what} it says that it {says}: {said}")
        shutil.rmtree(copy)
    demand(second.contents() == before, "the database is as it was")
    names = second.sql(databases)
    demand(names == there and names.count("linnet_before_") == 2,
           f"nothing is left of what was refused, and the two replaced ones are kept: {names}")
    note(f"{len(cases)} damaged backups were refused")


def taken_up_again(second):
    """What waited for its verdict when the backup was made is offered to the workers again, and brought to timelines."""
    demand(second.sql("SELECT count(*) FROM post_analysis WHERE status = 'pending' AND offers = 0") != "0", "posts wait")
    second.linnet("scale", "worker=1")
    # Not all of them: the sweeper stops offering when it has seen that there is no language model.
    eventually("the sweeper offers them", lambda: second.sql("SELECT count(*) FROM post_analysis WHERE offers > 0") != "0")
    eventually("and their fan-out is done", lambda: second.sql("SELECT count(*) FROM fanouts") == "0")


def secret_changes(first, person):
    """Nobody is logged out while the secret of logins is changed, wherever they are served."""
    before, seen, faults, enough = person.token, [0], [], threading.Event()
    old = json.loads((first.data / "secrets.json").read_text())["jwt"]

    def use():
        visitor, fresh = Person(first, person.name), Person(first, person.name)
        visitor.token = before
        while not enough.is_set():
            try:
                fresh.log_in()
                demand(visitor.is_logged_in() and fresh.is_logged_in(), "somebody stays logged in")
                seen[0] += 1
            except Trouble as fault:
                faults.append(str(fault))

    user = threading.Thread(target=use)
    user.start()
    try:
        eventually("somebody is at it", lambda: seen[0] > 0)
        first.linnet("rotate")
    finally:
        enough.set()
        user.join()
    demand(not faults, f"nobody is logged out: {len(faults)} of {seen[0]}: {faults[:3]}")
    note(f"{seen[0]} times somebody was logged in, before, during and after")
    secrets = json.loads((first.data / "secrets.json").read_text())
    demand(secrets["jwt"] != old and secrets["jwt_previous"] == old, "another secret signs, and the old one is believed")
    said = first.refusal("rotate", "end")
    demand("less than a day ago" in said, f"the old secret is not ended early: {said}")
    said = first.refusal("rotate")
    demand("less than a day ago" in said, f"nor replaced early: {said}")
    late = Person(first, person.name).log_in()
    first.linnet("rotate", "end", YES="1")
    demand("jwt_previous" not in json.loads((first.data / "secrets.json").read_text()), "the old secret is forgotten")
    demand(late.is_logged_in(), "who has logged in since stays so")
    demand(not person.is_logged_in(), "a token of the old secret is refused")
