"""Delivery: every server is told before the answer leaves, or else as soon as it can be.

A commit waits for the servers within `BUDGET_MS`. What a server does not acknowledge in that time
is sent again and again by a thread (`resending`), or has been noted in the database (`outbox`). A
server that failed is not waited for again until the thread has got through to it.

Invariants:
- Nothing here raises what has to do with a server.
- Every server is told everything: what it is told does not depend on the others.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from contextvars import ContextVar

from . import conf, messages, resending, transport

logger = logging.getLogger("wasmcached")

#: What a middleware tells of the deliveries of its request, and what tests look at.
_log = ContextVar("wasmcached_deliveries", default=None)
_recorders = []


def deliver(events):
    """Tells all servers of changes, as events have them."""
    if _is_recorded(events):
        return
    settings = conf.current()
    deadline = time.monotonic() + settings.budget_ms / 1000
    for message in messages.compose(events):
        for n, url in enumerate(settings.urls):
            left = (deadline - time.monotonic()) / (len(settings.urls) - n)
            resender = resending.of(url)
            if resender.is_busy:
                resender.take(message)
                _note(message, url, "queued")
            elif not send(url, message, left):
                resender.take(message)


def send(url, message, timeout_s):
    """Sends a message to a server once; whether it was acknowledged. One that the server can't take
    is said in fewer words."""
    started = time.monotonic()
    try:
        if timeout_s <= 0:
            raise transport.Undelivered(f"{url} was not asked: the budget was used up")
        transport.post(url, conf.current(), message, timeout_s)
    except transport.Undelivered as error:
        if error.is_body_refused and not message.id.endswith("_whole"):
            logger.error("%s; naming the models as wholes instead", error)
            left = timeout_s - (time.monotonic() - started)
            return send(url, messages.coarser(message), left)
        logger.warning("%s; sent again later", error)
        _note(message, url, str(error))
        return False
    _note(message, url, f"{(time.monotonic() - started) * 1000:.1f} ms")
    return True


@contextmanager
def logged():
    """Gathers `(id, url, outcome)` of the deliveries in here, for people."""
    token = _log.set([])
    try:
        yield _log.get()
    finally:
        _log.reset(token)


@contextmanager
def recorded():
    """Gathers the events in here instead of sending them."""
    events = []
    _recorders.append(events)
    try:
        yield events
    finally:
        _recorders.remove(events)


def is_recording():
    """Whether events are gathered instead of sent."""
    return bool(_recorders)


def _is_recorded(events):
    for recorder in _recorders:
        recorder.extend(events)
    return is_recording()


def _note(message, url, outcome):
    log = _log.get()
    if log is not None:
        log.append((message.id, url, outcome))
