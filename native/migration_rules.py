"""What a migration may do while replicas run that know nothing of it: a step of `make test`.

Squawk, a linter of PostgreSQL migrations, reads those that came since it is asked. What it finds can be meant: then the file
says why in a comment, names the rule (`-- squawk-ignore ban-drop-column`) before the statement, and, where replicas of before
would fail, raises the schema's floor, so that they say that they are too old. docs/operations.md has the rules for people.
"""

import re
import subprocess

from stack.layout import ROOT
from stack.say import Trouble, note

# Those before were applied when nobody asked, and an applied migration never changes.
SINCE = 17
# Squawk's rules that are not ours, and why.
NOT_OURS = {
    "prefer-robust-stmts": "a migration runs once, in a transaction, and sqlx knows which have run",
    "require-lock-timeout": "`api migrate` waits two seconds for a lock, gives way and tries again",
    "require-statement-timeout": "what has its lock may take its time",
    "prefer-bigint-over-int": "counts and places are small",
    "prefer-bigint-over-smallint": "counts and places are small",
}
# Rules about what a replica of before may still use or leave out; the others are about locks.
BREAKS = re.compile(r"ban-(drop|set|replace|disable)-|ban-revoke|renaming-|changing-column-type|"
                    r"adding-(required|not-nullable)-field")


def check(squawk):
    """Raises a Trouble with Squawk's own words, or with ours, when a migration breaks a rule."""
    files = [path for path in sorted((ROOT / "migrations").glob("*.sql")) if number(path) >= SINCE]
    numbers = [number(path) for path in sorted((ROOT / "migrations").glob("*.sql"))]
    if numbers != list(range(1, len(numbers) + 1)):
        # One that came later with a lower number would look to programs of before as if another line had made it.
        raise Trouble(f"the migrations' numbers have a hole or come twice: {numbers}. They follow each other.")
    for path in files:
        text = path.read_text()
        # One that runs outside a transaction says so in its first line, for sqlx.
        said = judged(squawk, text, whole=not text.startswith("-- no-transaction"))
        if said.returncode != 0:
            raise Trouble(f"{path.name} does what replicas of before cannot live with, or what stops them. How to do it instead: "
                          f"docs/operations.md, \"Migrations\".\n{said.stdout.strip()}")
        fault = unfounded(number(path), text)
        if fault:
            raise Trouble(f"{path.name} {fault}. docs/operations.md, \"Migrations\", says how.")
    prove(squawk)
    note(f"{len(files)} migrations since {SINCE:04d} go together with replicas that do not know them, or say that they do not")


def judged(squawk, text, whole=True):
    """What Squawk says of a migration, which runs as a whole or, if not `whole`, outside a transaction."""
    how = ["--assume-in-transaction"] if whole else ["--no-assume-in-transaction"]
    return subprocess.run([squawk, f"--exclude={','.join(NOT_OURS)}", *how, "--pg-version=15.0"], input=text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def number(path):
    return int(path.name.split("_")[0])


def unfounded(own, text):
    """What is wrong with the exceptions that a migration makes for itself, as the end of a sentence; None if nothing is."""
    lines = re.findall(r"^\s*--\s*squawk-ignore(?:-file)?\b(.*)$", text, re.M)
    if not all(line.strip() for line in lines):
        return "is let off every rule: name those that it breaks, and say why"
    broken = sorted(rule.strip() for line in lines for rule in line.split(",") if BREAKS.match(rule.strip()))
    floor = re.search(r"^UPDATE schema_floor SET level = (\d+);", text, re.M)
    if broken and not floor:
        return (f"is let off {', '.join(broken)} and does not raise the schema's floor (UPDATE schema_floor SET level = …;) to "
                "the migration that a program must know to do without what is taken away")
    if floor and int(floor[1]) >= own:
        return f"raises the schema's floor to {floor[1]}: no program that runs could live with it"
    return None


# What the check is there to find; each must be found, and the last ones must not.
BAD = [
    "ALTER TABLE posts DROP COLUMN content;",
    "ALTER TABLE posts RENAME COLUMN content TO words;",
    "ALTER TABLE posts RENAME TO entries;",
    "DROP TABLE posts;",
    "ALTER TABLE posts ALTER COLUMN content SET NOT NULL;",
    "ALTER TABLE posts ADD COLUMN kind text NOT NULL;",
    "ALTER TABLE posts ALTER COLUMN content TYPE varchar(9);",
    "CREATE INDEX posts_kind_idx ON posts (kind);",
    "ALTER TABLE posts ADD CONSTRAINT posts_kind_check CHECK (kind <> '');",
]
GOOD = [
    "ALTER TABLE posts ADD COLUMN kind text;",
    "CREATE TABLE moods (post_id bigint PRIMARY KEY, mood text NOT NULL); CREATE INDEX moods_mood_idx ON moods (mood);",
    "ALTER TABLE posts ADD CONSTRAINT posts_kind_check CHECK (kind <> '') NOT VALID;",
]


def prove(squawk):
    """Sees that the rules find what they are there for, with this version of Squawk."""
    for statements, wanted in [(BAD, 1), (GOOD, 0)]:
        for statement in statements:
            if judged(squawk, statement).returncode != wanted:
                raise Trouble(f"Squawk {'finds nothing in' if wanted else 'finds something in'}: {statement}")
    dropped = "-- Nobody reads it since 0017.\n-- squawk-ignore ban-drop-column\nALTER TABLE posts DROP COLUMN kind;\n"
    for text, wanted in [(dropped, True), (f"{dropped}UPDATE schema_floor SET level = 17;\n", False),
                         (f"{dropped}UPDATE schema_floor SET level = 20;\n", True), (GOOD[0], False)]:
        if bool(unfounded(20, text)) != wanted:
            raise Trouble(f"this migration is judged wrongly:\n{text}")
