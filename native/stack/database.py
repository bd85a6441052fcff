"""The private PostgreSQL cluster: made once, then its roles, its database and the migrations."""

import hashlib
import os
import pwd
import subprocess
from pathlib import Path

from . import packages
from .layout import NATIVE, ROOT, write_atomically
from .render import settings_for
from .say import Trouble, run, step
from .templates import fill

# Given the passwords by format(), to which the braces of the file itself mean nothing. They are hexadecimal and need no quotes.
ROLES = ("\\set owner {owner}\n\\set app {app}\n\\set monitor {monitor}\n"
         + (ROOT / "postgres" / "roles.sql").read_text().replace("{", "{{").replace("}", "}}"))


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
    settings = fill(NATIVE / "postgresql.conf.template", values) + (ROOT / "postgres" / "postgresql.conf").read_text()
    changed = write_atomically(data / "linnet.conf", settings)
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


# What the stack alone says. From a terminal, a second secret for logins would be believed, and a file of a secret contradict
# the stack's own.
FOREIGN = {f"{name}{suffix}" for name in ("DATABASE_URL", "REDIS_URL", "JWT_SECRET", "JWT_SECRET_PREVIOUS")
           for suffix in ("", "_FILE")}


def _plain():
    """This terminal's environment without the names that libpq and the programs would obey."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("PG") and name not in FOREIGN}
