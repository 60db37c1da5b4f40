"""The component's side: the contract's types to and from this package's, and the exports.

Only the module that the builder writes imports this, inside the component. An exception becomes an
error of the contract here, `Type: message`; anything that escaped would end the instance.
"""

import gc
from typing import Any, Callable, List, Optional, Tuple, TypeVar

from componentize_py_types import Err
from wit_world.imports import types as wit

from . import _sandbox, hooks, log
from ._place import place_of
from .action import Action, Invalidate, Put
from .event import Event
from .key import Key
from .request import Request, Response
from .storage import Storage

T = TypeVar("T")

_INPUTS = {
    "header": wit.Input_Header,
    "cookie": wit.Input_Cookie,
    "query_param": wit.Input_QueryParam,
}

_TARGETS = {
    "tag": wit.Target_Tag,
    "key": wit.Target_Key,
    "url": wit.Target_Url,
    "key_prefix": wit.Target_KeyPrefix,
}

_MODES = {"hard": wit.PurgeMode.HARD, "soft": wit.PurgeMode.SOFT}

_sandbox.catch_output()

_cls: Any = None
_plugin: Any = None


def serve() -> None:
    """Takes the one plugin that was imported, shuts what the server does not have, and leaves what
    is loaded by now to no collector: a walk through all of it would take longer than a key may."""
    global _cls
    (_cls,) = hooks.plugins
    _sandbox.shut(log.info, log.warn)
    gc.collect()
    gc.freeze()


def _asked(ask: Callable[..., T], *arguments: Any) -> T:
    try:
        return ask(*arguments)
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        log.error(f"{place_of(error, getattr(_cls, ask.__name__, None))}: {text}")
        raise Err(text.encode(errors="backslashreplace").decode()) from None
    finally:
        _sandbox.stdout.flush()
        _sandbox.stderr.flush()


def _answered(ask: Callable[..., T], *arguments: Any) -> T:
    if _plugin is None:
        raise Err("the plugin was not configured before its first call")
    return _asked(ask, _plugin, *arguments)


class Lifecycle:
    """Exports `lifecycle`."""

    def configure(self, config: List[Tuple[str, str]]) -> None:
        global _plugin
        if _plugin is not None:
            raise Err("the plugin is configured already")
        _plugin = _asked(hooks.configured, _cls, dict(config))

    def describe(self) -> wit.Manifest:
        info = hooks.info_of(_cls)
        return wit.Manifest(
            name=info.name,
            version=info.version,
            inputs=[_INPUTS[given.kind](given.name) for given in info.inputs],
            item_prefixes=list(info.item_prefixes),
            key_epoch=info.key_epoch,
            pure=info.pure,
        )


class Keyer:
    """Exports `keyer`."""

    def cache_key(self, req: wit.Request) -> wit.Key:
        key = _answered(hooks.cache_key, _request(req))
        return _asked(_wit_key, key)


class Tagger:
    """Exports `tagger`."""

    def on_store(self, key: str, req: wit.Request, resp: wit.Response) -> wit.Storage:
        response = Response(resp.status, tuple(resp.headers), resp.body_size)
        return _wit_storage(_answered(hooks.on_store, key, _request(req), response))

    def on_item(self, key: str, flags: int, body_size: int) -> wit.Storage:
        return _wit_storage(_answered(hooks.on_item, key, flags, body_size))


class Invalidator:
    """Exports `invalidator`."""

    def on_event(self, ev: wit.Event) -> List[wit.Action]:
        event = Event(
            id=ev.id,
            source=ev.source,
            model=ev.model,
            operation=ev.operation.name.lower(),
            object_id=ev.object_id,
            changed_fields=ev.changed_fields,
            occurred_at=ev.occurred_at,
            payload=ev.payload,
        )
        return [_wit_action(action) for action in _answered(hooks.on_event, event)]


def _request(req: wit.Request) -> Request:
    inputs = hooks.info_of(_cls).inputs
    return Request(req.method, req.host, req.path, req.query, inputs, req.inputs)


def _wit_key(key: Key) -> wit.Key:
    if key.is_bypass:
        return wit.Key_Bypass()
    if key.is_default:
        return wit.Key_Default()
    return wit.Key_Custom(str(key))


def _wit_storage(storage: Storage) -> wit.Storage:
    return wit.Storage(
        store=storage.store,
        ttl_s=storage.ttl_s,
        stale_while_revalidate_s=storage.stale_while_revalidate_s,
        stale_if_error_s=storage.stale_if_error_s,
        tags=list(storage.all_tags),
    )


def _wit_action(action: Action) -> wit.Action:
    if isinstance(action, Invalidate):
        target: Optional[Any] = _TARGETS.get(action.target)
        wit_target = target(action.value) if target else wit.Target_Everything()
        return wit.Action_Invalidate(wit.Invalidation(wit_target, _MODES[action.mode]))
    if isinstance(action, Put):
        value = wit.NewValue(action.key, action.value, action.ttl_s, list(action.tags))
        return wit.Action_Put(value)
    return wit.Action_Refresh(action.url)
