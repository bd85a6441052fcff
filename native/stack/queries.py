"""The committed descriptions of the SQL queries (.sqlx), which let the programs be compiled without a database.

sqlx writes one for each query that it checks against a real PostgreSQL while compiling. That is done here
against a database of its own, just migrated. `cargo sqlx prepare` does the same, but is a program to build first.
"""

import filecmp
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from . import build, database, packages
from .layout import ROOT
from .say import Trouble, note, run, step

COMMITTED = ROOT / ".sqlx"

# What sqlx itself makes before the first migration; /readyz asks it which have run.
BOOKKEEPING = """CREATE TABLE _sqlx_migrations (
    version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL)"""


@contextmanager
def migrated_database():
    """The address of a throw-away database with every migration in it."""
    programs = Path(packages.find("postgres")).parent
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="linnet-queries-"))
    server = None
    try:
        os.chmod(folder, 0o711)
        data, password, port = folder / "data", secrets.token_hex(16), _free_port()
        data.mkdir()
        database.initdb(programs, data, account, password)
        with open(folder / "log", "w") as log:
            server = subprocess.Popen([str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "fsync=off",
                                       "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                                      cwd=data, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **database.identity(account))
        until = time.monotonic() + 30
        while subprocess.run([str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode != 0:
            if server.poll() is not None or time.monotonic() > until:
                raise Trouble(f"the database for checking the queries did not start:\n{(folder / 'log').read_text()}")
            time.sleep(0.05)
        url = f"postgres://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"
        psql = [str(programs / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        run([*psql, "-c", BOOKKEEPING, url], "the table of migrations")
        for migration in sorted((ROOT / "migrations").glob("*.sql")):
            # As sqlx has it: what begins so runs outside a transaction.
            whole = [] if migration.read_text().startswith("-- no-transaction") else ["-1"]
            run([*psql, *whole, "-f", str(migration), url], f"the migration {migration.name}")
        yield url
    finally:
        if server:
            server.send_signal(signal.SIGINT)
            server.wait()
        shutil.rmtree(folder)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def describe(folder):
    """Has sqlx write the description of every query into `folder`."""
    packages.ensure({"postgres": packages.RUN["postgres"], **packages.BUILD})
    # A fresh time stamp makes cargo compile domain again; all SQL is there.
    os.utime(ROOT / "domain" / "src" / "lib.rs")
    with migrated_database() as url:
        environment = {**build.environment(), "SQLX_OFFLINE": "false", "SQLX_OFFLINE_DIR": str(folder), "DATABASE_URL": url}
        if subprocess.run([packages.cargo(), "check", "--locked", "-p", "domain", "--all-targets"], cwd=ROOT,
                          env=environment).returncode != 0:
            raise Trouble("a query does not fit the migrated database; the compiler's words are above.")


def refresh(check):
    """Brings .sqlx up to date, or with `check` only says whether it is."""
    step("describing the queries against a migrated PostgreSQL")
    with tempfile.TemporaryDirectory(prefix="linnet-sqlx-") as name:
        fresh = Path(name)
        describe(fresh)
        files = {path.name for path in fresh.iterdir()}
        known = {path.name for path in COMMITTED.glob("query-*.json")}
        stale = sorted(file for file in files & known if not filecmp.cmp(fresh / file, COMMITTED / file, shallow=False))
        differing = sorted(files ^ known) + stale
        if not differing:
            note(f"the descriptions of {len(files)} queries in .sqlx are up to date")
            return
        if check:
            raise Trouble(f".sqlx is not up to date: {len(files - known)} queries are missing, {len(known - files)} are no "
                          f"longer used, {len(stale)} differ. Run `make queries` and commit what it changes.")
        COMMITTED.mkdir(exist_ok=True)
        for file in known - files:
            (COMMITTED / file).unlink()
        for file in files:
            shutil.copyfile(fresh / file, COMMITTED / file)
        note(f".sqlx now describes {len(files)} queries; {len(differing)} files changed")
