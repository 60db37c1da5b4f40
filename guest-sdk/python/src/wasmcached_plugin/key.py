"""The key of a page, as a change to its URL.

An unchanged URL is the default key, so that what a plugin does not touch stays where it was.
Different requests under one recipe never get one key: values can't forge separators. The length
limit is the server's.
"""

import re
from typing import Any, Callable, List, Optional
from urllib.parse import quote

from ._checks import text as checked
from .pattern import matches
from .request import Request

_SPECIAL = re.compile(r"[|=% \x00-\x1f\x7f-\x9f]")


class Key:
    """What the key of a request is. Each method returns a changed copy.

    Shown as `http://host/path?query|name=value|...`; the part before the first bar is the form of
    the server's default keys.
    """

    __slots__ = ("_exact", "_url", "_query", "_query_is_changed", "_prefix", "_suffix")

    def __init__(self, exact: Optional[str] = None, url: Optional[str] = None) -> None:
        """Not for plugins: they call `of`, `exactly` or `bypass`. With neither: bypass."""
        self._exact = exact
        self._url = url
        self._query: Optional[str] = None
        self._query_is_changed = False
        self._prefix = ""
        self._suffix = ""

    @staticmethod
    def of(request: Request) -> "Key":
        """The request's URL, as a start. Left as it is, it is the default key."""
        key = Key(url=f"http://{request.host}{request.path}")
        key._query = request.query
        return key

    @staticmethod
    def exactly(text: str) -> "Key":
        """Exactly this text, which may be the key of a memcached item. `with_` and `prefix` add to
        it as to a URL: bars of its own are then percent-encoded. It has no query to change."""
        return Key(exact=checked("key", text))

    @staticmethod
    def bypass() -> "Key":
        """No key: the origin is asked and nothing is stored."""
        return Key()

    def drop_query(self, name_pattern: str) -> "Key":
        """Leaves out the query parameters whose names fit the pattern, such as `utm_*`."""
        return self._change_query(
            lambda params: [p for p in params if not matches(name_pattern, _name_of(p))]
        )

    def keep_query(self, *name_patterns: str) -> "Key":
        """Leaves out the query parameters whose names fit none of the patterns."""
        return self._change_query(
            lambda params: [
                p for p in params if any(matches(n, _name_of(p)) for n in name_patterns)
            ]
        )

    def sort_query(self) -> "Key":
        """Takes query parameters in the order of their bytes, so that their order makes no
        variants."""
        return self._change_query(lambda params: sorted(params, key=str.encode))

    def with_(self, name: str, value: Any) -> "Key":
        """Adds a value that tells variants of the page apart."""
        if value is None:
            # As text it would be a value like any other, which a client can send.
            raise TypeError(f"{name} is None; name a value for requests without one")
        key = self._copy()
        key._suffix += f"|{_escape(checked('name', name))}={_escape(checked('value', str(value)))}"
        return key

    def prefix(self, prefix: str) -> "Key":
        """Begins the key with this text, so that one prefix names them all."""
        key = self._copy()
        key._prefix = checked("prefix", prefix) + key._prefix
        return key

    def _copy(self) -> "Key":
        key = Key(self._exact, self._url)
        key._query = self._query
        key._query_is_changed = self._query_is_changed
        key._prefix = self._prefix
        key._suffix = self._suffix
        return key

    def _change_query(self, change: Callable[[List[str]], List[str]]) -> "Key":
        if self._exact is not None:
            # Left alone, it would keep what the plugin meant to be without.
            raise TypeError(f"{str(self)!r} is an exact key, which has no query; use Key.of")
        if self._query is None:
            return self
        before = [param for param in self._query.split("&") if param]
        after = change(before)
        if after == before:
            return self
        key = self._copy()
        key._query = "&".join(after) if after else None
        key._query_is_changed = True
        return key

    @property
    def is_bypass(self) -> bool:
        """Whether nothing is stored."""
        return self._exact is None and self._url is None

    @property
    def is_default(self) -> bool:
        """Whether it is the request's URL as it came."""
        is_marked = self._prefix or self._suffix
        return self._url is not None and not self._query_is_changed and not is_marked

    def __str__(self) -> str:
        """The key's text; `(bypass)` where there is none."""
        if self.is_bypass:
            return "(bypass)"
        start = self._exact if self._exact is not None else self._url
        if self._query is not None:
            start = f"{start}?{self._query}"
        if not self._prefix and not self._suffix:
            return start
        # A bar in the start itself would look like one of ours.
        return f"{self._prefix}{start.replace('|', '%7C')}{self._suffix}"

    def __repr__(self) -> str:
        return f"<Key {self}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Key, str)):
            return str(self) == str(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))


def _name_of(param: str) -> str:
    return param.partition("=")[0]


def _escape(value: str) -> str:
    """Percent-encodes what separates values, and what no key of a line protocol may hold."""
    return _SPECIAL.sub(lambda found: quote(found[0], safe=""), value)
