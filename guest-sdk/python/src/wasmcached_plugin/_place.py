"""Where in the plugin an exception came from: not in this package, which has only looked at a
value, nor in Python's own library. The module `traceback` would look for the source, and in the
server there are no files."""

import os
import typing
from types import TracebackType
from typing import Any, Optional

_OTHERS = (
    os.path.join(os.path.dirname(__file__), ""),
    os.path.join(os.path.dirname(typing.__file__), ""),
    "<frozen ",
)


def place_of(error: BaseException, hook: Any = None) -> str:
    """The last line of the plugin's own; the hook's first where only its answer was wrong."""
    place = None
    trace: Optional[TracebackType] = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not name.startswith(_OTHERS):
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    code = getattr(hook, "__code__", None)
    if place is None and code is not None:
        place = f"{code.co_filename}:{code.co_firstlineno}"
    return place or "?"
