"""The keys under which Django's cache keeps things: fragments of templates, pages of `cache_page`
and of the cache middlewares, and whatever an application stores by itself.

Django asks its cache for `make_key` of these. They depend on the release that writes them: 5.2.19
and 6.0.10 changed the keys of pages, 6.1 those of pages and of fragments.

    release = Release("5.2.19")
    # {% cache 120 message-count user.username %}
    hard_key(make_key(make_template_fragment_key(release, "message-count", ["ada"])))

Every key is byte for byte the one that Django computes. Not here: a `KEY_FUNCTION` of one's own.
"""

from hashlib import md5
from typing import Any, Iterable, Mapping, Optional
from urllib.parse import quote

_OLDEST = (4, 2, 0)
_NETSTRINGS = (6, 1, 0)
# The first of each series of releases that marks absent fields.
_MARKED = {(5, 2): (5, 2, 19), (6, 0): (6, 0, 10)}
# What `iri_to_uri` leaves as it is, besides letters, digits and `_.-~`.
_QUERY_SAFE = "/#%[]=:;$&()+,!?*@'~"


class Release:
    """A release of Django, as `django.get_version()` names it: `5.2.19`, `6.1`."""

    __slots__ = ("_numbers",)

    def __init__(self, text: str) -> None:
        """Refuses what could compute keys in two ways, such as `5.2`."""
        parts = text.split(".")
        is_release = len(parts) in (2, 3) and all(p.isascii() and p.isdigit() for p in parts)
        if not is_release:
            raise ValueError(f"{text!r} is no release of Django like 5.2.19")
        numbers = tuple(map(int, parts))
        changed = _MARKED.get(numbers[:2])
        if len(numbers) == 2 and changed:
            first = ".".join(map(str, changed))
            raise ValueError(f"{text!r} lacks its third number: keys changed in {first}")
        self._numbers = numbers if len(numbers) == 3 else (*numbers, 0)
        if self._numbers < _OLDEST:
            raise ValueError(f"{text!r}: the keys of Django before 4.2 are unknown")

    @property
    def _has_netstrings(self) -> bool:
        return self._numbers >= _NETSTRINGS

    @property
    def _marks_absence(self) -> bool:
        first = _MARKED.get(self._numbers[:2])
        return self._has_netstrings or bool(first and self._numbers >= first)


def make_key(key: str, key_prefix: str = "", version: int = 1) -> str:
    """The key that reaches the server: Django's default `KEY_FUNCTION`."""
    return f"{key_prefix}:{version}:{key}"


def make_template_fragment_key(
    release: Release, fragment_name: str, vary_on: Iterable[Any] = ()
) -> str:
    """The key of a `{% cache %}` block by its name and the values that it varies on."""
    code = _netstring if release._has_netstrings else _with_colon
    hashed = md5(b"".join(code(str(value)) for value in vary_on))
    return f"template.cache.{fragment_name}.{hashed.hexdigest()}"


def template_fragment_prefix(fragment_name: str) -> str:
    """What the keys of every copy of a `{% cache %}` block begin with."""
    return f"template.cache.{fragment_name}."


class Page:
    """A page that `cache_page` or the cache middlewares keep.

    `url` is what `request.build_absolute_uri()` returns (`absolute_uri` makes it), `key_prefix`
    that of `cache_page` or `CACHE_MIDDLEWARE_KEY_PREFIX`. `language` (`en-us`) is None where
    `USE_I18N` is off, `time_zone` (`Europe/Paris`) where `USE_TZ` is.
    """

    __slots__ = ("_key_prefix", "_language", "_localities", "_url_hash")

    def __init__(
        self,
        url: str,
        key_prefix: str = "",
        language: Optional[str] = None,
        time_zone: Optional[str] = None,
    ) -> None:
        self._url_hash = md5(url.encode("ascii")).hexdigest()
        self._key_prefix = key_prefix
        self._language = language
        self._localities = [part for part in (language, time_zone) if part is not None]

    def header_key(self) -> str:
        """The key of the list of fields that the page varies by. Without this entry Django looks
        for no copy; but when it is written anew, the copies that are still there count again.
        """
        return self._localised(self.header_prefix())

    def key(self, release: Release, method: str, vary: Mapping[str, Optional[str]]) -> str:
        """The key of the copy for requests by this method (`GET`, `HEAD`) with these values of the
        fields in `Vary`; None for a field that the request lacks.

        `Accept-Language` has no part in it where there is a language.
        """
        values = {_meta_name(name): value for name, value in vary.items()}
        if self._language is not None:
            values.pop("HTTP_ACCEPT_LANGUAGE", None)
        hashed = md5(b"".join(_coded(release, values[name]) for name in sorted(values)))
        return self._localised(self.prefix(method) + hashed.hexdigest())

    def header_prefix(self) -> str:
        """What `header_key` begins with in every language and time zone."""
        return f"views.decorators.cache.cache_header.{self._key_prefix}.{self._url_hash}"

    def prefix(self, method: str) -> str:
        """What the keys of all copies begin with, whatever the page varies by."""
        return f"views.decorators.cache.cache_page.{self._key_prefix}.{method}.{self._url_hash}."

    def _localised(self, key: str) -> str:
        return ".".join([key, *self._localities])


def absolute_uri(origin: str, path: str, query: str = "") -> str:
    """A page's address as `request.build_absolute_uri()` returns it, of a path that is not
    percent-encoded yet and a query as the visitor sends it.
    """
    uri = origin + quote(path, safe="/:@&+$,-_.!~*'()")
    return f"{uri}?{quote(query, safe=_QUERY_SAFE)}" if query else uri


def _coded(release: Release, value: Optional[str]) -> bytes:
    if value is None:
        return b"-," if release._marks_absence else b""
    return _netstring(value) if release._has_netstrings else value.encode()


def _netstring(value: str) -> bytes:
    data = value.encode()
    return b"%d:%s," % (len(data), data)


def _with_colon(value: str) -> bytes:
    return value.encode() + b":"


def _meta_name(field: str) -> str:
    return "HTTP_" + field.upper().replace("-", "_")
