"""What is in the server's memory now: read-only, for `on_store`, `on_item` and `on_event`.

    def on_event(self, event):
        found = cache.get("queue:list")
        if found is None:
            return [hard_key("queue:list")]
        return [put("queue:list", found.value + event.text("after.text").encode())]

What a call has looked at counts for its answer: what it stores or puts gets the entries' tags, and
a value that it puts is no newer than the oldest of them. So an invalidation of one of these tags,
or of everything, refuses or ends what was computed; one by key, prefix, URL or site does so only
until the value is written.

In tests there is what `testing.cached` has put there, and nothing else. Not here: how many look-ups
a call has, and how large a value may be; the server refuses more, and says so.
"""

import sys
from dataclasses import dataclass
from typing import List, Optional

from ._checks import text


@dataclass(frozen=True)
class Entry:
    """A cached thing: an item, or a page that has no variants and no content coding."""

    value: bytes
    """Its bytes."""
    flags: int = 0
    """The client's own 32 bits; 0 of a page."""
    ttl_s: Optional[int] = None
    """Whole seconds until it is gone; None: only eviction or an invalidation ends it."""
    age_s: int = 0
    """Whole seconds since it was stored."""


class LookUpRefused(Exception):
    """A look-up in `cache_key`, which must depend on its request alone; one beyond the number that
    a call has; a value that is too large."""


def get(key: str) -> Optional[Entry]:
    """What is fresh in memory under this key."""
    return _get(text("key", key))


def tags(key: str) -> List[str]:
    """Its tags; none also where there is no entry."""
    return _tags(text("key", key))


if sys.platform == "wasi":
    from componentize_py_types import Err
    from wit_world.imports import cache as _wit

    def _get(key: str) -> Optional[Entry]:
        try:
            found = _wit.get(key)
        except Err as error:
            raise LookUpRefused(error.value) from None
        if found is None:
            return None
        return Entry(bytes(found.value), found.flags, found.ttl_s, found.age_s)

    def _tags(key: str) -> List[str]:
        try:
            return list(_wit.tags(key))
        except Err as error:
            raise LookUpRefused(error.value) from None

else:
    from . import _table

    def _get(key: str) -> Optional[Entry]:
        found = _look(key)
        return found[0] if found else None

    def _tags(key: str) -> List[str]:
        found = _look(key)
        return list(found[1]) if found else []

    def _look(key: str) -> Optional[_table.Cached]:
        if _table.is_keying:
            raise LookUpRefused("look-ups are for on_store, on_item and on_event")
        return _table.cached.get(key)
