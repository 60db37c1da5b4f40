"""What a plugin wants done about an event.

Values only; the server does them all at once, or none of them if one is not allowed.
"""

from dataclasses import dataclass
from typing import Iterable, Optional, Tuple, Union

from ._checks import number, text, texts


@dataclass(frozen=True)
class Invalidate:
    """Make the target wrong. Hard: gone at once. Soft: pages may be served stale while one request
    refreshes them; items are gone."""

    target: str
    """`tag`, `key`, `url`, `key_prefix` or `everything`."""
    value: str
    mode: str
    """`hard` or `soft`."""


@dataclass(frozen=True)
class Put:
    """Write a new value: better than deleting when the event carries it."""

    key: str
    value: bytes
    ttl_s: Optional[int]
    tags: Tuple[str, ...]


@dataclass(frozen=True)
class Refresh:
    """Fetch the page of this URL anew."""

    url: str


Action = Union[Invalidate, Put, Refresh]


def hard_tag(tag: str) -> Action:
    """Everything that carries the tag is gone."""
    return Invalidate("tag", text("tag", tag), "hard")


def soft_tag(tag: str) -> Action:
    """Everything that carries the tag is stale."""
    return Invalidate("tag", text("tag", tag), "soft")


def hard_key(key: str) -> Action:
    """The entry of this key is gone, with all its variants."""
    return Invalidate("key", text("key", key), "hard")


def soft_key(key: str) -> Action:
    """The entry of this key is stale."""
    return Invalidate("key", text("key", key), "soft")


def hard_url(url: str) -> Action:
    """The pages of this URL are gone, whatever their keys: `http://host/path?query`."""
    return Invalidate("url", text("url", url), "hard")


def soft_url(url: str) -> Action:
    """The pages of this URL are stale."""
    return Invalidate("url", text("url", url), "soft")


def hard_prefix(prefix: str) -> Action:
    """Every entry whose key begins so is gone."""
    return Invalidate("key_prefix", _not_empty(prefix, "hard_everything()"), "hard")


def soft_prefix(prefix: str) -> Action:
    """Every entry whose key begins so is stale."""
    return Invalidate("key_prefix", _not_empty(prefix, "soft_everything()"), "soft")


def _not_empty(prefix: str, everything: str) -> str:
    if text("prefix", prefix) == "":
        raise ValueError(f"prefix is empty, which every key begins with; {everything} says that")
    return prefix


def hard_everything() -> Action:
    """Everything is gone; the operator must have allowed it."""
    return Invalidate("everything", "", "hard")


def soft_everything() -> Action:
    """Everything is stale; the operator must have allowed it."""
    return Invalidate("everything", "", "soft")


def put(
    key: str,
    value: Union[str, bytes],
    *,
    ttl_s: Optional[int] = None,
    tags: Iterable[str] = (),
) -> Action:
    """The value is written under this key, for so many seconds or for ever. A text is written as
    UTF-8. Only where the application numbers its events (`data.seq`, rising) and this one has a
    higher number than all that came before it; otherwise the key is gone."""
    if isinstance(value, str):
        value = value.encode()
    elif not isinstance(value, (bytes, bytearray)):
        raise TypeError(f"value is {value!r}; bytes or a text are wanted")
    ttl_s = None if ttl_s is None else number("ttl_s", ttl_s)
    return Put(text("key", key), bytes(value), ttl_s, texts("tags", tags))


def refresh(url: str) -> Action:
    """The page of this URL is fetched anew."""
    return Refresh(text("url", url))
