"""The machine: what it is, and how much of it other programs take while something is measured."""

import os
import re
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def machine():
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return {"cores": len(os.sched_getaffinity(0)), "cpu": names[0] if names else "unknown",
            "load_before": os.getloadavg()[0], "build_flags": "unknown"}


class Others:
    """How many cores programs other than this one, its children and `pid` are taking."""

    def __init__(self, pid):
        self.pid = pid
        self.began, self.before = time.monotonic(), self.seconds()

    def seconds(self):
        """CPU seconds of theirs, and of the host where it took the cores away."""
        busy = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = busy
        # The name of a program, in brackets, may hold spaces.
        service = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ours = int(service[11]) + int(service[12])
        return (user + nice + system + irq + softirq + steal - ours) / TICKS - sum(os.times()[:4])

    def cores(self):
        return max(0.0, (self.seconds() - self.before) / (time.monotonic() - self.began))
