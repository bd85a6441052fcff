"""`make rotate`: another secret signs the tokens, and nobody is logged out.

Replicas are replaced one after the other, and each must believe what another one signs. So all learn to believe the new
secret first, then all sign with it; the one before is believed for as long as a login lasts.
"""

import secrets
import time

from . import replicas
from .say import Trouble, duration, note, step

# How long a login lasts (domain/src/auth/token.rs).
LIFETIME = 24 * 3600


def rotate(layout, supervisor, end, sure):
    """Changes the secret; with `end`, stops believing the one before. `sure` does it even if it logs people out."""
    with layout.lock("make rotate"):
        if not supervisor.pid():
            raise Trouble("the stack does not run. Start it with `make up`.")
        kept = layout.secrets()
        left = seconds_left(kept)
        if end and "jwt_previous" not in kept:
            note("only one secret is believed; there is nothing to end")
            return
        if left and not sure:
            raise Trouble("the secret was changed less than a day ago: whoever has not logged in since would be logged out. Wait "
                          f"for {duration(left)}, or say YES=1.")
        if end:
            step("the secret before is no longer believed")
            _take(layout, supervisor, {name: value for name, value in kept.items() if not name.startswith("jwt_")})
            return
        fresh = secrets.token_hex(32)
        step("1 of 2: every replica learns to believe the new secret")
        _take(layout, supervisor, {**kept, "jwt_previous": fresh, "jwt_changed_at": "0"})
        step("2 of 2: every replica signs with it")
        _take(layout, supervisor, {**kept, "jwt": fresh, "jwt_previous": kept["jwt"], "jwt_changed_at": str(int(time.time()))})
        note("the secret before is believed for those who are logged in. In a day, end that: make rotate END=1")


def seconds_left(kept):
    """How long there may still be logins from before the last change."""
    return max(0, int(kept.get("jwt_changed_at", "0")) + LIFETIME - int(time.time()))


def is_overdue(kept):
    """Whether a secret is still believed that nobody needs any more."""
    return "jwt_previous" in kept and not seconds_left(kept)


def _take(layout, supervisor, changed):
    layout.keep_secrets(changed)
    replicas.apply(layout, supervisor, {"api": layout.wanted("api")})
