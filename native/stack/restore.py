"""`make restore`: a backup becomes the database of the running stack.

It is restored beside the one in service, compared with what the backup says of itself and migrated; only then do the two
change their names. Whatever fails before leaves everything as it was.
"""

import hashlib
import os
import time
from pathlib import Path

from . import backup, database, redis, replicas
from .layout import ROOT
from .say import Trouble, duration, note, step
from .snapshot import Snapshot

# The name under which the restored database is made; one of that name is left of an attempt that was broken off.
BESIDE = "linnet_restore"


def restore(layout, supervisor, folder, replace):
    """Puts the backup in `folder` in place of the stack's database; one with people in it only with `replace`."""
    if not supervisor.pid():
        raise Trouble("the stack does not run. Start it with `make up`, on a new machine too: the backup then takes the "
                      "place of the empty database.")
    began = time.monotonic()
    folder = Path(os.path.abspath(folder))
    step(f"checking {folder}")
    manifest = backup.verified(folder)
    _check_level(manifest)
    with layout.lock("make restore"):
        _check_server(layout, manifest)
        used = _is_used(layout)
        if used and not replace:
            raise Trouble(f"the database of this stack has {used}. A backup is restored into an empty stack; to put it in the "
                          "place of this database, which is kept under another name: make restore FROM=… REPLACE=1")
        _fill(layout, folder, manifest)
        kept = _swap(layout, supervisor, bool(used))
    note(f"the backup of {manifest['made_at']} is in service after {duration(time.monotonic() - began)}; everybody has to "
         "log in again")
    if kept:
        note(f"the database that was there is kept as {kept}. When it is no longer needed, as PostgreSQL's superuser: "
             f"DROP DATABASE {kept}")


def _check_level(manifest):
    """Refuses a backup with migrations that this version does not know, or knows otherwise."""
    known = {path.name.split("_")[0].lstrip("0"): hashlib.sha384(path.read_bytes()).hexdigest()
             for path in (ROOT / "migrations").glob("*.sql")}
    for number, checksum in manifest["migrations"].items():
        if known.get(number) != checksum:
            how = "another than this version's" if number in known else "not known to this version"
            raise Trouble(f"migration {number} of the backup is {how}. Restore it with the version that made it: "
                          f"{manifest['version']}, commit {manifest['commit']}.")


def _check_server(layout, manifest):
    # An older server may lack what the dump uses.
    here = int(_sql(layout, "SHOW server_version_num"))
    if here // 10000 < manifest["postgresql"] // 10000:
        raise Trouble(f"the backup was made by PostgreSQL {manifest['postgresql'] // 10000}, and this is {here // 10000}: "
                      "install that one, or a newer one.")


def _is_used(layout):
    """What the database holds, in words; empty when nobody has ever signed up."""
    people, posts = _sql(layout, "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts)", name="linnet").split("|")
    return f"{int(people):,} people and {int(posts):,} posts in it" if int(people) or int(posts) else ""


def _fill(layout, folder, manifest):
    """Makes the database beside the present one, and sees that it is what was backed up and fits this version."""
    step("restoring beside the present database")
    _sql(layout, f"DROP DATABASE IF EXISTS {BESIDE} WITH (FORCE)")
    _sql(layout, f"CREATE DATABASE {BESIDE} OWNER linnet_owner")
    try:
        backup.attend([f"{layout.settings['postgres_bin']}/pg_restore", f"--dbname={BESIDE}", f"--jobs={backup.jobs()}",
                       "--exit-on-error", "--no-owner", "--verbose", str(folder / backup.DUMP)],
                      "pg_restore", database.client_environment(layout, "owner", BESIDE))
        step("comparing it with the backup's own account")
        _compare(layout, manifest)
        database.migrate(layout, BESIDE)
        # A dump brings no statistics, without which PostgreSQL guesses; and what is known to be visible to all is read
        # from the index alone.
        step("gathering statistics")
        _sql(layout, "VACUUM (ANALYZE)", name=BESIDE)
    except BaseException:
        _sql(layout, f"DROP DATABASE IF EXISTS {BESIDE} WITH (FORCE)")
        raise


def _compare(layout, manifest):
    with Snapshot(layout, BESIDE) as snapshot:
        # How rows are hashed is the same within one version of PostgreSQL only; between two the numbers have to do.
        same = int(snapshot.one("SHOW server_version_num")) // 10000 == manifest["postgresql"] // 10000
        wanted, found = manifest["tables"], dict(snapshot.tables())
        for name in sorted(wanted.keys() | found.keys()):
            before, after = wanted.get(name), found.get(name)
            if not before or not after or before["rows"] != after["rows"] or (same and before["digest"] != after["digest"]):
                raise Trouble(f"the table {name} is not what was backed up: {before} became {after}. The database in service "
                              "was not touched.")
    note(f"all {len(wanted)} tables are as they were: {sum(table['rows'] for table in wanted.values()):,} rows")


def _swap(layout, supervisor, used):
    """The restored database takes the place of the present one, which is kept if anybody is in it: its new name then. Nobody is
    served meanwhile: what a replica holds in its memory belongs to the other one."""
    old = f"linnet_before_{time.strftime('%Y%m%dt%H%M%S', time.gmtime())}"
    serving = replicas.running(supervisor, "api") + replicas.running(supervisor, "worker")
    step(f"changing databases, without {', '.join(serving)}")
    began = time.monotonic()
    supervisor.stop(serving)
    try:
        # It was served until now: the restoring takes minutes, in which somebody may have signed up.
        used = used or bool(_is_used(layout))
        # Cached pages, home timelines and hints are of the other database; all of it comes again from the new one.
        if redis.ask(layout, "FLUSHALL") != "+OK":
            raise Trouble("Redis did not forget what it holds of the database before. See `make logs P=redis`, then try again.")
        _sql(layout, f"""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname IN ('linnet', '{BESIDE}') AND pid <> pg_backend_pid();
            BEGIN;
            ALTER DATABASE linnet RENAME TO {old};
            ALTER DATABASE {BESIDE} RENAME TO linnet;
            COMMIT""")
        database.provision(layout, forced=True)
    finally:
        supervisor.start(serving)
        replicas.wait_ready(layout, supervisor, serving)
    note(f"nobody was served for {duration(time.monotonic() - began)}")
    if used:
        return old
    _sql(layout, f"DROP DATABASE {old} WITH (FORCE)")
    return None


def _sql(layout, statements, name="postgres"):
    """Runs statements as PostgreSQL's superuser; what they answer, as psql prints it bare."""
    return database.superuser(layout, statements, name).strip()
