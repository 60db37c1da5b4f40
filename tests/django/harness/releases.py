"""Makes a virtual environment for each release of Django that some Python here can run.

    python3 releases.py FOLDER

prints a line for each, oldest first: the release, and its environment's folder. What is left out,
because no Python here is new enough for it, is said on stderr.
"""

import glob
import os
import subprocess
import sys
from pathlib import Path

#: Releases, with the first and the last Python that each supports.
RELEASES = (
    ("4.2.30", (3, 8), (3, 12)),
    ("5.2.19", (3, 10), (3, 14)),
    ("6.0.10", (3, 12), (3, 14)),
    ("6.1.3", (3, 12), (3, 14)),
)

PACKAGES = ("psycopg[binary]==3.3.9", "pymemcache==4.0.0", "pytest==9.2.0")

#: Whether a Python can make environments, and has SQLite; then its version.
PROBE = "import ensurepip, sqlite3, sys; print(*sys.version_info[:2])"


def main(folder):
    pythons = found()
    for release, first, last in RELEASES:
        fitting = [python for version, python in pythons if first <= version <= last]
        if not fitting:
            span = ".".join(map(str, first)), ".".join(map(str, last))
            print(f"left out: Django {release} needs Python {' to '.join(span)}", file=sys.stderr)
            continue
        print(release, environment(folder / release, release, fitting[-1]), flush=True)


def found():
    """Every Python here with its version, oldest first."""
    names = ["python3", *(f"python3.{minor}" for minor in range(9, 15))]
    pyenv = os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv")
    pythons = {}
    for name in [*names, *sorted(glob.glob(f"{pyenv}/versions/3.*/bin/python3"))]:
        try:
            done = subprocess.run([name, "-c", PROBE], capture_output=True, text=True)
        except OSError:
            continue
        if done.returncode == 0:
            version = tuple(int(part) for part in done.stdout.split())
            pythons.setdefault(version, name)
    return sorted(pythons.items())


def environment(folder, release, python):
    """The environment of a release; made anew if it should have something else in it."""
    wanted = "\n".join([python, f"Django=={release}", *PACKAGES])
    mark = folder / "contents.txt"
    if not mark.is_file() or mark.read_text() != wanted:
        run(python, "-m", "venv", "--clear", str(folder))
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
        run(*pip, "--disable-pip-version-check", f"Django=={release}", *PACKAGES)
        mark.write_text(wanted)
    return folder


def run(*words):
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
