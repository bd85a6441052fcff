"""Posts to judge: distinct, and the same for llm-service and llama.cpp."""

import random
import re
import sys
import threading
from pathlib import Path


def plain(text):
    """A text as the service reads it: what it would take out of a prompt is out already, so both sides read the same."""
    text = re.sub("[\u00ad\u200b-\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]", "", text)
    text = re.sub("[\"“”„«»]", "'", text).translate(str.maketrans("<[>]", "(())"))
    text = re.sub(r"(?i)(post|sentiment|kind|reason|topic)\s*:", r"\1 ", text)
    return re.sub(r"(.)\1{6,}", lambda run: run[1] * 6, " ".join(text.split()))


def texts(path):
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")[1:]
    except (OSError, UnicodeDecodeError) as fault:
        sys.exit(f"llm-bench: the posts in {path} cannot be read: {fault}")
    found = [plain(line.rsplit("\t", 1)[-1]) for line in lines]
    return [text for text in found if text]


def halves(text):
    words = text.split(" ")
    return " ".join(words[:(len(words) + 1) // 2]), " ".join(words[(len(words) + 1) // 2:])


class Supply:
    """Distinct posts, the same ones in the same order each time."""

    def __init__(self, sources, enough=40_000):
        known = [text for source in sources for text in texts(source)]
        split = [halves(text) for text in known]
        pairs = range(len(split) ** 2)
        chosen = random.Random(1).sample(pairs, min(enough, len(pairs)))
        joined = (f"{split[pair // len(split)][0]} {split[pair % len(split)][1]}".strip() for pair in chosen)
        self.posts, self.taken, self.lock = list(dict.fromkeys(joined)), 0, threading.Lock()

    def take(self):
        with self.lock:
            self.taken += 1
            return self.posts[(self.taken - 1) % len(self.posts)]
