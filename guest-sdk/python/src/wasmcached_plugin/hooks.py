"""The decorator that makes a class a plugin, and how its hooks are asked.

The server and the tests ask through the same functions, so what a test sees is what the server
gets. How they are exported is not here: that is `_guest`.
"""

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple, Type, TypeVar

from ._checks import number, text, texts
from .action import Action, Invalidate, Put, Refresh
from .event import Event
from .key import Key
from .request import Input, Request, Response
from .storage import Storage

C = TypeVar("C", bound=type)

HOOKS = ("cache_key", "on_store", "on_item", "on_event")

_NEAR = ("cachekey", "cachekeys", "configure", "configured")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Info:
    """What the decorator was told."""

    name: str
    version: str
    key_epoch: int
    pure: bool
    inputs: Tuple[Input, ...]
    item_prefixes: Tuple[str, ...]


plugins: List[type] = []
"""Every class under the decorator, for the builder, which wants exactly one."""


def plugin(
    *,
    name: str,
    version: str = "0.1.0",
    key_epoch: int = 0,
    pure: bool = True,
    inputs: Sequence[Input] = (),
    item_prefixes: Sequence[str] = (),
) -> Callable[[C], C]:
    """Makes a class a plugin; the class is made without arguments.

    - `name`: what the plugin calls itself, and its file.
    - `key_epoch`: raise it when the meaning of keys or tags changes.
    - `pure=False`: `cache_key` depends on more than the request, so no answer is remembered.
    - `inputs`: the request data that the plugin reads.
    - `item_prefixes`: the memcached items that `on_item` is asked about.
    """
    if not _NAME.fullmatch(text("name", name)):
        raise ValueError(
            f"name is {name!r}; letters, digits, dots, dashes and underscores are wanted"
        )
    for given in inputs:
        if not isinstance(given, Input):
            raise TypeError(
                f"input {given!r} is none; header(), cookie() and query_param() make them"
            )
    info = Info(
        name=name,
        version=text("version", version),
        key_epoch=number("key_epoch", key_epoch),
        pure=bool(pure),
        inputs=tuple(inputs),
        item_prefixes=texts("item_prefixes", item_prefixes),
    )

    def decorate(cls: C) -> C:
        _check_hooks(cls, info)
        cls.wasmcached_info = info  # type: ignore[attr-defined]
        plugins.append(cls)
        return cls

    return decorate


def _check_hooks(cls: type, info: Info) -> None:
    if not isinstance(cls, type):
        raise TypeError(f"@plugin is for classes; {cls!r} is none")
    for attribute in dir(cls):
        if _is_meant_as_hook(attribute, getattr(cls, attribute)):
            raise TypeError(f"{cls.__name__}.{attribute} is no hook; there are {', '.join(HOOKS)}")
    if not any(hasattr(cls, hook) for hook in HOOKS):
        raise TypeError(f"{cls.__name__} has no hook; there are {', '.join(HOOKS)}")
    if info.item_prefixes and not hasattr(cls, "on_item"):
        raise TypeError(f"{cls.__name__} has item_prefixes and no on_item")
    if hasattr(cls, "on_item") and not info.item_prefixes:
        raise TypeError(f"{cls.__name__} has on_item and no item_prefixes, so it is never asked")


def _is_meant_as_hook(attribute: str, value: Any) -> bool:
    """`cachekey`, `onEvent`, `on_stored`, `configured`: nobody would ever ask for these."""
    if attribute in (*HOOKS, "configure") or attribute.startswith("_"):
        return False
    plain = attribute.replace("_", "").lower()
    is_near = plain in _NEAR or plain.startswith(("onstore", "onitem", "onevent"))
    return attribute.startswith("on_") or (is_near and callable(value))


def info_of(plugin: Any) -> Info:
    """What the decorator of this plugin, or of its class, was told."""
    info = getattr(plugin, "wasmcached_info", None)
    if not isinstance(info, Info):
        raise TypeError(f"{plugin!r} is no plugin; @plugin(name=...) is missing")
    return info


def configured(cls: Type[Any], config: Dict[str, str]) -> Any:
    """A plugin with these settings, as the server makes one."""
    info_of(cls)
    made = cls()
    if hasattr(made, "configure"):
        made.configure(config)
    elif config:
        raise ValueError(f"unknown setting `{next(iter(config))}`; there are none")
    return made


def cache_key(plugin: Any, request: Request) -> Key:
    """The key of a page; its URL where the plugin does not say."""
    if not hasattr(plugin, "cache_key"):
        return Key.of(request)
    return _answer("cache_key", plugin.cache_key(request), Key)


def on_store(plugin: Any, key: str, request: Request, response: Response) -> Storage:
    """What the plugin says about storing a page."""
    if not hasattr(plugin, "on_store"):
        return Storage.keep()
    return _answer("on_store", plugin.on_store(key, request, response), Storage)


def on_item(plugin: Any, key: str, flags: int, body_size: int) -> Storage:
    """What the plugin says about storing an item."""
    if not hasattr(plugin, "on_item"):
        return Storage.keep()
    return _answer("on_item", plugin.on_item(key, flags, body_size), Storage)


def on_event(plugin: Any, event: Event) -> List[Action]:
    """What the plugin does about an event."""
    if not hasattr(plugin, "on_event"):
        return []
    answer = plugin.on_event(event)
    if answer is None or isinstance(answer, (str, bytes)) or not hasattr(answer, "__iter__"):
        raise TypeError(f"on_event returned {answer!r}; actions are wanted, [] for none")
    actions = _drained(answer)
    for action in actions:
        if not isinstance(action, (Invalidate, Put, Refresh)):
            raise TypeError(f"on_event returned {action!r} among its actions")
    return actions


def _drained(answer: Iterable[Any]) -> List[Any]:
    """What there is in it. A loop would not see what a generator returns in the end."""
    found: List[Any] = []
    iterator = iter(answer)
    while True:
        try:
            found.append(next(iterator))
        except StopIteration as end:
            if end.value is None:
                return found
            returned = end.value
            break
    raise TypeError(
        f"on_event returned {returned!r}, but it has a `yield`, so only what it yields counts; "
        "yield these too"
    )


def _answer(hook: str, answer: Any, wanted: type) -> Any:
    if not isinstance(answer, wanted):
        raise TypeError(f"{hook} returned {answer!r}; a {wanted.__name__} is wanted")
    return answer
