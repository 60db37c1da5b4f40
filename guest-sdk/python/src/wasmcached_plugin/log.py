"""Lines for the plugin's log: the server's in Wasm, standard error in native tests.

Logging never fails and never blocks; the server cuts long lines and drops floods.
"""

import sys
from typing import Any

if sys.platform == "wasi":
    from wit_world.imports.log import Level
    from wit_world.imports.log import log as _log

    def _write(level: str, message: Any) -> None:
        # A lone surrogate can't cross.
        line = str(message).encode(errors="backslashreplace").decode()
        _log(Level[level], line)

else:

    def _write(level: str, message: Any) -> None:
        print(f"{level.capitalize()}: {message}", file=sys.stderr)


def debug(message: Any) -> None:
    """Writes a line that helps the plugin's author."""
    _write("DEBUG", message)


def info(message: Any) -> None:
    """Writes a line that an operator may want to know."""
    _write("INFO", message)


def warn(message: Any) -> None:
    """Writes a line about something odd that was dealt with."""
    _write("WARN", message)


def error(message: Any) -> None:
    """Writes a line about something that went wrong."""
    _write("ERROR", message)
