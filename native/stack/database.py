"""The private PostgreSQL cluster: made once, then its roles, its database and the migrations."""

import hashlib
import os
import pwd
import subprocess
from pathlib import Path

from . import packages
from .layout import NATIVE, write_atomically
from .render import settings_for
from .say import Trouble, run, step
from .templates import fill

# The owner changes tables and is used by `api migrate` only. The programs work as linnet_app, which can
# read and write rows and nothing else: a fault in one of them cannot drop a table.
ROLES = """
SELECT 'CREATE ROLE linnet_owner' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linnet_owner') \\gexec
SELECT 'CREATE ROLE linnet_app' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linnet_app') \\gexec
ALTER ROLE linnet_owner LOGIN PASSWORD '{owner}';
ALTER ROLE linnet_app LOGIN PASSWORD '{app}';
-- A transaction that its program has forgotten would hold its locks for ever.
ALTER ROLE linnet_app SET idle_in_transaction_session_timeout = '60s';
SELECT 'CREATE ROLE linnet_monitor' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'linnet_monitor') \\gexec
-- The exporter's: it may see what the server counts, and no row of a table.
ALTER ROLE linnet_monitor LOGIN PASSWORD '{monitor}' CONNECTION LIMIT 5;
ALTER ROLE linnet_monitor SET default_transaction_read_only = on;
ALTER ROLE linnet_monitor SET statement_timeout = '4s';
GRANT pg_monitor TO linnet_monitor;
SELECT 'CREATE DATABASE linnet OWNER linnet_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'linnet') \\gexec
REVOKE ALL ON DATABASE linnet FROM PUBLIC;
GRANT CONNECT ON DATABASE linnet TO linnet_app, linnet_monitor;
\\connect linnet
GRANT USAGE ON SCHEMA public TO linnet_app;
-- Holds for every table that a later migration makes.
ALTER DEFAULT PRIVILEGES FOR ROLE linnet_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO linnet_app;
ALTER DEFAULT PRIVILEGES FOR ROLE linnet_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO linnet_app;
"""


def programs(layout):
    """Finds the folder of PostgreSQL's programs: of the version that made the cluster, once there is one."""
    version = layout.postgres_data / "PG_VERSION"
    if version.exists():
        made_by = version.read_text().strip()
        folder = Path(f"/usr/lib/postgresql/{made_by}/bin")
        if not folder.is_dir():
            folder = Path(packages.find("postgres")).parent
            said = run([str(folder / "postgres"), "--version"], "asking PostgreSQL for its version")
            if f" {made_by}." not in said:
                raise Trouble(f"the database in {layout.postgres_data} was made by PostgreSQL {made_by}, which is not "
                              f"installed ({said.strip()} is). Install postgresql-{made_by}, or move the data with pg_upgrade.")
    else:
        folder = Path(packages.find("postgres")).parent
    layout.settings["postgres_bin"] = str(folder)
    return folder


def create(layout):
    """Makes the cluster if there is none, and writes Linnet's settings into it."""
    data, account = layout.postgres_data, pwd.getpwnam(layout.postgres_user)
    folder = programs(layout)
    if not (data / "PG_VERSION").exists():
        step(f"creating the PostgreSQL cluster in {data}")
        data.parent.mkdir(parents=True, exist_ok=True)
        if layout.is_root and data.parent != layout.data:
            os.chmod(data.parent, 0o711)
        # initdb takes an existing empty folder; one that a broken attempt has left half full it refuses.
        if data.exists() and any(data.iterdir()):
            raise Trouble(f"{data} is neither a PostgreSQL cluster nor empty: an earlier attempt was interrupted. "
                          "`make clean` removes it.")
        data.mkdir(exist_ok=True)
        initdb(folder, data, account, layout.secrets()["superuser"])
    with open(data / "postgresql.conf", "r+") as main:
        line = "include_if_exists = 'linnet.conf'"
        if line not in main.read():
            main.write(f"\n{line}\n")
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    # A sixteenth of the memory: the machine is shared with the model and everything else.
    buffers = min(1024, max(64, megabytes // 16))
    values = {"POSTGRES_PORT": layout.postgres_port, "SHARED_BUFFERS": f"{buffers}MB",
              "CACHE_SIZE": f"{min(8192, max(256, megabytes // 4))}MB"}
    changed = write_atomically(data / "linnet.conf", fill(NATIVE / "postgresql.conf.template", values))
    os.chown(data / "linnet.conf", account.pw_uid, account.pw_gid)
    return changed


def initdb(programs, data, account, password):
    """Makes a cluster in the empty folder `data`, whose superuser is postgres with this password."""
    file = data.with_name(f"{data.name}.password")
    write_atomically(file, password + "\n")
    os.chmod(data, 0o700)
    for path in (data, file):
        os.chown(path, account.pw_uid, account.pw_gid)
    try:
        run([str(programs / "initdb"), "-D", str(data), "--username=postgres", "--auth=scram-sha-256",
             f"--pwfile={file}", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"],
            "initdb", cwd=data, **identity(account))
    finally:
        file.unlink()


def identity(account):
    """What makes subprocess run as this account, when root asks."""
    if os.geteuid() != 0:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def answers(layout):
    """Whether the cluster takes connections."""
    return subprocess.run([f"{layout.settings['postgres_bin']}/pg_isready", "-q", "-h", "127.0.0.1",
                           "-p", str(layout.postgres_port)]).returncode == 0


def provision(layout, forced):
    """Roles, database and rights. The same words do for a new cluster and for one that has them; they are said when
    `forced`, or when an earlier version said others."""
    words = hashlib.sha256(ROLES.encode()).hexdigest()
    if not forced and layout.settings.get("provisioned") == words:
        return
    superuser(layout, ROLES.format(**layout.secrets()), what="setting up the database's roles")
    layout.settings["provisioned"] = words
    layout.save()


def superuser(layout, statements, name="postgres", what="a statement of the superuser"):
    """Runs statements as PostgreSQL's superuser in the database `name`; what they answer, bare."""
    # By standard input, so that no password stands in a list of processes.
    return run([f"{layout.settings['postgres_bin']}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], what,
               env=client_environment(layout, "superuser", name), input=statements)


def client_environment(layout, role, name="linnet"):
    """With which PostgreSQL's own programs reach the database `name` as `superuser`, `owner` or `app`."""
    return {**_plain(), "PGPASSWORD": layout.secrets()[role], "PGHOST": "127.0.0.1", "PGPORT": str(layout.postgres_port),
            "PGUSER": "postgres" if role == "superuser" else f"linnet_{role}", "PGDATABASE": name, "PGSSLMODE": "disable"}


def migrate(layout, name="linnet"):
    """Runs the migrations, once and here, never from a replica."""
    step("running the migrations")
    run([str(layout.bin / "api"), "migrate"], "`api migrate`", cwd=layout.data,
        env={**_plain(), **settings_for(layout, "api"), "DATABASE_URL": layout.database_url("owner", name)})


def _plain():
    """This terminal's environment without the names that libpq and the programs would obey."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("PG") and not name.endswith("DATABASE_URL")}
