"""`make backup`: the database of the running stack as a folder, from which `make restore` makes one again.

    linnet-20261123T041500Z/
      dump/           pg_dump's, a compressed file for each table
      manifest.json   what it was made from, and what is in it: rows and a digest of each table, migrations
      SHA256SUMS      of all these files; `sha256sum -c SHA256SUMS` checks them too

A folder of that name is whole: it is made under another one and renamed when everything is written.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from . import database
from .layout import ROOT, write_atomically
from .say import Trouble, duration, note, step
from .snapshot import LEFT_OUT, LOG_DAYS, Snapshot

FORMAT = 1
MANIFEST, SUMS, DUMP = "manifest.json", "SHA256SUMS", "dump"
NAME = re.compile(r"linnet-\d{8}T\d{6}Z")
KEEP = 7
# How often it is told how far it is, in seconds.
TELL = 5


def default_folder(layout):
    """Beside the data folder and not in it: `make clean` deletes that one."""
    return layout.data.with_name(f"{layout.data.name}-backups")


def make(layout, supervisor, folder=None, keep=KEEP):
    """Writes a backup into `folder` and deletes this stack's oldest ones there beyond `keep` (0: none). Answers its path."""
    folder = Path(os.path.abspath(folder or default_folder(layout)))
    if folder == layout.data or layout.data in folder.parents:
        raise Trouble(f"{folder} is in the data folder, which `make clean` deletes. Give another one: make backup TO=/path")
    if not supervisor.pid():
        raise Trouble("the stack does not run, so its database cannot be asked. Start it with `make up`.")
    began = time.monotonic()
    with _alone(folder):
        name = datetime.now(timezone.utc).strftime("linnet-%Y%m%dT%H%M%SZ")
        if (folder / name).exists():
            raise Trouble(f"{folder / name} is there already; try again in a second.")
        part = folder / f".{name}.part"
        part.mkdir(mode=0o700)
        try:
            manifest = _write(layout, part)
            os.rename(part, folder / name)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _to_disk(folder)
        rows = sum(table["rows"] for table in manifest["tables"].values())
        note(f"{folder / name}: {rows:,} rows in {len(manifest['tables'])} tables, {megabytes(_size(folder / name))}, "
             f"in {duration(time.monotonic() - began)}")
        if keep:
            _prune(folder, keep, manifest["stack"])
    return folder / name


@contextmanager
def _alone(folder):
    """The folder, made if need be, for one backup at a time; without what earlier ones have left unfinished."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(f"another backup is being written to {folder}; this one is not needed.")
        for left in folder.glob(".linnet-*.part"):
            note(f"removing {left.name}, which was never finished")
            shutil.rmtree(left)
        yield


def _write(layout, part):
    """Everything that is in a backup. Answers its manifest."""
    with Snapshot(layout) as snapshot:
        bytes_there = int(snapshot.one("SELECT pg_database_size(current_database())"))
        free = shutil.disk_usage(part).free
        # Compressed and without indexes it was an eighth of a seeded database (docs/operations.md), and people's words
        # compress less well; the disk may be the one that PostgreSQL writes to.
        if free < bytes_there // 2:
            raise Trouble(f"the database has {megabytes(bytes_there)}, and only {megabytes(free)} are free at {part.parent}. "
                          "Name a folder on another disk: make backup TO=/path")
        step(f"dumping the database ({megabytes(bytes_there)} with its indexes)")
        _dump(layout, part / DUMP, snapshot.identifier())
        step("counting what was dumped")
        manifest = {
            "format": FORMAT,
            "made_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "stack": f"{socket.gethostname()}:{layout.data}",
            "version": _said([str(layout.bin / "api"), "--version"]),
            "commit": _said(["git", "-C", str(ROOT), "rev-parse", "HEAD"]),
            "postgresql": int(snapshot.one("SHOW server_version_num")),
            "migrations": snapshot.migrations(),
            "database_bytes": bytes_there,
            "tables": dict(snapshot.tables()),
            "left_out": list(LEFT_OUT),
        }
    write_atomically(part / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    sums = "".join(f"{digest(path)}  {path.relative_to(part)}\n" for path in files(part))
    write_atomically(part / SUMS, sums)
    for path in (part / MANIFEST, part / SUMS, part):
        _to_disk(path)
    return manifest


def _dump(layout, folder, snapshot):
    """pg_dump, at the lowest priority: who writes posts comes first. It syncs its files itself."""
    command = ["nice", "-n", "19", f"{layout.settings['postgres_bin']}/pg_dump", "--format=directory", f"--file={folder}",
               f"--jobs={jobs()}", f"--snapshot={snapshot}", "--no-owner", "--lock-wait-timeout=60s", "--verbose",
               *(f"--exclude-table-data=public.{table}" for table in LEFT_OUT), f"--exclude-table=public.{LOG_DAYS}*"]
    attend(command, "pg_dump", database.client_environment(layout, "owner"), lambda: _size(folder))


def jobs():
    """Tables that are dumped or restored at once: half of the cores, at most four."""
    return min(4, max(2, len(os.sched_getaffinity(0)) // 2))


def attend(command, what, environment, size=None):
    """Runs pg_dump or pg_restore and tells now and then how far it is."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile("w") as words:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT, env=environment,
                                   umask=0o077)
        try:
            while True:
                try:
                    code = process.wait(timeout=TELL)
                    break
                except subprocess.TimeoutExpired:
                    far = f", {megabytes(size())}" if size else ""
                    note(f"{duration(time.monotonic() - began)}{far}: {_lines(words)[-1]}")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if code != 0:
            faults = [line for line in _lines(words) if re.search("error|fatal", line, re.I)]
            raise Trouble(f"{what} failed (exit code {code}):\n" + "\n".join(faults[-5:] or _lines(words)[-5:]))


