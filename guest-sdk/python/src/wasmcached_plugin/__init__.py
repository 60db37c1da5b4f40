"""Write plugins for wasmcached: how pages are keyed, how entries are tagged, and what an event
makes wrong.

A plugin is a class under `@plugin`, with any of these methods:

- `cache_key(self, request) -> Key`: the key of a page. On an exception the server asks the origin
  and stores nothing.
- `on_store(self, key, request, response) -> Storage`: tags and lifetime of a page that is about to
  be stored. On an exception the client is answered and nothing is stored.
- `on_item(self, key, flags, body_size) -> Storage`: the same for a memcached item whose key begins
  with one of `item_prefixes`.
- `on_event(self, event) -> Iterable[Action]`: what is wrong now; it may be a generator. On an
  exception the server tries again, and then purges the tag `model:<model>` and whatever the
  plugin has stored.
- `configure(self, config)`: takes the operator's settings, a dict of texts. Without it there are
  none, and the first one is refused.

Invariants: a plugin reads the request data that it declared and nothing else; reading anything else
raises in native tests and is `None` in the server. State kept on `self` is a cache at best: an
instance is configured once and may be thrown away at any time.

Not here: limits (the server checks whatever a plugin returns).
"""

from . import cache, log
from .action import (
    Action,
    hard_everything,
    hard_key,
    hard_prefix,
    hard_tag,
    hard_url,
    put,
    refresh,
    soft_everything,
    soft_key,
    soft_prefix,
    soft_tag,
    soft_url,
)
from .event import Event
from .hooks import plugin
from .key import Key
from .pattern import matches
from .request import Input, Request, Response, UndeclaredInput, cookie, header, query_param
from .storage import Storage

__all__ = [
    "Action",
    "Event",
    "Input",
    "Key",
    "Request",
    "Response",
    "Storage",
    "UndeclaredInput",
    "cache",
    "cookie",
    "hard_everything",
    "hard_key",
    "hard_prefix",
    "hard_tag",
    "hard_url",
    "header",
    "log",
    "matches",
    "plugin",
    "put",
    "query_param",
    "refresh",
    "soft_everything",
    "soft_key",
    "soft_prefix",
    "soft_tag",
    "soft_url",
]
