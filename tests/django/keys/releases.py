"""The releases of Django whose keys are compared, and how each is asked for them.

`tests/run` installs them below the folder that `WASMCACHED_DJANGO` names, and CPython compiled to
Wasm below `WASMCACHED_NODE`: it runs the releases that want a newer Python than this one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT_S = 300


def names():
    """Every release, from the list that `tests/run` installs, too."""
    return (HERE / "releases.txt").read_text().split()


def ask(release, cases):
    """The keys that this release computes for the cases."""
    folders = [str(_made_by_run("WASMCACHED_DJANGO") / name) for name in (release, "common")]
    if sys.version_info >= _oldest_python(release):
        command = [sys.executable, "-B", str(HERE / "oracle.py")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    else:
        pyodide = _made_by_run("WASMCACHED_NODE") / "node_modules/pyodide"
        command = ["node", str(HERE / "oracle.mjs"), str(pyodide), *folders]
        environment = None
    done = subprocess.run(
        command, input=json.dumps(cases), env=environment, capture_output=True, text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, f"{command}:\n{done.stderr}"
    answer = json.loads(done.stdout)
    assert answer["release"] == release
    return answer


def _oldest_python(release):
    return (3, 12) if release.startswith("6.") else (3, 8)


def _made_by_run(variable):
    assert variable in os.environ, f"{variable} is not set; `tests/run` sets it"
    return Path(os.environ[variable])


if __name__ == "__main__":
    # For the comparison in Rust: the cases with this release's answers.
    import cases

    (release,) = sys.argv[1:]
    json.dump({"cases": cases.cases(), "answer": ask(release, cases.cases())}, sys.stdout)