def _lines(words):
    # By its name: the place in an open file would be the writer's, too.
    return Path(words.name).read_text(errors="replace").splitlines() or ["begun"]


def _prune(folder, keep, stack):
    """Deletes the oldest whole backups of this stack, so that `keep` are left. Those of others stay."""
    mine = sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name) and _stack_of(path) == stack)
    for old in mine[:-keep]:
        # Out of sight first: half of a backup must not look like one.
        gone = folder / f".{old.name}.part"
        os.rename(old, gone)
        shutil.rmtree(gone)
        note(f"deleted {old.name}: {keep} are kept (KEEP=…)")


def _stack_of(path):
    try:
        return json.loads((path / MANIFEST).read_text()).get("stack")
    except (OSError, ValueError, AttributeError):
        return None


# Checking ----------------------------------------------------------------------------------------------

def verified(folder):
    """The manifest of a backup of which every byte is there; raises a Trouble that says what is not."""
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise Trouble(f"{folder} is not a folder. Name a backup: make restore FROM=/path/linnet-…")
    if folder.name.endswith(".part"):
        raise Trouble(f"{folder} was never finished and is no backup.")
    for name in (SUMS, MANIFEST):
        if not (folder / name).is_file():
            inside = sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name))
            hint = f" Did you mean {folder / inside[-1]}?" if inside else ""
            raise Trouble(f"{folder} is no whole backup: {name} is missing.{hint}")
    wanted = {}
    for line in (folder / SUMS).read_text(errors="replace").splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  (.+)", line)
        if not found:
            raise Trouble(f"{folder} is damaged: {SUMS} has a line that is none: {line[:80]}")
        wanted[found[2]] = found[1]
    there = {str(path.relative_to(folder)): path for path in files(folder)}
    for name in sorted(wanted.keys() ^ there.keys()):
        raise Trouble(f"{folder} is damaged: {name} {'is missing' if name in wanted else 'does not belong to it'}.")
    for name, path in there.items():
        if digest(path) != wanted[name]:
            raise Trouble(f"{folder} is damaged: {name} is not what was written (its SHA-256 differs).")
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest["format"] != FORMAT:
        raise Trouble(f"{folder} has format {manifest['format']}, and this version reads {FORMAT}. Restore it with the version "
                      f"that made it: {manifest.get('version')}, commit {manifest.get('commit')}.")
    return manifest


def files(folder):
    """Every file of a backup but that of the sums, sorted."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir() and path != folder / SUMS)


def digest(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            found.update(block)
    return found.hexdigest()


def megabytes(count):
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / 2**20:.1f} MB"


def _size(folder):
    # Files come while it is looked.
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def _said(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _to_disk(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
