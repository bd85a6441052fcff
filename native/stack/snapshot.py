"""A database as it is at one moment: what a backup is made of, and what tells that a restored one is the same.

A table's digest is the sum of a hash of each of its rows, so the order in which they are read does not matter.
"""

import subprocess

from . import database
from .say import Trouble

# Nobody is logged in after a restore. A session that was ended after the backup would otherwise count again, with nobody
# left who knows that it should not.
LEFT_OUT = ("sessions",)
# The log store's days: records live as long as LOG_STORE_DAYS says and no longer in any backup, they may be more than all
# else together, and a day must not be kept from being dropped while a backup is made.
LOG_DAYS = "log_records_2"
END = "-- that was all --"


class Snapshot:
    """One transaction that sees the database as it was when it began, and keeps tables from being dropped meanwhile."""

    def __init__(self, layout, name="linnet"):
        self.psql = subprocess.Popen(
            [f"{layout.settings['postgres_bin']}/psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=database.client_environment(layout, "owner", name))

    def __enter__(self):
        try:
            # How a row is written as text, which the digests are made of.
            self.ask("SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1; "
                     "SET bytea_output = 'hex'; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            names = self._tables()
            if not names:
                raise Trouble("the database has no tables; `make up` makes them.")
            self.ask(f"LOCK TABLE {', '.join(map(_quoted, names))} IN ACCESS SHARE MODE")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.psql.terminate()
        # Closes the pipes too, whatever is still in them.
        self.psql.communicate()

    def ask(self, statements):
        """Runs statements; the rows of the answer, each a list of texts."""
        rows = []
        try:
            self.psql.stdin.write(f"{statements};\nSELECT '{END}';\n")
            self.psql.stdin.flush()
            for line in self.psql.stdout:
                if line.rstrip("\n") == END:
                    return rows
                rows.append(line.rstrip("\n").split("\t"))
        except BrokenPipeError:
            pass
        raise Trouble(f"the database cannot be read: {self.psql.stderr.read().strip()}")

    def one(self, statement):
        return self.ask(statement)[0][0]

    def _tables(self):
        # Those that hold rows: of a partitioned table its partitions.
        return [name for name, in self.ask("SELECT relname FROM pg_class WHERE relkind = 'r' "
                                           "AND relnamespace = 'public'::regnamespace ORDER BY relname")
                if not name.startswith(LOG_DAYS)]

    def identifier(self):
        """By which pg_dump sees the same moment."""
        return self.one("SELECT pg_export_snapshot()")

    def tables(self):
        """table → its number of rows and their digest, one after the other as they are read."""
        for name in self._tables():
            if name not in LEFT_OUT:
                rows, digest = self.ask("SELECT count(*), coalesce(sum(hashtextextended(this_row::text, 0)::numeric), 0) "
                                        f"FROM {_quoted(name)} AS this_row")[0]
                yield name, {"rows": int(rows), "digest": digest}

    def migrations(self):
        """number → checksum of each migration that the database has."""
        return {number: checksum for number, checksum in
                self.ask("SELECT version, encode(checksum, 'hex') FROM _sqlx_migrations WHERE success ORDER BY version")}


def _quoted(name):
    return '"' + name.replace('"', '""') + '"'
