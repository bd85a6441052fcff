"""What the commands print: steps, tables, and errors that say what was wrong and what to do."""

import os
import subprocess
import sys


class Trouble(Exception):
    """Something the person at the terminal has to know: a sentence on what is wrong and what to do."""


def _line(text, stream):
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # Whoever read has had enough (`make up | head`). What was begun is still brought to its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def step(text):
    _line(f"==> {text}", sys.stdout)


def note(text):
    _line(f"    {text}", sys.stdout)


def plain(text=""):
    _line(text, sys.stdout)


def error(text):
    _line(f"linnet: {text}", sys.stderr)


def table(rows):
    """Prints rows (lists of strings, the first one the heading) in columns as wide as they need."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths))
        plain(f"  {line.rstrip()}")


def run(command, what, **options):
    """Runs a command quietly; when it fails its own words become part of the Trouble."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Trouble(f"{what} failed (exit code {done.returncode}):\n{done.stdout.strip()}")
    return done.stdout


def duration(seconds):
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 172800:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} days"
