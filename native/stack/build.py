"""cargo, and the copies of its binaries that the stack runs.

The stack runs copies: cargo's own are replaced whenever anything is built, and a replica that supervisor
starts again must not become another version than its neighbours.
"""

import filecmp
import os
import shutil
import subprocess
from pathlib import Path

from . import packages
from .layout import BINARIES, ROOT
from .say import Trouble, step


def given():
    """The folder named by LINNET_BIN_DIR, whose binaries are used instead of building, or None."""
    folder = os.environ.get("LINNET_BIN_DIR")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise Trouble(f"LINNET_BIN_DIR={folder} is not a folder. Give one that holds api, worker and llm-service, "
                      "or leave it out and they are built.")
    return Path(folder).resolve()


def target():
    """cargo's folder: outside the clone, so that another clone on this machine finds the dependencies built."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("CARGO_TARGET_DIR") or Path(cache) / "linnet" / "target")


def llm_target():
    """A folder of its own: other compiler flags in the same folder would rebuild everything at each turn."""
    return target() / "llm"


def environment():
    """For every cargo call. SQL is checked against the committed .sqlx folder, never against a database that
    happens to be named in this terminal."""
    return {**os.environ, "PATH": packages.PATH, "SQLX_OFFLINE": "true", "CARGO_TARGET_DIR": str(target())}


def llm_environment():
    # candle chooses its SIMD kernels at compile time: without this the small model is six times slower.
    return {**environment(), "CARGO_TARGET_DIR": str(llm_target()), "RUSTFLAGS": "-C target-cpu=native"}


def servers():
    """Builds api and worker and takes the copies over."""
    if not given():
        step("building api and worker (optimised: minutes, the first time)")
        command = [packages.cargo(), "build", "--profile", "server", "--locked", "-p", "api", "-p", "worker"]
        if subprocess.run(command, cwd=ROOT, env=environment()).returncode != 0:
            raise Trouble("the build failed; cargo's own words are above. What already runs was left as it is.")


def take(layout, kind):
    """Copies a kind's binary into the data folder if it differs. True if it did."""
    name = BINARIES[kind]
    folder = given() or (llm_target() / "release" if kind == "llm" else target() / "server")
    source, copy = folder / name, layout.bin / name
    if not source.is_file():
        raise Trouble(f"{source} is not there, though it should have been built.")
    if copy.exists() and filecmp.cmp(source, copy, shallow=False):
        return False
    temporary = layout.bin / f".{name}.{os.getpid()}"
    shutil.copyfile(source, temporary)
    os.chmod(temporary, 0o700)
    os.rename(temporary, copy)
    return True
