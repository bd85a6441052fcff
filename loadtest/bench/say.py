"""Where things are, and how progress is told."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICE = ROOT / "llm-service"


def say(text):
    print(text, file=sys.stderr, flush=True)


def cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "linnet"
