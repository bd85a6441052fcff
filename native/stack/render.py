"""The stack's configuration files, from their templates."""

import ipaddress
import os

from . import packages, watch
from .layout import BINARIES, KINDS, NATIVE, ROOT, write_atomically
from .say import Trouble
from .templates import fill, quoted_environment

# Settings of the programs that a person may give to `make up`, by environment or on its command line.
# Addresses, secrets and ports are not among them: those the stack sets itself.
PASSED_NAMES = {"APP_ENV", "CACHE_ACTIVE", "CONTENT_MAX_CHARACTERS", "DATABASE_MAX_CONNECTIONS", "RATE_LIMITER", "RUST_BACKTRACE"}
PASSED_PREFIXES = ("API_", "HF_", "LLM_", "LOG_", "OTEL_", "RATE_LIMIT_", "TIMELINE_", "WORKER_")
# One service name would be that of all three programs.
OWN_NAMES = {"API_HOST", "API_PORT", "WORKER_HOST", "WORKER_PORT", "LLM_HOST", "LLM_PORT", "LLM_URL", "LLM_TEST_MODEL",
             "OTEL_SERVICE_NAME"}
# What the API and the workers are told about the language model, which may be another server than llm-service.
LLM_CLIENT_NAMES = ("LLM_API_", "LLM_BACKEND", "LLM_SHARE_SECONDS", "LLM_TIMEOUT_SECONDS", "LLM_URL")


def passed_settings():
    """The programs' settings that are in this environment. LLM_URL is the stack's own as long as llm-service judges;
    with LLM_BACKEND=openai it may name somebody else's server."""
    own = OWN_NAMES - ({"LLM_URL"} if os.environ.get("LLM_BACKEND") == "openai" else set())
    return {name: value for name, value in os.environ.items()
            if (name in PASSED_NAMES or name.startswith(PASSED_PREFIXES)) and name not in own and value != ""}


def settings_for(layout, kind):
    """Those of the passed settings that concern a kind of replica: a change of one then replaces no others, and
    a token for the model hub is not shown to the API."""
    whose = {"API_": ("api",), "WORKER_": ("worker",), "TIMELINE_": ("worker",), "LLM_": ("llm",), "HF_": ("llm",),
             **{name: ("api", "worker") for name in LLM_CLIENT_NAMES}}
    chosen = {}
    for name, value in layout.settings.get("passed", {}).items():
        key = max((start for start in whose if name.startswith(start)), key=len, default=None)
        if key is None or kind in whose[key]:
            chosen[name] = value
    return chosen


