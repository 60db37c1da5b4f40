"""Whether a server is there, is one, knows this source and its secret, and has the same time."""

from __future__ import annotations

import time

from . import conf, messages, transport

#: Time for each question.
TIMEOUT_S = 5.0

#: A signature's time may be so far off.
TOLERANCE_S = 300

#: Off by more than this is told, though it still works.
SKEW_TOLD_S = 5

#: A model that nobody has: nothing depends on it, and the server is only asked what it would do.
_NOBODYS = {"model": "wasmcached.check", "pk": None, "op": "bulk"}


def examine(url):
    """Yields `(is_good, text)` for each thing that was found out about a server."""
    try:
        described = transport.exchange(url, "GET", "/openapi.json", None, {}, TIMEOUT_S)
    except transport.Undelivered as error:
        yield False, f"{error}: is the server running, and is this its `api` listener?"
        return
    version = described.json().get("info", {}).get("version")
    if described.status != 200 or version is None:
        yield False, f"{url} is no API of wasmcached: it answered {described.status}"
        return
    yield True, f"{url} is wasmcached {version}"
    yield from _signed(url)


def _signed(url):
    settings = conf.current()
    message = messages.message([dict(_NOBODYS)])
    path = f"/v1/events/{settings.source}?dry_run=true"
    started_s = time.time()
    try:
        answer = transport.post_signed(url, path, settings, message, TIMEOUT_S)
    except transport.Undelivered as error:
        yield False, str(error)
        return
    if answer.date_s is not None:
        off_s = round(answer.date_s - started_s)
        if abs(off_s) > SKEW_TOLD_S:
            side = "ahead" if off_s > 0 else "behind"
            is_good = abs(off_s) < TOLERANCE_S
            yield is_good, f"its clock is {abs(off_s)} s {side}; {TOLERANCE_S} s are allowed"
    error = answer.json().get("error", answer.text[:200])
    if answer.status == 200:
        took_ms = (time.time() - started_s) * 1000
        yield True, f"it takes events of the source {settings.source!r} ({took_ms:.1f} ms)"
    elif answer.status == 401:
        yield False, f"it refuses the signature: {error}; {_why_refused(error)}"
    elif answer.status == 404:
        yield False, f"{error}; add it as [[sources]] to the server's configuration, or set SOURCE"
    else:
        yield False, f"it answered {answer.status}: {error}"


def _why_refused(error):
    if "webhook-timestamp" in error:
        return "one of the two clocks is wrong"
    return "SECRET is none of the source's `secrets`"
