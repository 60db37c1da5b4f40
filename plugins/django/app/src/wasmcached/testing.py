"""For tests of applications: what would have been announced.

with recorded_events() as events:
    product.save()
assert events == [{"model": "shop.product", "pk": 5, "op": "update", …}]
"""

from __future__ import annotations

from contextlib import contextmanager

from django.conf import settings
from django.db import connections
from django.test import override_settings

from . import conf, delivery, recorder

#: Some address: nothing is sent to it.
_NOWHERE = {"URL": "http://127.0.0.1:9", "SECRET": "whsec_" + "A" * 32}


@contextmanager
def recorded_events():
    """A list that has, after the block, the events of what was committed in it; nothing is sent.

    Within Django's `TestCase`, whose transaction never ends, what the block leaves uncommitted in
    it counts as committed.
    """
    missing = {} if conf.current().is_on else _NOWHERE
    with override_settings(WASMCACHED={**missing, **(getattr(settings, "WASMCACHED", None) or {})}):
        before = {id(part) for part in _uncommitted()}
        for part in _uncommitted():
            # What came before is not of this block, and must not be added to.
            part.is_closed = True
        with delivery.recorded() as events:
            yield events
            parts = [part for part in _uncommitted() if id(part) not in before]
            if parts:
                recorder.tell(parts)


def _uncommitted():
    found = connections.all(initialized_only=True)
    return [part for connection in found for part in recorder.survivors(connection)]
