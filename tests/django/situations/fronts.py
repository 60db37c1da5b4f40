"""What stands before the site: Debian's nginx, which asks memcached first; and many visitors."""

import asyncio
import socket
import subprocess
import tempfile
from pathlib import Path

from harness import LIMIT_S, eventually

#: Addresses of their own, so that a port that is free stays free.
HOST = "127.0.9.201"

CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address};
        location / {{
            default_type text/html;
            set $memcached_key "{prefix}$uri";
            memcached_pass {memcached};
            # Not in memcached; no GET; no memcached.
            error_page 404 405 502 = @django;
        }}
        location @django {{
            proxy_pass {django};
            proxy_set_header Host $http_host;
            add_header X-From django;
        }}
    }}
}}
"""


class Nginx:
    """An nginx that serves pages from memcached, and asks Django for the others."""

    def __init__(self, memcached, django, prefix):
        self._folder = tempfile.TemporaryDirectory(prefix="wasmcached-nginx-")
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.address = f"{HOST}:{probe.getsockname()[1]}"
        path = Path(self._folder.name)
        file = path / "nginx.conf"
        file.write_text(
            CONFIGURATION.format(
                folder=path, address=self.address, memcached=memcached, django=django, prefix=prefix
            )
        )
        self._process = subprocess.Popen(
            ["nginx", "-p", str(path), "-c", str(file)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        eventually(self._listens, f"nginx does not listen on {self.address}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    @property
    def url(self):
        return f"http://{self.address}"

    def _listens(self):
        host, port = self.address.rsplit(":", 1)
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0


class Crowd:
    """Visitors who keep their connections, and all ask for a page at the same time."""

    def __init__(self, address, visitors):
        self._host, port = address.rsplit(":", 1)
        self._port = int(port)
        self._visitors = visitors
        self._streams = []

    async def connect(self):
        """Opens all connections; the kernel's queue of new ones is shorter than that."""
        door = asyncio.Semaphore(200)

        async def enter():
            async with door:
                return await asyncio.open_connection(self._host, self._port)

        self._streams = await asyncio.gather(*(enter() for _ in range(self._visitors)))

    async def get(self, path):
        """What everybody is answered, as (status line, body), each different one once."""
        question = f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode()
        asked = (_answer(reader, writer, question) for reader, writer in self._streams)
        return set(await asyncio.wait_for(asyncio.gather(*asked), LIMIT_S))

    async def leave(self):
        for _, writer in self._streams:
            writer.close()


async def _answer(reader, writer, question):
    writer.write(question)
    head = await reader.readuntil(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    sizes = [field.split(":")[1] for field in fields if field.lower().startswith("content-length")]
    return status, await reader.readexactly(int(sizes[0]))


def resident_bytes(pid):
    """What a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
