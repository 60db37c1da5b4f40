"""What Python's own library finds in the server. Nothing opens it again, so each test has a process
of its own."""

import json
import subprocess
import sys
from pathlib import Path

import wasmcached_plugin

SOURCE = Path(wasmcached_plugin.__file__).parent.parent

SHUT = """
import datetime, json, linecache, logging, os, secrets, time, traceback, uuid, warnings
from datetime import date, datetime as when
from os import urandom
from time import monotonic, time as now
from wasmcached_plugin import _sandbox

lines, kept = [], [os.write]
_sandbox.catch_output()
logging.basicConfig(format="%(levelname)s %(message)s")
_sandbox.shut(lambda line: lines.append(["info", line]), lambda line: lines.append(["warn", line]))

def said(ask):
    try:
        return str(ask())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

"""


def printed(body):
    script = f"{SHUT}{body}\nkept[0](1, json.dumps(found).encode())\n"
    command = [sys.executable, "-B", "-c", script]
    environment = {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_asking_for_now_raises_wherever_a_module_has_taken_it_to():
    asked = "time.time now monotonic when.now datetime.datetime.utcnow date.today time.localtime"
    found = printed(f"found = [said(ask) for ask in ({asked.replace(' ', ', ')})]")
    names = "time.time() time.time() time.monotonic() datetime.datetime.now() "
    names += "datetime.datetime.utcnow() datetime.date.today()"
    expected = [f"RuntimeError: {name}: plugins have no clock" for name in names.split()]
    expected.append("RuntimeError: time.localtime() of now: plugins have no clock")
    assert found == expected


def test_files_and_random_numbers_are_refused_by_name():
    asked = "lambda: open('a'), lambda: os.listdir('/'), lambda: urandom(1), uuid.uuid4, "
    found = printed(f"found = [said(ask) for ask in ({asked} secrets.token_hex)]")
    no_random = "NotImplementedError: os.urandom(): plugins have no random numbers"
    assert found == [
        "OSError: open(): plugins have no files",
        "OSError: os.listdir(): plugins have no files",
        *[no_random] * 3,
    ]


def test_times_that_are_given_stay_what_they_are():
    body = """
made = when(2026, 1, 2, 3, tzinfo=datetime.timezone.utc)
found = [made.isoformat(), isinstance(made, date), isinstance(datetime.datetime.min, when)]
found += [str(made + datetime.timedelta(1)), time.gmtime(0).tm_year, os.path.exists("/")]
found += [when.fromisoformat("2026-01-02").strftime("%Y"), repr(made - made)]
"""
    stays = ["2026-01-02T03:00:00+00:00", True, True, "2026-01-03 03:00:00+00:00", 1970, False]
    assert printed(body) == [*stays, "2026", "datetime.timedelta(0)"]


def test_output_goes_to_the_log_by_lines():
    body = """
print("a", "b", end="")
print("c\\nd")
logging.error("logged")
warnings.warn("warned", UserWarning)
print("rest", end="")
_sandbox.stdout.flush()
try:
    1 / 0
except ZeroDivisionError:
    print(traceback.format_exc().splitlines()[-1])
found = lines
"""
    found = printed(body)
    assert found[3][1].endswith(": UserWarning: warned") and found.pop(3)[0] == "warn"
    wanted = [["info", "a bc"], ["info", "d"], ["warn", "ERROR logged"], ["info", "rest"]]
    assert found == [*wanted, ["info", "ZeroDivisionError: division by zero"]]


def test_what_the_library_imports_late_is_named():
    body = """
found = [said(lambda: __import__("wave")), said(lambda: "a".encode("cp1252"))]
"""
    late = "is not loaded: plugins have no files; import it at the top of a module"
    assert printed(body) == [
        f"ModuleNotFoundError: module wave {late}",
        f"LookupError: module encodings.cp1252 {late}",
    ]
