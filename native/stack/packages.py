"""Debian packages: which are missing, and how they come.

System services that exist are never touched, and those that a package brings are not started.
"""

import glob
import os
import re
import shutil
import subprocess
from pathlib import Path

from .layout import ROOT
from .say import Trouble, note, step

# What has to be there, as programs rather than packages: who has nginx from elsewhere needs no other.
RUN = {
    "postgres": "postgresql",
    "redis-server": "redis-server",
    "nginx": "nginx-light",
    "supervisord": "supervisor",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-redis-exporter": "prometheus-redis-exporter",
    "prometheus-postgres-exporter": "prometheus-postgres-exporter",
    "prometheus-nginx-exporter": "prometheus-nginx-exporter",
}
# aws-lc-sys, ring and onig_sys compile C; pkg-config looks for libraries on their behalf.
BUILD = {"cc": "build-essential", "pkg-config": "pkg-config"}
# The small model comes as a Python package.
MODEL = {"pip": "python3-pip"}
# What tests look at the pages with.
BROWSER = {"chromium": "chromium", "chromedriver": "chromium-driver"}
# What the Node baseline runs on; npm also brings the rules of accessibility.
NODE = {"node": "nodejs", "npm": "npm"}
# What the end-to-end test's collector is linked to.
COLLECTOR = {"libpython3.11.so.1.0": "libpython3.11"}

# Without the sbin folders, which Debian leaves out of a plain user's PATH, nginx would seem missing.
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
# Every package of RUN brings a service, and only one has another name.
SERVICES = {package: package for package in RUN.values()} | {"nginx-light": "nginx"}
POLICY = Path("/usr/sbin/policy-rc.d")


def find(program):
    """The path of a program, or None."""
    if program == "postgres":
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: int(path.split("/")[4]))
        return found[-1] if found else shutil.which("postgres", path=PATH)
    if program == "pip":
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for python in ("python3", "/usr/bin/python3"):
            if shutil.which(python) and subprocess.run([python, "-m", "pip", "--version"], **quiet).returncode == 0:
                return python
        return None
    if ".so." in program:
        return next(glob.iglob(f"/usr/lib/*-linux-gnu/{program}"), None)
    return shutil.which(program, path=PATH)


def missing(wanted):
    """The packages that are needed for the programs that are not there."""
    return sorted({package for program, package in wanted.items() if not find(program)})


def _as_root():
    """The words to put before a command so that it runs as root, or None if that is not allowed."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL).returncode == 0:
        return ["sudo", "-n"]
    return None


def ensure(wanted, dry_run=False):
    """Installs what is missing, or says the one command that would."""
    packages = missing(wanted)
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if dry_run:
        note(f"missing; would run: {command}")
        return
    if not shutil.which("apt-get"):
        raise Trouble(f"these Debian packages are missing and there is no apt-get here: {', '.join(packages)}. "
                      "Install the programs they bring by your system's own means.")
    prefix = _as_root()
    if prefix is None:
        raise Trouble("Debian packages are missing. Install them with this one command, then run this again:\n\n"
                      f"    sudo sh -c 'apt-get update && {command}'\n")
    step(f"installing Debian packages: {' '.join(packages)}")
    _apt(prefix, packages)
    still = missing(wanted)
    if still:
        raise Trouble(f"apt-get installed without an error, but these are still not found: {', '.join(still)}.")


def _apt(prefix, packages):
    # A package's service is not to start: its port may be taken, and the stack has its own. An existing
    # policy-rc.d is the administrator's word and stays.
    placed = not POLICY.exists() and not POLICY.is_symlink()
    if placed:
        subprocess.run([*prefix, "sh", "-c", f"umask 022; printf '#!/bin/sh\\nexit 101\\n' > {POLICY}; chmod 755 {POLICY}"],
                       check=True)
    try:
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        install = [*prefix, *environment, "apt-get", "install", "-y", "--no-install-recommends", *packages]
        # The lists may be old, or absent on a fresh machine; a failing update is only told if the install fails too.
        update = subprocess.run([*prefix, *environment, "apt-get", "update", "-qq"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if subprocess.run(install, stdin=subprocess.DEVNULL).returncode != 0:
            said = f"\napt-get update had said:\n{update.stdout.strip()}" if update.returncode else ""
            raise Trouble(f"apt-get could not install {', '.join(packages)}; its own words are above.{said}")
    finally:
        if placed:
            subprocess.run([*prefix, "rm", "-f", str(POLICY)], check=False)
    if os.path.isdir("/run/systemd/system"):
        names = " ".join(SERVICES[package] for package in packages if package in SERVICES)
        if names:
            note("Debian's own services of these packages were not started. To keep them from starting with the "
                 f"machine: systemctl disable {names}")


def cargo():
    """The path of cargo, which must be as new as the workspace asks."""
    found = shutil.which("cargo") or shutil.which(os.path.expanduser("~/.cargo/bin/cargo"))
    needed = re.search(r'^rust-version = "([0-9.]+)"', (ROOT / "Cargo.toml").read_text(), re.M)
    needed = needed.group(1) if needed else "1.85"
    advice = f"Install Rust {needed} or newer with rustup (Debian 12's own cargo is older), then run this again."
    if not found:
        raise Trouble(f"cargo was not found. {advice}")
    said = subprocess.run([found, "--version"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    version = re.match(r"cargo ([0-9]+)\.([0-9]+)", said.stdout)
    if not version:
        raise Trouble(f"`{found} --version` did not say a version: {said.stdout.strip()}. {advice}")
    if tuple(map(int, version.groups())) < tuple(map(int, needed.split(".")[:2])):
        raise Trouble(f"{found} is version {version[1]}.{version[2]}, but Linnet needs {needed}. {advice}")
    return found
