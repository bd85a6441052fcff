"""Packages and root filesystems of Debian releases, this machine's and others, from the mirror that apt uses here.

Nothing of another release is installed: its packages are unpacked into a folder or into an image.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from stack.say import Trouble, note, run, step

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Downloads and root filesystems; kept, because they are the same tomorrow.
CACHE = Path(os.environ.get("LINNET_CACHE") or os.path.expanduser("~/.cache/linnet")) / "compose"

# A mirror may be weeks behind, which a release that still changes forbids; what it holds is signed all the same.
LAGGING = {"Acquire::Check-Valid-Until": "false"}


class Unavailable(Exception):
    """This machine cannot have what the test needs; the sentence says what."""


def mirror():
    """(address of the mirror, name of this machine's release)."""
    if not shutil.which("apt-get") or not Path(KEYS).exists():
        raise Unavailable("this is not Debian: the images that stand for the official ones are made of its packages")
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(CODENAME)", "Created-By: Packages"],
                          stdout=subprocess.PIPE, text=True).stdout
    for line in said.splitlines():
        uri, origin, release = (line.split(" ") + ["", ""])[:3]
        if origin == "Debian" and release and "-" not in release:
            return uri, release
    raise Unavailable("apt knows no mirror of Debian here; `apt-get update` may help")


def source(release):
    """The line for sources.list."""
    return f"deb [signed-by={KEYS}] {mirror()[0]} {release} main"


class Release:
    """A Debian release that apt asks about apart from the machine's own."""

    def __init__(self, name):
        self.name = name
        self.folder = CACHE / "apt" / name

    def _apt(self, program, *arguments, **options):
        folder = self.folder
        settings = {
            "Dir::State": folder / "state", "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": folder / "sources.list", "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null", "Dir::Etc::PreferencesParts": "/dev/null",
            # The account that apt downloads as cannot get into a folder of ours.
            "APT::Sandbox::User": "root", **LAGGING,
        }
        words = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return subprocess.run([program, *words, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, **options)

    def update(self):
        """Fetches the lists, once a run. False when the mirror has no such release."""
        for part in ("state/lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(source(self.name) + "\n")
        return self._apt("apt-get", "update", "-qq", "--error-on=any").returncode == 0

    def version(self, package):
        """The upstream version, as numbers, or None."""
        found = re.search(r"Candidate: (?:\d+:)?(\d+(?:\.\d+)*)", self._apt("apt-cache", "policy", package).stdout)
        return tuple(map(int, found[1].split("."))) if found else None

    def unpack(self, package, into):
        """Downloads a package and unpacks it into a folder."""
        into.mkdir(parents=True, exist_ok=True)
        said = self._apt("apt-get", "download", package, cwd=into)
        files = sorted(into.glob(f"{package}_*.deb"))
        if said.returncode != 0 or not files:
            raise Unavailable(f"the package {package} of Debian {self.name} cannot be had:\n{said.stdout.strip()}")
        run(["dpkg-deb", "-x", str(files[-1]), str(into)], f"unpacking {package}")
        files[-1].unlink()


def root(name, release, packages, variant="minbase", hooks=()):
    """A root filesystem as a tar file: made by mmdebstrap, kept, and made anew when what it consists of changes. Which release it
    is of, `release` is asked only when it is made."""
    # Where packages are only unpacked mmdebstrap comes to no other hook.
    hook = "extract-hook" if variant == "extract" else "customize-hook"
    recipe = "\n".join([variant, *packages, *(f"{hook}={command}" for command in hooks)])
    tar, stamp = CACHE / f"{name}.tar", CACHE / f"{name}.recipe"
    if tar.exists() and stamp.exists() and stamp.read_text() == recipe:
        return tar
    release = release()
    step(f"making the root filesystem {name} of Debian {release}: {' '.join(packages)}")
    CACHE.mkdir(parents=True, exist_ok=True)
    part = CACHE / f".{name}.tar"
    command = ["mmdebstrap", "--quiet", "--mode=root", f"--variant={variant}", f"--include={','.join(packages)}",
               *(f'--aptopt={name} "{value}"' for name, value in LAGGING.items()),
               # Neither documentation nor translations.
               "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
               "--dpkgopt=path-exclude=/usr/share/locale/*",
               *(f"--{hook}={command}" for command in hooks), release, str(part), source(release)]
    environment = {**os.environ, "TMPDIR": str(CACHE), "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(command, f"mmdebstrap of {release}", env=environment, stdin=subprocess.DEVNULL)
    except Trouble as fault:
        part.unlink(missing_ok=True)
        raise Unavailable(str(fault))
    part.replace(tar)
    stamp.write_text(recipe)
    return tar


def compose():
    """The command of Docker Compose 2: this machine's own, else the one that a newer Debian packages."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            said = subprocess.run([*command, "version", "--short"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            # From 2.30 on it asks for an API that the podman of Debian 12 does not offer.
            version = re.match(r"v?2\.(\d+)\.", said.stdout)
            if said.returncode == 0 and version and 24 <= int(version[1]) < 30:
                return command
    folder = CACHE / "docker-compose"
    if not _programs(folder):
        release = Release("trixie")
        step(f"unpacking Docker Compose of Debian {release.name}")
        if not release.update():
            raise Unavailable("the mirror of this machine does not have Debian trixie, from which Docker Compose 2 comes")
        release.unpack("docker-compose", folder)
    program = _programs(folder)[0]
    note(f"Docker Compose {run([program, 'version', '--short'], 'asking docker-compose for its version').strip()}")
    return [program]


def _programs(folder):
    # The package's own link to it is meant for the root of a machine.
    found = [path for path in folder.rglob("docker-compose") if path.is_file() and not path.is_symlink()]
    return [str(path) for path in found if path.stat().st_mode & 0o100]