def environment_of(layout, name):
    """What a replica is told. The interface between the stack and the three programs."""
    kind = name.split("-")[0]
    port = str(layout.replica_port(name))
    own = settings_for(layout, kind)
    if kind == "llm":
        return {**own, "LLM_HOST": "127.0.0.1", "LLM_PORT": port, **layout.settings.get("model", {})}
    own.update(DATABASE_URL=layout.database_url("app"), REDIS_URL=layout.redis_url)
    own.setdefault("LLM_URL", layout.llm_url)
    if kind == "worker":
        return {**own, "WORKER_HOST": "127.0.0.1", "WORKER_PORT": port}
    # The replicas of one machine share its cores. A thread that finds others' requests waiting asks PostgreSQL and Redis
    # for all of them at once, so few threads with much to do beat many that take turns.
    cores = len(os.sched_getaffinity(0))
    own.setdefault("API_WORKERS", str(max(1, cores // KINDS["api"][1])))
    secrets = layout.secrets()
    own["JWT_SECRET"] = secrets["jwt"]
    if "jwt_previous" in secrets:
        own["JWT_SECRET_PREVIOUS"] = secrets["jwt_previous"]
    return {**own, "API_HOST": "127.0.0.1", "API_PORT": port, "TRUSTED_PROXIES": "127.0.0.1"}


def build_environment():
    """What the background build needs of this terminal: where cargo and its caches are."""
    names = ("PATH", "HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "XDG_CACHE_HOME",
             "LINNET_BIN_DIR")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def supervisor(layout, replicas):
    """supervisord.conf: the fixed programs and these replicas."""
    values = {
        "RUN": layout.run, "DATA": layout.data, "LOGS": layout.logs, "CONF": layout.conf, "NATIVE": NATIVE,
        "PORT": layout.port, "USER": layout.user, "NOFILE": layout.nofile,
        "POSTGRES_BIN": layout.settings["postgres_bin"], "POSTGRES_DATA": layout.postgres_data,
        "POSTGRES_USER": layout.postgres_user, "PROMETHEUS": f"127.0.0.1:{layout.prometheus_port}",
        "REDIS_BIN": packages.find("redis-server"), "NGINX_BIN": packages.find("nginx"),
        "PROMETHEUS_BIN": packages.find("prometheus"),
        "BUILD_ENVIRONMENT": layout.settings["build_environment"],
        "Q_DATA": f'"{layout.data}"',
    }
    text = fill(NATIVE / "supervisord.conf.template", values)
    for name in sorted(replicas):
        kind = name.split("-")[0]
        command = f"{layout.bin / BINARIES[kind]}{' serve' if kind == 'api' else ''}"
        text += fill(NATIVE / "replica.conf.template", {
            "NAME": name, "COMMAND": command, "DATA": layout.data, "LOGS": layout.logs,
            "ENVIRONMENT": quoted_environment(environment_of(layout, name))})
    return write_atomically(layout.conf / "supervisord.conf", text + watch.programs(layout))


def _llm_patience(layout):
    """Seconds after which nginx gives up on llm-service: a little more than those who ask through it, so that it
    is they who give up first and know why."""
    asked = layout.settings.get("passed", {}).get("LLM_TIMEOUT_SECONDS", "")
    return (int(asked) if asked.isdigit() else 60) + 15


def front_proxies():
    """The networks in FRONT_PROXIES: who stands before NGINX and is believed about the client's address and scheme. Nobody by
    itself: here everybody comes from 127.0.0.1, and who is believed can be whom he likes."""
    networks = os.environ.get("FRONT_PROXIES", "").replace(",", " ").split()
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as fault:
            raise Trouble(f"FRONT_PROXIES: {fault}. Name addresses or networks, such as 127.0.0.1 or 10.1.0.0/16, with commas "
                          "between them.")
    return networks


def services(layout):
    """The configuration of nginx, Redis and Prometheus. Returns the names of those that changed."""
    in_front = layout.settings.get("front_proxies", [])
    values = {
        "USER_DIRECTIVE": f"user {layout.nginx_user};" if layout.is_root else "# Not root: the workers stay who the master is.",
        "NOFILE": layout.nofile, "RUN": layout.run, "LOGS": layout.logs,
        "CONF": layout.conf, "STATIC": layout.conf, "TEMP": layout.data / "nginx", "UPSTREAMS": layout.upstreams,
        "ERROR_LOG": layout.logs / "nginx-error.log",
        "ACCESS_LOG": layout.logs / "nginx-access.log", "TARGETS": layout.targets,
        "LLM_PATIENCE": f"{_llm_patience(layout)}s",
        "PUBLIC": f"127.0.0.1:{layout.port}", "INTERNAL": f"127.0.0.1:{layout.internal_port}",
        "STATUS": f"127.0.0.1:{layout.status_port}", "PROMETHEUS": f"127.0.0.1:{layout.prometheus_port}",
        "REDIS_PORT": layout.redis_port, "REDIS_PASSWORD": layout.secrets()["redis"], "DATA": layout.data,
        "REDIS_MONITOR_PASSWORD": layout.secrets()["redis_monitor"],
        "REDIS_MONITOR_RIGHTS": (ROOT / "redis" / "monitor.acl").read_text().strip(),
        # As nginx/compose/front-proxies.envsh does it in containers.
        "FRONT_PROXIES_TRUSTED": " ".join(f"set_real_ip_from {network};" for network in in_front),
        "FRONT_PROXIES_KNOWN": " ".join(f"{network} 1;" for network in in_front), **watch.template_values(layout),
    }
    changed = set()
    for program, folder in (("nginx", ROOT / "nginx"), ("prometheus", ROOT / "prometheus")):
        for source in sorted(folder.iterdir()):
            if source.suffix not in (".template", ".conf"):
                continue
            text = fill(source, values) if source.suffix == ".template" else source.read_text()
            if write_atomically(layout.conf / source.name.removesuffix(".template"), text):
                changed.add(program)
    if watch.copies(layout):
        changed.add("prometheus")
    watch.provisioning(layout)
    settings = fill(NATIVE / "redis.conf.template", values) + (ROOT / "redis" / "redis.conf").read_text()
    if write_atomically(layout.conf / "redis.conf", settings):
        changed.add("redis")
    return changed
