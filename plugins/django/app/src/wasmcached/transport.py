"""One message to one server, within a time; what the server says, or why it did not.

HTTP by the standard library: no redirects are followed, no proxies asked.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from . import signing

#: Bytes of an answer that are read.
ANSWER_BYTES_MAX = 64 * 1024


class Undelivered(Exception):
    """A message that was not acknowledged."""

    #: Whether the same body will be refused again.
    is_body_refused = False
    retry_after_s = None


class Answer:
    """A server's answer."""

    def __init__(self, status, text, date, retry_after_s):
        self.status = status
        self.text = text
        #: The server's own time, seconds since 1970, if it tells.
        self.date_s = date
        self.retry_after_s = retry_after_s

    def json(self):
        """The answer's object; empty if there is none."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def post(url, settings, message, timeout_s):
    """Posts a message; returns once the server has acknowledged it, else raises `Undelivered`."""
    path = f"/v1/events/{settings.source}"
    answer = post_signed(url, path, settings, message, timeout_s)
    if 200 <= answer.status < 300:
        return answer
    reason = answer.json().get("error") or answer.text[:200]
    undelivered = Undelivered(f"{url} answered {answer.status}: {reason}")
    undelivered.is_body_refused = answer.status in (400, 413)
    undelivered.retry_after_s = answer.retry_after_s
    raise undelivered


def post_signed(url, path, settings, message, timeout_s):
    """Posts a message to a path, signed with the time of now, and returns any answer."""
    headers = signing.fields(settings.secrets, message.id, int(time.time()), message.body)
    return exchange(url, "POST", path, message.body, headers, timeout_s)


def exchange(url, method, path, body, headers, timeout_s):
    """One request of any kind; `Undelivered` if there is no answer in time."""
    deadline = time.monotonic() + timeout_s
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(parts.hostname, parts.port, timeout=timeout_s)
    try:
        connection.connect()
        connection.sock.settimeout(_left(deadline))
        connection.request(method, parts.path.rstrip("/") + path, body=body, headers=headers)
        connection.sock.settimeout(_left(deadline))
        response = connection.getresponse()
        text = response.read(ANSWER_BYTES_MAX).decode(errors="replace")
        date = _seconds(response.getheader("date"))
        return Answer(response.status, text, date, _number(response.getheader("retry-after")))
    except (TimeoutError, socket.timeout):
        raise Undelivered(f"{url} did not answer within {round(timeout_s * 1000)} ms") from None
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        raise Undelivered(f"{url}: {error or type(error).__name__}") from error
    finally:
        connection.close()


def _left(deadline):
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout
    return left


def _seconds(date):
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return None


def _number(text):
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
