"""Who holds a port, who is still alive, how much memory they take. Only ever by process id."""

import os
import signal
import socket
import time
from pathlib import Path

from .say import Trouble, note


def _listening(ports):
    """The sockets that listen on these ports, as /proc names them: "socket:[inode]" → port."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            # 0A is LISTEN; the address is hexadecimal, IP:PORT.
            port = int(fields[1].rsplit(":", 1)[1], 16)
            if fields[3] == "0A" and port in ports:
                found[f"socket:[{fields[9]}]"] = port
    return found


def holders(ports):
    """port → the ids of the processes that listen on it, as far as this user may see them."""
    inodes = _listening(ports)
    found = {}
    if not inodes:
        return found
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for handle in (process / "fd").iterdir():
                port = inodes.get(os.readlink(handle))
                if port is not None:
                    found.setdefault(port, set()).add(int(process.name))
        except OSError:
            continue
    return found


def taken(port):
    """Whether something already has this port on the loopback address."""
    with socket.socket() as probe:
        # Connections of an earlier run that are still in TIME_WAIT do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return True
    return False


def refuse_taken(ports):
    """`ports` is port → what wants it. Raises a Trouble that names each taken one and its holder."""
    busy = {port: what for port, what in ports.items() if taken(port)}
    if not busy:
        return
    who = holders(busy)
    lines = []
    for port, what in sorted(busy.items()):
        pids = sorted(who.get(port, ()))
        by = ", ".join(f"{name_of(pid)} (pid {pid})" for pid in pids) or "a process of another user, whose id this user cannot see"
        lines.append(f"port {port} ({what}) is taken by {by}.")
    raise Trouble("\n".join(lines) + "\nEnd what holds it, or choose another place with PORT=… "
                  "(the stack takes that port and the 65 after it).")


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "an unknown program"


def alive(pid):
    """False also for a zombie: it has ended, only nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid):
    try:
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except OSError:
        return set()


def tree(pid):
    """A process and all below it."""
    found = {pid}
    for child in children(pid):
        found |= tree(child)
    return found


def memory(pid):
    """Bytes of memory of a process and its children; what several share is counted once (the kernel's PSS)."""
    total = 0
    for member in tree(pid):
        try:
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


def runs_old_file(pid, path):
    """Whether the process was started from another file than the one now at `path`."""
    try:
        running, there = os.stat(f"/proc/{pid}/exe"), os.stat(path)
    except OSError:
        return False
    return (running.st_dev, running.st_ino) != (there.st_dev, there.st_ino)


def leftovers(layout, supervisor_pid=None):
    """Processes of this stack that outlived what started them: they listen on its ports and work in its folders.

    Both are asked for, so that nothing of anyone else's is ever taken for ours. Beside a running supervisor
    there can be nginx' workers, which go on when their master is killed and hold its ports.
    """
    known = tree(supervisor_pid) if supervisor_pid else set()
    folders = {str(layout.data)}
    if "postgres" in layout.settings:
        folders.add(str(layout.postgres_data))
    ports = range(layout.port, layout.port + 66)
    found = {}
    for port, pids in holders(ports).items():
        for pid in pids:
            try:
                folder = os.readlink(f"/proc/{pid}/cwd")
            except OSError:
                continue
            if pid not in known and any(folder == ours or folder.startswith(ours + "/") for ours in folders):
                found.setdefault(pid, set()).add(port)
    return found


def end_leftovers(layout, supervisor_pid=None):
    """Asks leftovers to stop, front first and PostgreSQL last. Returns how many there were."""
    left = leftovers(layout, supervisor_pid)
    if not left:
        return 0
    note("processes of this stack outlived what started them; they are stopped first: "
         + ", ".join(f"{name_of(pid)} (pid {pid})" for pid in sorted(left)))
    databases = {pid for pid, ports in left.items() if layout.postgres_port in ports}
    for group, how, seconds in ((set(left) - databases, signal.SIGTERM, 45), (databases, signal.SIGINT, 90)):
        for pid in group:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass
        until = time.monotonic() + seconds
        while any(alive(pid) for pid in group):
            if time.monotonic() > until:
                stuck = ", ".join(f"{name_of(pid)} (pid {pid})" for pid in group if alive(pid))
                raise Trouble(f"{stuck} did not stop within {seconds} s of being asked. Look at {layout.logs}, "
                              "then end it by its id.")
            time.sleep(0.05)
    return len(left)
