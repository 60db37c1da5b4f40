"""Requests and events for the tests of a plugin, and its answers to them. No server is needed.

    from wasmcached_plugin.testing import actions, event, get, key

    def test_languages_are_told_apart():
        assert key(Shop, get("https://s/a").header("accept-language", "de")) == "http://s/a|lang=de"

A plugin under test gets what the server would give it: only the inputs that it declared, and no
look-ups for a key. It is given as its class, or as what `configured` returns. The server's limits
are not here; `wasmcached plugin check` knows them.
"""

import copy
import json
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple
from urllib.parse import unquote_to_bytes, urlsplit

from . import _table, hooks
from ._checks import texts
from .action import Action
from .cache import Entry
from .event import Event
from .key import Key
from .request import Input, Request, Response
from .storage import Storage


class UnclearInput(AssertionError):
    """A declared cookie or query parameter that can be read in two ways: the server asks the origin
    and stores nothing, so the plugin would not be asked."""


class TestRequest:
    """A request with everything that a client sent. Each method returns a changed copy."""

    __test__ = False

    def __init__(self, method: str, url: str) -> None:
        """`https://host/path?query`; `get` is shorter."""
        parts = urlsplit(url)
        if not parts.scheme or not parts.netloc:
            raise ValueError(f"{url!r} is no URL with a host")
        self._method = method
        self._host = parts.netloc
        self._path = parts.path or "/"
        self._query: Optional[str] = parts.query if "?" in url else None
        self._headers: Tuple[Tuple[str, str], ...] = ()
        self._cookies: Tuple[Tuple[str, str], ...] = ()

    def method(self, method: str) -> "TestRequest":
        """With another method."""
        changed = copy.copy(self)
        changed._method = method
        return changed

    def header(self, name: str, value: str) -> "TestRequest":
        """With a request field."""
        changed = copy.copy(self)
        changed._headers = (*self._headers, (name.lower(), value))
        return changed

    def cookie(self, name: str, value: str) -> "TestRequest":
        """With a cookie."""
        changed = copy.copy(self)
        changed._cookies = (*self._cookies, (name, value))
        return changed

    def to_request(self, inputs: Tuple[Input, ...]) -> Request:
        """What a plugin with these inputs sees of it; raises `UnclearInput`."""
        values = [self._value_of(wanted) for wanted in inputs]
        return Request(self._method, self._host, self._path, self._query, inputs, values)

    def _value_of(self, wanted: Input) -> Optional[str]:
        found: List[Optional[str]] = []
        if wanted.kind == "header":
            return ", ".join(self._lines(wanted.name)) if self._lines(wanted.name) else None
        if wanted.kind == "cookie":
            for pair in ";".join(self._lines("cookie")).split(";"):
                name, sign, value = pair.partition("=")
                if name.strip() == wanted.name:
                    found.append(value.strip() if sign else None)
        else:
            for param in (self._query or "").split("&"):
                name, _, value = param.partition("=")
                if _decoded(name) == _decoded(wanted.name):
                    found.append(value if name == wanted.name else None)
        if not found:
            return None
        if len(found) > 1 or found[0] is None:
            raise UnclearInput(
                f'{wanted.kind} "{wanted.name}" occurs more than once or is spelt oddly; the '
                "server does not ask the plugin about such a request (policy-input-unclear)"
            )
        return found[0]

    def _lines(self, name: str) -> List[str]:
        lines = [value for known, value in self._headers if known == name]
        if name == "cookie" and self._cookies:
            lines.append("; ".join(f"{name}={value}" for name, value in self._cookies))
        return lines


def _decoded(name: str) -> bytes:
    return unquote_to_bytes(name.replace("+", " "))


def get(url: str) -> TestRequest:
    """A GET of this URL: `https://host/path?query`."""
    return TestRequest("GET", url)


