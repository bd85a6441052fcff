"""The soak: resident memory over many distinct posts."""

import sys
import threading
import time

from .machine import machine
from .posts import halves, texts
from .report import mib
from .say import SERVICE, say
from .service import Callers


def soak(service, count, supply):
    """Resident memory over `count` distinct posts from 4 callers."""
    dangerous = texts(SERVICE / "eval" / "safety.tsv")
    if count > len(supply.posts):
        sys.exit(f"llm-bench: there are {len(supply.posts)} distinct posts for a soak of {count}; --posts FILE adds some")
    lock, numbers = threading.Lock(), iter(range(count))

    def take():
        with lock:
            number = next(numbers, None)
        if number is None:
            return None
        if number % 20 != 19:
            return supply.take()
        # Half a harmless post after it, so that none comes twice in a long soak.
        return f"{dangerous[number // 20 % len(dangerous)]} {halves(supply.take())[0]}"

    began, marks = time.monotonic(), []
    callers = Callers(service, 4, take)

    def done():
        return len(callers.answers) + len(callers.faults)

    def mark():
        marks.append({"posts": done(), "resident_bytes": service.resident(), "seconds": time.monotonic() - began})
        say(f"{marks[-1]['posts']} posts: {mib(marks[-1]['resident_bytes'])} MiB")

    try:
        while any(thread.is_alive() for thread in callers.threads):
            if done() >= 200 * (len(marks) + 1):
                mark()
            time.sleep(0.02)
    finally:
        callers.stop()
    if not marks or marks[-1]["posts"] < done():
        mark()
    growth = 100 * (marks[-1]["resident_bytes"] / marks[0]["resident_bytes"] - 1)
    return {"machine": machine(), "ready_seconds": service.ready_seconds, "soak": marks, "growth_percent": growth,
            "dangerous": sum(answer[3] for answer in callers.answers), "errors": len(callers.faults),
            "first_errors": [fault for _, fault in callers.faults[:3]]}
