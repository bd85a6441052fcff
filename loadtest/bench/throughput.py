"""The comparison: posts a second at several numbers of callers, and llama.cpp's best."""

import os
import statistics
import time
from pathlib import Path

from .llama_cpp_side import COMPARED, LlamaCpp, compare
from .machine import Others, machine
from .say import say
from .service import Callers

ROUNDS = 2
WARM_UP_SECONDS = 3
# Those that change what is measured; they are told with the figures.
SETTINGS = ("LLM_BATCH", "LLM_DENSE", "LLM_EXAMPLES", "LLM_SAFETY_THRESHOLD", "LLM_TOPICS", "RAYON_NUM_THREADS")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else None


def measure(service, count, supply, seconds):
    """One round of `count` callers."""
    callers = Callers(service, count, supply.take)
    try:
        time.sleep(WARM_UP_SECONDS)
        before, others = service.series(), Others(service.process.pid)
        time.sleep(seconds)
        after, resident, others = service.series(), service.resident(), others.cores()
    finally:
        callers.stop()
    times = [answer[0] for answer in callers.answers]
    # From answer to answer: texts that are read together are answered together, and a window cut between two such
    # passes counts one too many or too few.
    first = max((at for at in times if at <= before["at"]), default=before["at"])
    last = max((at for at in times if at <= after["at"]), default=after["at"])
    counted = [answer for answer in callers.answers if first < answer[0] <= last]
    passes = after["passes"] - before["passes"]
    return {
        "callers": count,
        "posts": len(counted),
        "posts_per_second": len(counted) / (last - first) if counted else 0.0,
        "tokens_per_second": (after["tokens"] - before["tokens"]) / (after["at"] - before["at"]),
        "latencies": [answer[1] for answer in counted],
        "texts_per_pass": (after["texts"] - before["texts"]) / passes if passes else 0.0,
        "resident_bytes": resident,
        "others_cores": others,
        "dangerous": sum(answer[3] for answer in counted),
        "faults": [fault for at, fault in callers.faults if before["at"] < at <= after["at"]],
    }


def together(rounds):
    """The rounds of one number of callers as one."""
    latencies = [value for one in rounds for value in one["latencies"]]
    medians = ("posts_per_second", "tokens_per_second", "texts_per_pass", "resident_bytes")
    return {
        "callers": rounds[0]["callers"],
        **{name: statistics.median(one[name] for one in rounds) for name in medians},
        "rounds": [{name: one[name] for name in ("posts_per_second", "others_cores")} for one in rounds],
        "p50_seconds": percentile(latencies, 0.50),
        "p99_seconds": percentile(latencies, 0.99),
        **{name: sum(one[name] for one in rounds) for name in ("posts", "dangerous")},
        "errors": sum(len(one["faults"]) for one in rounds),
        "first_errors": [fault for one in rounds for fault in one["faults"]][:3],
    }


def best_of(runs):
    return max(runs, key=lambda run: run["posts_per_second"])


def llama_cpp_figures(rounds):
    """The rounds of llama.cpp as one."""
    each = zip(*(one["runs"] for one in rounds))
    runs = [{name: statistics.median(run[name] for run in same) for name in same[0]} for same in each]
    best = best_of(runs)
    return {"version": rounds[0]["version"], "system": rounds[0]["system"], "runs": runs, "rounds": rounds,
            "best_posts_per_second": best["posts_per_second"], "best_posts_per_decode": best["posts_per_decode"]}


def ratios(speed, runs):
    """llm-service against llama.cpp: every number of callers against its best, and one caller, who has no second post to
    offer, against one post at a time too."""
    best = best_of(runs)
    against = []
    for count in speed:
        against.append((count, best, f"llama.cpp's best ({best['posts_per_decode']:.0f} posts per decode)"))
        if count == 1:
            against.append((count, runs[0], "llama.cpp with 1 post per decode"))
    return [{"callers": count, "against": name, "llm_service": speed[count], "llama_cpp": run["posts_per_second"],
             "ratio": speed[count] / run["posts_per_second"]} for count, run, name in against]


def throughput(service, name, callers, supply, options):
    """The whole comparison."""
    llama_cpp = None if options.no_llama_cpp else LlamaCpp(name, supply.posts[:2000], min(10, options.seconds))
    shown = Path(name).name if name.endswith(".gguf") else name
    report = {"machine": machine(), "model": shown, "seconds": options.seconds, "rounds": ROUNDS,
              "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
              "ready_seconds": service.ready_seconds, "calibrated": service.calibrated, "llama_cpp": None, "crowd": None}
    if llama_cpp:
        report["tokens_per_post"] = compare(service, llama_cpp, [supply.take() for _ in range(COMPARED)])
    ours, theirs = {count: [] for count in callers}, []
    for turn in range(1, ROUNDS + 1):
        for count in callers:
            ours[count].append(measure(service, count, supply, options.seconds))
            say(f"round {turn}: llm-service, {count} at once: {ours[count][-1]['posts_per_second']:.2f} posts/s")
        if llama_cpp:
            others = Others(service.process.pid)
            theirs.append({**llama_cpp.run(), "others_cores": others.cores()})
            say(f"round {turn}: llama.cpp, its best: {best_of(theirs[-1]['runs'])['posts_per_second']:.2f} posts/s")
    report["llm_service"] = [together(rounds) for rounds in ours.values()]
    report["texts_repeated"] = max(0, supply.taken - len(supply.posts))
    taken = [one["others_cores"] for one in [*theirs, *(one for rounds in ours.values() for one in rounds)]]
    report["others_cores"] = {"mean": statistics.mean(taken), "most": max(taken)}
    speed = {one["callers"]: one["posts_per_second"] for one in report["llm_service"]}
    if theirs:
        report["llama_cpp"] = llama_cpp_figures(theirs)
        report["ratios"] = ratios(speed, report["llama_cpp"]["runs"])
    if speed.get(1) and max(speed) > 1:
        report["crowd"] = {"callers": max(speed), "ratio": speed[max(speed)] / speed[1]}
    return report
