"""A PostgreSQL of its own: in a temporary folder, on a free port, gone with the test.

PostgreSQL refuses to run as root; then it runs as `postgres` or `nobody`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from .wait import LIMIT_S, eventually

USER = "tester"

#: An address of its own: a port that is free there is not taken by somebody's connection.
HOST = "127.0.9.202"


class Postgres:
    """A running PostgreSQL, with the trust of everybody on this machine, and no care for disks."""

    def __init__(self):
        self._folder = tempfile.mkdtemp(prefix="wasmcached-postgres-")
        self._process = None
        self.port = None

    @classmethod
    def start(cls):
        """Makes a cluster, starts it, and returns when it answers."""
        server = cls()
        try:
            server._launch()
        except BaseException:
            server.close()
            raise
        return server

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def database(self, name):
        """Makes a database, and returns what Django's `DATABASES` has to say of it."""
        self._run("createdb", "-h", HOST, "-p", str(self.port), "-U", USER, name)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": USER,
            "HOST": HOST,
            "PORT": self.port,
        }

    def close(self):
        """Ends it, with its connections, and removes its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _launch(self):
        self._as_user = _unprivileged()
        if self._as_user:
            shutil.chown(self._folder, self._as_user["user"], self._as_user["group"])
        data = os.path.join(self._folder, "data")
        self._run(
            "initdb",
            "-D",
            data,
            "-U",
            USER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        self.port = _free_port()
        with open(os.path.join(self._folder, "log"), "wb") as log:
            self._process = subprocess.Popen(
                [
                    _command("postgres"),
                    "-D",
                    data,
                    "-h",
                    HOST,
                    "-p",
                    str(self.port),
                    "-k",
                    self._folder,
                    "-c",
                    "fsync=off",
                    "-c",
                    "synchronous_commit=off",
                    "-c",
                    "full_page_writes=off",
                    "-c",
                    "shared_buffers=16MB",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._as_user,
            )
        eventually(self._answers, "PostgreSQL is not ready")

    def _answers(self):
        if self._process.poll() is not None:
            log = Path(self._folder, "log").read_text(errors="replace")
            raise AssertionError(f"PostgreSQL ended:\n{log}")
        ready = [_command("pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(ready).returncode == 0

    def _run(self, name, *arguments):
        done = subprocess.run(
            [_command(name), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
            **self._as_user,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}"


def _command(name):
    """Debian keeps the server's commands out of the path, by version."""
    folders = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    found = sorted(folders, key=lambda path: float(path.parts[-3]))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"PostgreSQL's command {name} is missing"
    return path


def _unprivileged():
    """Whom a child process becomes; nobody else where this is not root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("this is root, and there is neither a user postgres nor nobody")


def _free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]