class TestResponse:
    """A response that is about to be stored. Each method returns a changed copy."""

    __test__ = False

    def __init__(self, response: Response) -> None:
        """`response` is shorter."""
        self._response = response

    def header(self, name: str, value: str) -> "TestResponse":
        """With a response field."""
        seen = self._response
        headers = (*seen.headers, (name.lower(), value))
        return TestResponse(Response(seen.status, headers, seen.body_size))

    def to_response(self) -> Response:
        """What the plugin sees."""
        return self._response


def response(status: int = 200) -> TestResponse:
    """A response with this status."""
    return TestResponse(Response(status))


class TestEvent:
    """A change of an object. Each method returns a changed copy."""

    __test__ = False

    def __init__(self, model: str) -> None:
        """An update; `event` is shorter."""
        self._parts: Dict[str, Any] = {
            "id": "test-1",
            "source": "test",
            "model": model,
            "operation": "updated",
            "object_id": None,
            "changed_fields": (),
            "occurred_at": "",
        }
        self._payload: Dict[str, Any] = {}

    def id(self, id: Any) -> "TestEvent":
        """With the object's primary key."""
        return self._with("object_id", str(id))

    def operation(self, operation: str) -> "TestEvent":
        """With another operation: `created`, `updated`, `deleted` or `other`."""
        return self._with("operation", operation)

    def changed(self, field: str) -> "TestEvent":
        """With the name of a changed field."""
        return self._with("changed_fields", (*self._parts["changed_fields"], field))

    def field(self, path: str, value: Any) -> "TestEvent":
        """With a value in the payload: `.field("after.trek", "everest")`."""
        changed = copy.deepcopy(self)
        place = changed._payload
        *names, last = path.split(".")
        for name in names:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[last] = value
        return changed

    def to_event(self) -> Event:
        """What the plugin sees."""
        return Event(**self._parts, payload=json.dumps(self._payload))

    def _with(self, part: str, value: Any) -> "TestEvent":
        changed = copy.deepcopy(self)
        changed._parts[part] = value
        return changed


def event(model: str) -> TestEvent:
    """An update of this model."""
    return TestEvent(model)


def configured(plugin: Any, config: Dict[str, str]) -> Any:
    """The plugin with these settings; raises what it refuses them with."""
    return hooks.configured(plugin, config)


@contextmanager
def cached(key: str, entry: Entry, tags: Sequence[str] = ()) -> Iterator[None]:
    """Has look-ups find an entry with these tags:

    with cached("queue:list", Entry(b"a"), ["queue"]):
        assert actions(Queue, event("queue.message")) == [...]
    """
    before = dict(_table.cached)
    _table.cached[key] = (entry, texts("tags", tags))
    try:
        yield
    finally:
        _table.cached.clear()
        _table.cached.update(before)


def key(plugin: Any, request: TestRequest) -> Key:
    """The plugin's key of the request, which may be compared with a text."""
    plugin = _made(plugin)
    return _key(plugin, request.to_request(hooks.info_of(plugin).inputs))


def _key(plugin: Any, request: Request) -> Key:
    _table.is_keying = True
    try:
        return hooks.cache_key(plugin, request)
    finally:
        _table.is_keying = False


def storage(plugin: Any, request: TestRequest, response: TestResponse = response(200)) -> Storage:
    """What the plugin says about storing the response under its own key of the request."""
    plugin = _made(plugin)
    seen = request.to_request(hooks.info_of(plugin).inputs)
    text = str(_key(plugin, seen))
    return hooks.on_store(plugin, text, seen, response.to_response())


def item_storage(plugin: Any, key: str, flags: int = 0, body_size: int = 0) -> Storage:
    """What the plugin says about storing a memcached item."""
    return hooks.on_item(_made(plugin), key, flags, body_size)


def actions(plugin: Any, event: TestEvent) -> List[Action]:
    """What the plugin does about the event."""
    return hooks.on_event(_made(plugin), event.to_event())


def _made(plugin: Any) -> Any:
    return hooks.configured(plugin, {}) if isinstance(plugin, type) else plugin
