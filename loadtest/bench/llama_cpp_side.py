"""llama.cpp beside llm-service: installing it, calling it, and whether it does the same work."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from .say import SERVICE, cache, say
from .service import Callers

LLAMA_CPP = "llama-cpp-python==0.3.36"
# The prompts of a verdict, in the order in which the service asks them.
PROMPTS = ("sentiment", "character")
POSTS_PER_DECODE = (1, 2, 4, 8, 16)
# So many posts are counted in tokens by both sides; a larger difference would mean that they do not do the same work.
COMPARED, TOLERANCE = 20, 0.02


class LlamaCpp:
    """llama.cpp in a process of its own, anew for each round."""

    def __init__(self, name, posts, seconds):
        if not (name.endswith(".gguf") and Path(name).is_file()):
            sys.exit(f"llm-bench: LLM_MODEL={name} is not a .gguf file, which llama.cpp needs; "
                     "--no-llama-cpp goes without it")
        prompts = []
        for prompt in PROMPTS:
            head, tail = (SERVICE / "prompts" / f"{prompt}.txt").read_text(encoding="utf-8").split("{post}")
            prompts.append((head.rstrip(" "), tail.rstrip()))
        self.python = tools()
        self.order = {"model": name, "prompts": prompts, "texts": posts, "threads": len(os.sched_getaffinity(0)),
                      "sizes": POSTS_PER_DECODE, "seconds": seconds, "warm_up": min(1, seconds / 4), "compare": COMPARED}

    def run(self, **other):
        order = json.dumps({**self.order, **other})
        done = subprocess.run([self.python, Path(__file__).with_name("llama_cpp_reader.py")], input=order,
                              stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit("llm-bench: llama.cpp failed; its words are above")
        return json.loads(done.stdout)


def tools():
    """A Python with llama-cpp-python, made once."""
    folder = cache() / "tools" / "llama-cpp"
    python = folder / "bin" / "python"

    def works():
        asked = [python, "-c", "import llama_cpp"]
        return python.exists() and subprocess.run(asked, stderr=subprocess.DEVNULL).returncode == 0

    if works():
        return python
    say(f"installing {LLAMA_CPP} into {folder}, once; unless pip has it in its cache, it is compiled, which takes "
        "some 6 minutes")
    install = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet", LLAMA_CPP, "numpy"]
    for base in filter(None, (shutil.which("python3"), "/usr/bin/python3")):
        made = subprocess.run([base, "-m", "venv", "--clear", folder], stdout=sys.stderr).returncode == 0
        if made and subprocess.run([python, *install], stdout=sys.stderr).returncode == 0 and works():
            return python
    sys.exit(f"llm-bench: {LLAMA_CPP} cannot be installed; pip's own words are above. It needs PyPI, a C++ compiler and "
             "python3-venv; --no-llama-cpp goes without it")


def compare(service, llama_cpp, posts):
    """How many tokens a post is on either side. Ends the program when that differs."""
    theirs = llama_cpp.run(texts=posts, sizes=[])["tokens"]
    rest = iter(posts)
    callers = Callers(service, 1, lambda: next(rest, None))
    callers.join()
    # The reason of a dangerous post is in its count too.
    both = [(answer[2], tokens) for answer, tokens in zip(callers.answers, theirs) if not answer[3]]
    if callers.faults or not both:
        sys.exit(f"llm-bench: of {len(posts)} posts {len(both)} were judged harmless, and this went wrong: {callers.faults}")
    ours, theirs = (statistics.mean(side) for side in zip(*both))
    if abs(ours - theirs) > TOLERANCE * theirs:
        sys.exit(f"llm-bench: a post is {ours:.1f} tokens in llm-service and {theirs:.1f} in llama.cpp, so this would be no "
                 "comparison. Is the binary older than the prompts, or LLM_DENSE off? --no-llama-cpp goes without it")
    return {"posts": len(both), "llm_service": ours, "llama_cpp": theirs}
