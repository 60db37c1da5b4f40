"""The sample site as a process, and visitors of it."""

import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from harness import LIMIT_S, SECRET, eventually, request

TESTS = Path(__file__).resolve().parents[1]
APP = TESTS.parents[1] / "plugins/django/app/src"
#: The name by which servers know the site as a sender of events.
SOURCE = "site"


def sasl_path():
    """Debian's plug-ins of SASL, for a library that brings none of its own."""
    found = sorted(Path("/usr/lib").glob("*/sasl2"))
    assert found, "no /usr/lib/*/sasl2; `tests/run` installs libsasl2-modules"
    return str(found[0])


class Site:
    """The sample site. Its address is known before it starts."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        self._folder = tempfile.TemporaryDirectory(prefix="wasmcached-site-")
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.kill()
        self._listener.close()
        self._folder.cleanup()

    @property
    def dir(self):
        return Path(self._folder.name)

    @property
    def url(self):
        """`http://127.0.0.1:41234`, without a path."""
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    def start(self, caches=None, events="nobody", server=None, environment=None, **choices):
        """Starts it and returns when it is ready. `choices` are `middleware` and `settings`."""
        chosen = {"SITE_DATABASE": str(self.dir / "site.db"), "SASL_PATH": sasl_path()}
        chosen["SITE_EVENTS"] = json.dumps(events)
        chosen["SITE_GATE"] = str(self.dir)
        chosen["PYTHONPATH"] = str(APP)
        if caches is not None:
            chosen["SITE_CACHES"] = json.dumps(caches)
        if server is not None:
            webhook = {"url": server.url("api", ""), "source": SOURCE, "secret": SECRET}
            chosen["SITE_WEBHOOK"] = json.dumps(webhook)
        for name, value in choices.items():
            chosen[f"SITE_{name.upper()}"] = json.dumps(value)
        descriptor = self._listener.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-B", str(TESTS / "site/serve.py"), str(descriptor)],
            env={**os.environ, **chosen, **(environment or {})},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            pass_fds=[descriptor],
        )
        lines = queue.Queue()
        reader = threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True)
        reader.start()
        said = lines.get(timeout=LIMIT_S)
        assert said == "ready\n", f"the site said {said!r}"
        return self

    @contextmanager
    def held(self, ask, *arguments):
        """Within it, somebody asks for a page whose data are read, but which is not made yet."""
        (self.dir / "held").touch()
        with ThreadPoolExecutor(max_workers=1) as pool:
            answer = pool.submit(ask, *arguments)
            try:
                eventually((self.dir / "waiting").exists, "nobody waits")
                yield answer
            finally:
                (self.dir / "held").unlink()

    def kill(self):
        """Ends it; nobody answers at its address any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _read(stdout, lines):
    for line in stdout:
        lines.put(line)
    lines.put("")


class Visitor:
    """Somebody with cookies, who asks one address: the site's, or that of a front."""

    def __init__(self, url):
        self._url = url
        self._cookies = {}

    def get(self, path, **headers):
        """`headers` are written with underscores."""
        return self._ask("GET", path, None, headers)

    def post(self, path, **form):
        body = "&".join(f"{name}={value}" for name, value in form.items())
        kind = {"content_type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, body, kind)

    def log_in(self, name):
        assert self.post("/login/", username=name).status == 200
        return self

    def has_cookie(self, name, value):
        self._cookies[name] = value
        return self

    def _ask(self, method, path, body, headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._cookies:
            fields["cookie"] = "; ".join(f"{k}={v}" for k, v in self._cookies.items())
        answer = request(self._url + path, method, body, fields)
        name, _, value = answer.fields.get("set-cookie", "").partition(";")[0].partition("=")
        if name:
            self._cookies[name] = value
        return answer
