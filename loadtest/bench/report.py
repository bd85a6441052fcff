"""The figures as text."""


def mib(size):
    return f"{size / 2**20:.0f}"


def milliseconds(seconds):
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def table(rows):
    """Rows of words under each other, all but the first column to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for first, *others in rows:
        print("  ".join([f"  {first:<{widths[0]}}", *(f"{word:>{width}}" for word, width in zip(others, widths[1:]))]))


def yes(value):
    return "yes" if value >= 1.0 else "no"


def show(report):
    about = report["machine"]
    print(f"\n{about['cores']} cores, {about['cpu']}; load before: {about['load_before']:.2f}; "
          f"build flags: {about['build_flags']}")
    print(f"{report['model']}, {report['seconds']} s per figure, medians of {report['rounds']} rounds"
          + "".join(f", {name}={value}" for name, value in report["settings"].items()))
    others = report["others_cores"]
    print(f"Other programs took {others['mean']:.2f} cores meanwhile, {others['most']:.2f} at most.")
    if others["most"] > 0.2:
        print("That is too much: llama.cpp's threads wait for the slowest of them, so the ratio flatters llm-service.")
    show_service(report)
    if report["llama_cpp"]:
        show_llama_cpp(report)
    if crowd := report["crowd"]:
        print(f"\n{crowd['callers']} callers / 1 caller: {crowd['ratio']:.2f}, ≥ 1.0: {yes(crowd['ratio'])}")


def show_service(report):
    first = ", calibrated first" if report["calibrated"] else ""
    print(f"\nllm-service: ready after {report['ready_seconds']:.2f} s{first}")
    rows = [["callers", "posts/s", "tokens/s", "p50 ms", "p99 ms", "texts/pass", "memory MiB", "dangerous", "errors"]]
    for one in report["llm_service"]:
        rows.append([str(one["callers"]), f"{one['posts_per_second']:.2f}", f"{one['tokens_per_second']:.0f}",
                     milliseconds(one["p50_seconds"]), milliseconds(one["p99_seconds"]), f"{one['texts_per_pass']:.2f}",
                     mib(one["resident_bytes"]), f"{one['dangerous']} of {one['posts']}", str(one["errors"])])
    table(rows)
    for one in report["llm_service"]:
        if one["errors"]:
            print(f"  with {one['callers']} callers: {', '.join(map(str, one['first_errors']))} …")
    if report["texts_repeated"]:
        print(f"  {report['texts_repeated']} posts came twice: there were not enough")


def show_llama_cpp(report):
    theirs, tokens = report["llama_cpp"], report["tokens_per_post"]
    print(f"\nllama.cpp ({theirs['version']}, {report['machine']['cores']} threads): {theirs['system']}")
    rows = [["posts per decode", "posts/s", "tokens/s", "p50 ms", "memory MiB"]]
    for one in theirs["runs"]:
        rows.append([f"{one['posts_per_decode']:.0f}", f"{one['posts_per_second']:.2f}", f"{one['tokens_per_second']:.0f}",
                     milliseconds(one["p50_seconds"]), mib(one["resident_bytes"])])
    table(rows)
    print(f"  tokens per post: llm-service {tokens['llm_service']:.1f}, llama.cpp {tokens['llama_cpp']:.1f} "
          f"({tokens['posts']} posts)\n\nllm-service / llama.cpp, in posts/s")
    rows = [["callers", "llm-service", "llama.cpp", "ratio", "≥ 1.0"]]
    for one in report["ratios"]:
        rows.append([f"{one['callers']}, {one['against']}", f"{one['llm_service']:.2f}", f"{one['llama_cpp']:.2f}",
                     f"{one['ratio']:.2f}", yes(one["ratio"])])
    table(rows)


def show_soak(report):
    print(f"ready after {report['ready_seconds']:.2f} s")
    table([["posts", "memory MiB", "after s"]] +
          [[str(one["posts"]), mib(one["resident_bytes"]), f"{one['seconds']:.0f}"] for one in report["soak"]])
    first, last = report["soak"][0], report["soak"][-1]
    print(f"soak: {report['growth_percent']:+.1f} % from post {first['posts']} to post {last['posts']}; "
          f"{report['dangerous']} dangerous, {report['errors']} errors {report['first_errors'] or ''}")
