"""What the suites under `tests/django` stand on: a real server, a real PostgreSQL, real waiting.

    from harness import Postgres, Server, source

    with Server.start(source("shop")) as server:
        server.url("api", "/v1/stats")

`WASMCACHED_BIN` names the binary. Nothing here knows Django.
"""

from .http import Answer, request
from .postgres import Postgres
from .server import SECRET, Server, site, source
from .wait import LIMIT_S, eventually

__all__ = [
    "Answer",
    "LIMIT_S",
    "Postgres",
    "SECRET",
    "Server",
    "eventually",
    "request",
    "site",
    "source",
]
