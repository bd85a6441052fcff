"""Templates to text. The same `${NAME}` form serves the container images, by envsubst."""

import re
from pathlib import Path

from .say import Trouble


def fill(template, values):
    """Replaces `${NAME}`; a name that is not known is a fault in the template, not an empty string."""
    def value(found):
        if found[1] not in values:
            raise Trouble(f"{template} uses ${{{found[1]}}}, which the stack does not know.")
        return str(values[found[1]])
    return re.sub(r"\$\{([A-Z_]+)\}", value, Path(template).read_text())


def quoted_environment(values):
    """NAME="value",… as supervisor reads it: it expands `%`, knows no escapes, and cuts at ` ;` and ` #`."""
    parts = []
    for name, value in sorted(values.items()):
        quote = "'" if '"' in value else '"'
        if quote in value or re.search(r"[\r\n]|\s[;#]", value):
            raise Trouble(f"{name} has a value that supervisor's configuration cannot carry (a line break, both "
                          "kinds of quotes, or a blank before ; or #). Give it a plainer value.")
        parts.append(f"{name}={quote}{value.replace('%', '%%')}{quote}")
    return ",".join(parts)
