"""Messages that a server has not acknowledged, sent again by a thread until it does.

Invariants:
- In the order in which they came, none dropped while the process lives: too many become one that
  names their models as wholes.
- A process that ends tries once more, briefly. What must survive a crash needs `OUTBOX = "db"`.
- Threads are of the process that began them: a forked one begins its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque

from . import conf, messages, transport
from .changes import whole

logger = logging.getLogger("wasmcached")

#: Messages that wait for one server before they are merged.
WAITING_MAX = 1000

#: Time for one attempt, and for the last ones of a process that ends.
ATTEMPT_S, FAREWELL_S = 5.0, 2.0

#: Between attempts: from the first failure on, doubled up to the second number.
PAUSE_FIRST_S, PAUSE_MAX_S = 0.1, 10.0

_resenders = {}
_lock = threading.Lock()


def of(url):
    """The resender of a server, in this process."""
    with _lock:
        key = (os.getpid(), url)
        if key not in _resenders:
            _resenders[key] = Resender(url)
        return _resenders[key]


class Resender:
    """Sends to one server what it has not acknowledged."""

    def __init__(self, url):
        self._url = url
        self._waiting = deque()
        self._changed = threading.Condition()
        self._thread = None

    @property
    def is_busy(self):
        """Whether something waits: what comes next goes behind it."""
        return bool(self._waiting)

    def take(self, message):
        """Takes a message over."""
        with self._changed:
            self._waiting.append(message)
            if len(self._waiting) > WAITING_MAX:
                self._merge()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="wasmcached-resending", daemon=True
                )
                self._thread.start()

    def wait(self, timeout_s):
        """Waits until nothing waits any more; whether that came true."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout_s)

    def _merge(self):
        # The first one may be on its way right now.
        models = set().union(*(message.models for message in list(self._waiting)[1:]))
        first = self._waiting[0]
        events = [whole(model, db) for model, db in sorted(models, key=str)]
        self._waiting = deque([first, *messages.compose(events)])
        logger.error("%s: %d messages wait; merged", self._url, WAITING_MAX)

    def _run(self):
        pause_s = PAUSE_FIRST_S
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                message = self._waiting[0]
            retry_after_s = self._attempt(message)
            if retry_after_s is None:
                pause_s = PAUSE_FIRST_S
                continue
            time.sleep(max(pause_s, min(retry_after_s, PAUSE_MAX_S)))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    def _attempt(self, message):
        """Sends the first of those that wait. Seconds to pause for, or `None` if that is over."""
        try:
            transport.post(self._url, conf.current(), message, ATTEMPT_S)
        except transport.Undelivered as error:
            if error.is_body_refused and not message.id.endswith("_whole"):
                logger.error("%s; naming the models as wholes instead", error)
                self._replace(message, messages.coarser(message))
                return None
            logger.warning("%s; sent again later", error)
            return error.retry_after_s or 0
        except Exception:
            logger.exception("%s: message %s", self._url, message.id)
            return 0
        self._replace(message, None)
        return None

    def _replace(self, message, other):
        with self._changed:
            self._waiting.popleft()
            if other is not None:
                self._waiting.appendleft(other)
            self._changed.notify_all()


@atexit.register
def _farewell():
    deadline = time.monotonic() + FAREWELL_S
    for (pid, url), resender in list(_resenders.items()):
        left_s = max(0.0, deadline - time.monotonic())
        if pid == os.getpid() and not resender.wait(left_s):
            logger.error("%s was not told of the last changes", url)
