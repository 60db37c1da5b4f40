"""The server's process: started from a file, read, restarted, killed.

A restart keeps the addresses, because pages' keys begin with them.
"""

import os
import queue
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from .wait import LIMIT_S, eventually

#: A secret of Standard Webhooks that every suite may use.
SECRET = "whsec_d2FzbWNhY2hlZC1kamFuZ28tdGVzdHMtc2VjcmV0LTAx"

DOORS = ("memcached", "api", "pages")


def source(name, plugin=None, secrets=(SECRET,)):
    """The settings of a sender of events."""
    names = ", ".join(f'"{secret}"' for secret in secrets)
    lines = ["[[sources]]", f'name = "{name}"', f"secrets = [{names}]"]
    if plugin:
        lines.append(f'plugin = "{plugin}"')
    return "\n".join(lines) + "\n"


def site(origin, plugin=None, more=""):
    """The settings of a site for any host; `more` may begin sub-tables of it."""
    lines = ["[[sites]]", f'origin = "{origin}"']
    if plugin:
        lines.append(f'plugin = "{plugin}"')
    return "\n".join(lines) + f"\n{more}\n"


class Server:
    """A running server. `{dir}` in its settings stands for its own folder."""

    def __init__(self, settings, listeners=None):
        binary = os.environ.get("WASMCACHED_BIN")
        if not binary:
            raise RuntimeError("WASMCACHED_BIN names no binary of the server")
        self._binary = binary
        self._settings = settings
        self._listeners = dict(listeners or {})
        self._folder = tempfile.TemporaryDirectory(prefix="wasmcached-")
        self._process = None
        self._printed = []
        self._bound = {}

    @classmethod
    def start(cls, settings="", listeners=None):
        """Starts a server and returns when it is ready.

        `settings` is TOML, without the listeners' tables. `listeners` maps `memcached`, `api` or
        `pages` to further lines of their tables; every listener takes a free port.
        """
        server = cls(settings, listeners)
        server._launch()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        """Kills the server, if it still runs, and removes its folder."""
        self.kill()
        self._folder.cleanup()

    @property
    def dir(self):
        """The server's folder."""
        return Path(self._folder.name)

    @property
    def pid(self):
        """The number of its process."""
        return self._process.pid

    def address(self, door):
        """`127.0.0.1:41234` of `memcached`, `api` or `pages`."""
        start = f"{door} listening on "
        for line in self._printed:
            if line.startswith(start) and not line[len(start) :].startswith("/"):
                return line[len(start) :]
        raise AssertionError(f"no {start!r} in {self._printed}")

    def url(self, door, path="/"):
        """The address of a path on a listener of HTTP."""
        return f"http://{self.address(door)}{path}"

    def log(self):
        """What it has logged."""
        return (self.dir / "server.log").read_text(errors="replace")

    def stop(self):
        """SIGTERM; returns when it has drained. It must end well."""
        status = self._end(signal.SIGTERM)
        assert status == 0, f"status {status} after SIGTERM:\n{self.log()}"

    def kill(self):
        """SIGKILL; returns when it is gone. Harmless if it is gone already."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    def start_again(self):
        """Starts it at the same addresses, after `stop` or `kill`."""
        self._bound = {door: self.address(door) for door in self._doors()}
        eventually(self._launch_if_ports_are_free, "its ports are free")

    def pause(self):
        """SIGSTOP: it takes connections, by the kernel, and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def _doors(self):
        has_pages = "[[sites]]" in self._settings or "origin" in self._listeners.get("pages", "")
        return DOORS if has_pages else DOORS[:2]

    def _config(self):
        # Keys of the top level come before all tables.
        text = "" if "memory =" in self._settings else 'memory = "32MiB"\n'
        head, bracket, tables = self._settings.partition("[")
        text += head
        for door in self._doors():
            listen = self._bound.get(door, "127.0.0.1:0")
            more = self._listeners.get(door, "")
            text += f'\n[{door}]\nlisten = "{listen}"\n{more}\n'
        return (text + "\n" + bracket + tables).replace("{dir}", str(self.dir))

    def _launch_if_ports_are_free(self):
        """False where somebody's connection has taken one of them meanwhile."""
        said = len(self.log())
        try:
            self._launch()
        except AssertionError:
            if "Address already in use" in self.log()[said:]:
                return False
            raise
        return True

    def _launch(self):
        config = self.dir / "wasmcached.toml"
        config.write_text(self._config())
        with open(self.dir / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "serve", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        lines = queue.Queue()
        # Reads to the end, so that the server never blocks on a full pipe.
        threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True).start()
        self._printed = []
        while True:
            try:
                line = lines.get(timeout=LIMIT_S)
            except queue.Empty:
                raise AssertionError(f"not ready in time:\n{self.log()}") from None
            if line is None:
                status = self._process.wait()
                raise AssertionError(f"ended before it was ready, {status}:\n{self.log()}")
            if line == "ready":
                return
            self._printed.append(line)

    def _end(self, number):
        self._process.send_signal(number)
        if number == signal.SIGTERM:
            self._process.send_signal(signal.SIGCONT)
        status = self._process.wait(timeout=LIMIT_S)
        self._process = None
        return status


def _read(stdout, lines):
    for line in stdout:
        lines.put(line.rstrip("\n"))
    lines.put(None)
