"""What Python's own library finds in the server: no clock, no files, no random numbers, and the log
as its output.

A component has nothing that could answer these, so that a call would end the instance without a
word of what it was. Only `_guest` shuts this, inside the component, once the plugin is imported:
until then there is a builder's machine, which has all of them.

Not here: what C code asks for by itself, such as `random.Random()`. That still ends the instance.
"""

import builtins
import os
import random  # noqa: F401  what runs the component loads it after the plugin
import sys
import time
import warnings
from typing import Any, Callable, Dict, Sequence

_CLOCK = "plugins have no clock"
_FILES = "plugins have no files"
_RANDOM = "plugins have no random numbers"

_CLOCKS = (
    "clock_getres clock_gettime clock_gettime_ns get_clock_info monotonic monotonic_ns "
    "perf_counter perf_counter_ns process_time process_time_ns sleep thread_time thread_time_ns "
    "time time_ns"
)
_FORMATS = {"asctime": 1, "ctime": 1, "gmtime": 1, "localtime": 1, "strftime": 2}
_FILE_FUNCTIONS = (
    "access chdir chmod fstat fsync getcwd getcwdb isatty link listdir lstat mkdir open read "
    "readlink remove rename replace rmdir scandir stat symlink truncate unlink utime write"
)


class Lines:
    """Standard output or standard error: what is written comes out by lines."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, write: Callable[[str], Any]) -> None:
        self.write_line = write
        self._rest = ""

    def write(self, text: str) -> int:
        """Takes text; its last line waits for its end."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self.write_line(line)
        return len(text)

    def writelines(self, texts: Sequence[str]) -> None:
        """Takes texts, one after the other."""
        self.write("".join(texts))

    def flush(self) -> None:
        """Writes a line that has not ended."""
        if self._rest:
            rest, self._rest = self._rest, ""
            self.write_line(rest)

    def isatty(self) -> bool:
        """Nobody sees it."""
        return False


def _through(stream: Any) -> Lines:
    return Lines(lambda line: stream.write(f"{line}\n"))


stdout, stderr = _through(sys.stdout), _through(sys.stderr)


def catch_output() -> None:
    """To be called before the plugin is imported: a handler of `logging` keeps the stream that it
    finds."""
    sys.stdout, sys.stderr = stdout, stderr


def shut(info: Callable[[str], Any], warn: Callable[[str], Any]) -> None:
    """Has output go to these, and calls that nothing answers raise."""
    stdout.write_line, stderr.write_line = info, warn
    sys.stdin = None
    warnings.showwarning = _show_warning
    sys.meta_path[:] = [
        finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "PathFinder"
    ]
    sys.meta_path.append(_NoFiles())  # type: ignore[arg-type]
    _replace(_replacements())
    logging: Any = sys.modules.get("logging")
    if logging is not None:
        logging.time = _StoppedClock()
        logging._startTime = 0


def _replacements() -> Dict[Any, Any]:
    """What stands in for what, wherever a module has taken it to."""
    found: Dict[Any, Any] = {builtins.open: _refusing("open()", OSError, _FILES)}

    def refuse(module: Any, names: str, error: type, why: str) -> None:
        for name in names.split():
            if hasattr(module, name):
                words = f"{module.__name__}.{name}()"
                found[getattr(module, name)] = _refusing(words, error, why)

    refuse(time, _CLOCKS, RuntimeError, _CLOCK)
    refuse(os, _FILE_FUNCTIONS, OSError, _FILES)
    refuse(os, "urandom getrandom", NotImplementedError, _RANDOM)
    for name, count in _FORMATS.items():
        found[getattr(time, name)] = _of_a_time(getattr(time, name), count)
    datetime: Any = sys.modules.get("datetime")
    if datetime is not None:
        found[datetime.datetime] = _without_now(datetime.datetime, ("now", "utcnow", "today"))
        found[datetime.date] = _without_now(datetime.date, ("today",))
    return found


def _replace(replacements: Dict[Any, Any]) -> None:
    """The keys are kept by identity: values of modules need not have a hash."""
    by_id = {id(given): instead for given, instead in replacements.items()}
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict) or names is globals():
            continue
        for name, value in list(names.items()):
            if id(value) in by_id:
                names[name] = by_id[id(value)]


def _refusing(words: str, error: type, why: str) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error(f"{words}: {why}")

    return refuse


def _of_a_time(real: Any, count: int) -> Any:
    """Without its last argument it is of now."""

    def only_of_a_time(*given: Any) -> Any:
        if len(given) < count or given[-1] is None:
            raise RuntimeError(f"time.{real.__name__}() of now: {_CLOCK}")
        return real(*given)

    return only_of_a_time


def _without_now(real: Any, names: Sequence[str]) -> Any:
    """The class is C's, whose methods can't be replaced; a class under it can have others."""

    class Same(type):
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, real)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, real)

    words = f"{real.__module__}.{real.__name__}"
    body: Dict[str, Any] = {
        name: staticmethod(_refusing(f"{words}.{name}()", RuntimeError, _CLOCK)) for name in names
    }
    return Same(real.__name__, (real,), {"__module__": real.__module__, "__slots__": (), **body})


def _show_warning(
    message: Any, category: type, filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """As the original, without looking for the source."""
    stderr.write(f"{filename}:{lineno}: {category.__name__}: {message}\n")


class _StoppedClock:
    """For `logging`, which asks for the time of every record: the server's log has its own."""

    def time(self) -> float:
        return 0.0

    def time_ns(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class _NoFiles:
    """Modules that are not loaded yet."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuses what the library imports late."""
        words = f"module {name} is not loaded: {_FILES}; import it at the top of a module"
        if name.startswith("encodings."):
            # The codecs' search would take an ImportError for an encoding that nobody knows.
            raise LookupError(words)
        raise ModuleNotFoundError(words, name=name)
