"""What the containers are made of. Our own images are built from the Dockerfile. The official ones cannot be pulled where only
package mirrors are reached, so each has a stand-in of Debian's packages, under its name and with what compose.yaml expects
of it: the same programs, users, folders and entrypoints.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from stack import build, packages
from stack.layout import NATIVE, ROOT
from stack.say import Trouble, note, run, step

from . import debian
from .debian import Release, Unavailable

# NGINX asks for the addresses of an upstream's servers by itself from this version on.
NGINX_SINCE = (1, 27, 3)
# In this order: the newest stable release that has it, else what will be one.
NGINX_FROM = ("trixie", "trixie-backports", "forky", "sid")

SERVERS = ["postgresql-17", "redis-server", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter",
           "prometheus-redis-exporter", "prometheus-postgres-exporter", "prometheus-nginx-exporter", "wget"]
SERVER_HOOKS = [
    # The official images' users by their numbers, and their folders.
    'sed -i "s/^postgres:x:[0-9]*:[0-9]*:/postgres:x:999:999:/" "$1/etc/passwd"',
    'rm -rf "$1/var/lib/postgresql" "$1/etc/postgresql" "$1/var/lib/prometheus"',
    'install -d -o 999 -g 999 -m 700 "$1/var/lib/postgresql/data"',
    'install -d -o 65534 -g 65534 "$1/prometheus" "$1/alertmanager"',
]
NGINX = ["nginx-light", "gettext-base", "curl"]
NGINX_HOOKS = ['ln -sf /dev/stderr "$1/var/log/nginx/error.log"']
# What distroless cc holds; unpacked and not set up, so that there is no shell.
BARE = ["base-files", "netbase", "tzdata", "libc6", "libgcc-s1", "libstdc++6", "libgomp1"]
BARE_HOOKS = [
    'install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"',
    'printf "%s\\n" root:x:0:0::/root:/sbin/nologin nonroot:x:65532:65532::/home/nonroot:/sbin/nologin >"$1/etc/passwd"',
    'install -d -o 65532 -g 65532 "$1/home/nonroot"',
]
COMPILER = ["build-essential", "pkg-config", "ca-certificates"]

# The entrypoint of each official image, with what Debian calls the program, and more lines for its Dockerfile.
EXPORTER = "USER 65534\nENTRYPOINT [\"/usr/bin/{}\"]"
STANDINS = {
    "postgres": ("ENV PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data\nCOPY postgres.sh /entrypoint.sh\n"
                 "STOPSIGNAL SIGINT\nENTRYPOINT [\"/entrypoint.sh\"]\nCMD [\"postgres\"]"),
    "nginx": "COPY nginx.sh /entrypoint.sh\nSTOPSIGNAL SIGQUIT\nENTRYPOINT [\"/entrypoint.sh\"]\nCMD [\"nginx\"]",
    "redis": "CMD [\"redis-server\"]",
    "prom/prometheus": EXPORTER.format("prometheus"),
    "prom/alertmanager": EXPORTER.format("prometheus-alertmanager"),
    "prom/node-exporter": EXPORTER.format("prometheus-node-exporter"),
    "oliver006/redis_exporter": EXPORTER.format("prometheus-redis-exporter"),
    "prometheuscommunity/postgres-exporter": EXPORTER.format("prometheus-postgres-exporter"),
    "nginx/nginx-prometheus-exporter": EXPORTER.format("prometheus-nginx-exporter"),
    # Only to see that the model is there already: from inside there is no way to the package registry.
    "python": "CMD [\"sh\"]",
}
# What compose.yaml calls our own where LINNET_IMAGES is not set.
OURS = "localhost/linnet"
# Debian packages neither.
ABSENT = {"grafana": "Grafana", "jaeger": "Jaeger"}


def gather(full):
    """The root filesystems, as tar files by name. Needs the network for those that are not there yet, unlike what follows."""
    roots = {
        "servers": debian.root("servers", _newer, SERVERS, hooks=SERVER_HOOKS),
        "nginx": debian.root("nginx", _nginx, NGINX, hooks=NGINX_HOOKS),
        "bare": debian.root("bare", lambda: "bookworm", BARE, variant="extract", hooks=BARE_HOOKS),
    }
    if full:
        roots["compiler"] = debian.root("compiler", lambda: "bookworm", COMPILER)
    return roots


def fetch_crates():
    """So that they are there when the container compiles."""
    run([packages.cargo(), "fetch", "--locked"], "fetching the crates", cwd=ROOT, env=build.environment())


def _newer():
    if not Release("trixie").update():
        raise Unavailable("the mirror of this machine does not have Debian trixie, whose packages stand for the official images")
    return "trixie"


def _nginx():
    tried = []
    for name in NGINX_FROM:
        release = Release(name)
        if release.update():
            version = release.version("nginx-light") or release.version("nginx")
            if version and version >= NGINX_SINCE:
                note(f"NGINX {'.'.join(map(str, version))} of Debian {name}")
                return name
            tried.append(f"{name} has {'.'.join(map(str, version or ())) or 'none'}")
    raise Unavailable(f"no Debian release here has an NGINX from {'.'.join(map(str, NGINX_SINCE))} on ({', '.join(tried)})")


def official():
    """The names of the images that the compose files ask for, but our own: name without its tag → name with it."""
    names = {}
    for file in ("compose.yaml", "compose.override.yaml"):
        for name in re.findall(r"^ +image: (?:&\S+ )?([a-z][^\s$]*)$", (ROOT / file).read_text(), re.M):
            names[name.split(":")[0]] = name
    return names


def make_standins(engine, roots, folder):
    """Imports the root filesystems and gives them the official names."""
    step("images that stand for the official ones")
    for name, tar in roots.items():
        engine.podman("import", "--quiet", str(tar), f"localhost/{name}:root")
    for script in (NATIVE / "compose_test" / "standins").glob("*.sh"):
        shutil.copy(script, folder)
    names = official()
    missing = set(names) - set(STANDINS) - {"grafana/grafana", "jaegertracing/jaeger"}
    if missing:
        raise Trouble(f"compose.yaml asks for {', '.join(sorted(missing))}, but native/compose_test/images.py has no stand-in.")
    for name, recipe in STANDINS.items():
        base = "nginx" if name == "nginx" else "servers"
        _build(engine, folder, f"FROM localhost/{base}:root\n{recipe}\n", f"docker.io/{_full(names[name])}")
    engine.podman("tag", "localhost/bare:root", "gcr.io/distroless/cc-debian12:latest")


def _full(name):
    return name if "/" in name else f"library/{name}"


def _build(engine, folder, text, name, *words):
    (folder / "Containerfile").write_text(text)
    engine.podman("build", "--quiet", "--format", "docker", "--pull=never", *words, "--file", str(folder / "Containerfile"),
                  "--tag", name, str(folder))


def binaries(full):
    """Where the programs of the usual builds are: (folder of api and worker, folder of llm-service). With `full` nobody needs
    those of api and worker. llm-service takes too long to be built for this alone."""
    given = build.given()
    servers, llm = (given, given) if given else (build.target() / "server", build.llm_target() / "release")
    for program in ([] if full else [servers / "api", servers / "worker"]) + [llm / "llm-service"]:
        if not program.is_file():
            raise Unavailable(f"{program} is not there. Build it first (`make up WAIT_LLM=1`, or `make test`), or name a folder "
                              "with api, worker and llm-service: LINNET_BIN_DIR=…")
    return servers, llm


def make_ours(engine, folder, full):
    """Builds the Dockerfile's targets. What the stages `servers` and `llm` would compile is taken from the usual builds, given as
    build contexts of these names; with `full`, api and worker are compiled in the container."""
    step("our own images" + (", compiled in the container" if full else ", with the programs of the usual build"))
    servers, llm = binaries(full)
    contexts = {**({} if full else {"servers": (servers, ("api", "worker"))}), "llm": (llm, ("llm-service",))}
    for context, (source, names) in contexts.items():
        out = folder / context / "out"
        out.mkdir(parents=True)
        (out / "empty").mkdir()
        for name in names:
            shutil.copy2(source / name, out / name)
            os.chmod(out / name, 0o755)
    if full:
        make_compiler(engine, folder)
    for target in ("api", "worker", "llm-service"):
        words = [word for context in contexts for word in ("--build-context", f"{context}={folder / context}")]
        name = f"{OURS}/{target}:local"
        engine.podman("build", "--format", "docker", "--pull=never", "--target", target, *words, "--tag", name, str(ROOT),
                      shown=full)
        size = int(engine.podman("image", "inspect", "--format", "{{.Size}}", name))
        note(f"{target}: {size / 1e6:.0f} MB")


def make_compiler(engine, folder):
    """Stands for the official Rust image: this machine's toolchain on Debian bookworm, with the crates that were fetched."""
    version = re.search(r"^ARG RUST_VERSION=(\S+)$", (ROOT / "Dockerfile").read_text(), re.M)[1]
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT,
                             env=build.environment()).stdout.strip()
    home = Path(os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")) / "registry"
    text = ("FROM localhost/compiler:root\nENV PATH=/usr/local/rust/bin:$PATH CARGO_HOME=/opt/cargo CARGO_NET_OFFLINE=true\n"
            "COPY --from=rust bin /usr/local/rust/bin\nCOPY --from=rust lib /usr/local/rust/lib\n"
            "COPY --from=crates index /opt/cargo/registry/index\nCOPY --from=crates cache /opt/cargo/registry/cache\n")
    _build(engine, folder, text, f"docker.io/library/rust:{version}-bookworm",
           "--build-context", f"rust={sysroot}", "--build-context", f"crates={home}")
