"""One HTTP request as it is: no redirects, no proxies, no exceptions for what a server says."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from .wait import LIMIT_S


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its fields (names in lower case) and its body."""

    status: int
    fields: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


def request(url, method="GET", body=None, headers=None):
    """Sends a request and returns the whole answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=LIMIT_S)
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())
    finally:
        connection.close()
