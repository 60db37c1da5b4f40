"""The cache's backend: Django's for pymemcache, with tags, and values that are never older than the
last change.

    cache.set("menu", menu, tags=[Category])
    cache.get_or_set(f"price:{product.pk}", lambda: price_of(product), tags=[product])

Tags are models (anything that depends on which rows there are), rows, or text; or a function of the
value that returns them.

Invariants:
- What `get_or_set` computes is kept only if nothing that it is tagged with was changed since the
  miss.
- In a transaction that has changed a model, what is tagged with it is neither read nor stored:
  others must not see it yet, and this transaction must not see it as it was before.
- A server that is down is a cache without entries; what `delete` returns says whether it was
  reached.
"""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.memcached import PyMemcacheCache

#: How long a lease is held for a computation; a later result is not kept.
LEASE_S = 30

#: What a web application wants of its cache: soon, or not at all. `OPTIONS` win.
OPTIONS = {
    "connect_timeout": 0.5,
    "timeout": 1.0,
    "no_delay": True,
    "ignore_exc": True,
    "retry_attempts": 1,
    "retry_timeout": 0.5,
    "dead_timeout": 5,
}


class Cache(PyMemcacheCache):
    """`BACKEND` for `CACHES`; `LOCATION` and `OPTIONS` are those of Django's `PyMemcacheCache`."""

    def __init__(self, server, params):
        super().__init__(server, params)
        # Not above: pymemcache is needed by those alone who use the backend.
        from . import leases

        options = {**OPTIONS, **self._options}
        options["serde"] = leases.Serde(options["serde"])
        # Pools hide their connections, and a backend belongs to one thread anyway.
        options.pop("use_pooling", None)
        self._class, self._options, self._leases = leases.HashClient, options, leases

    def get(self, key, default=None, version=None, *, tags=()):
        """As Django's; in a transaction that has changed what `tags` name, `default`."""
        tags = _Tags(tags)
        if tags.are_changing():
            return default
        key = self.make_and_validate_key(key, version=version)
        found = self._cache.meta_get(key)
        if found is None or found.value is self._leases.MISSING:
            return default
        tags.note()
        return found.value

    def get_many(self, keys, version=None):
        found = super().get_many(keys, version=version)
        return {key: value for key, value in found.items() if value is not self._leases.MISSING}

    def set(self, key, value, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        """As Django's, with tags. Not done in a transaction that has changed what they name."""
        names = _Tags(tags).of(value)
        if not names.texts:
            return super().set(key, value, timeout, version)
        if not names.are_changing():
            key = self.make_and_validate_key(key, version=version)
            if not self._cache.meta_set(key, value, self.get_backend_timeout(timeout), names.texts):
                # Too large, or older than what was invalidated since: nothing is better than that.
                self._cache.delete(key)

    def add(self, key, value, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        """As Django's, with tags. Not done in a transaction that has changed what they name."""
        names = _Tags(tags).of(value)
        if not names.texts:
            return super().add(key, value, timeout, version)
        if names.are_changing():
            return False
        key = self.make_and_validate_key(key, version=version)
        expire = self.get_backend_timeout(timeout)
        return self._cache.meta_set(key, value, expire, names.texts, mode="E")

    def set_many(self, data, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        """As Django's, with tags on each."""
        if not tags:
            return super().set_many(data, timeout, version)
        failed = []
        for key, value in data.items():
            names = _Tags(tags).of(value)
            name = self.make_and_validate_key(key, version=version)
            expire = self.get_backend_timeout(timeout)
            if names.are_changing() or not self._cache.meta_set(name, value, expire, names.texts):
                failed.append(key)
        return failed

    def get_or_set(self, key, default, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        """As Django's, by a lease: what was computed from older data is returned, but not kept."""
        wanted = _Tags(tags)
        if wanted.are_changing():
            return _computed(default)
        name = self.make_and_validate_key(key, version=version)
        lease = self._cache.meta_get(name, LEASE_S)
        if lease is not None and lease.value is not self._leases.MISSING:
            wanted.of(lease.value).note()
            return lease.value
        try:
            value = _computed(default)
            names = wanted.of(value)
        except BaseException:
            if lease is not None:
                self._cache.meta_give_up(name, lease.unique)
            raise
        names.note()
        if lease is None:
            return value
        expire = self.get_backend_timeout(timeout)
        is_kept = not names.are_changing() and self._cache.meta_set(
            name, value, expire, names.texts, lease.unique
        )
        if not is_kept:
            self._cache.meta_give_up(name, lease.unique)
        return value

    async def aget(self, key, default=None, version=None, *, tags=()):
        return await _in_thread(self.get)(key, default, version, tags=tags)

    async def aset(self, key, value, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        return await _in_thread(self.set)(key, value, timeout, version, tags=tags)

    async def aadd(self, key, value, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        return await _in_thread(self.add)(key, value, timeout, version, tags=tags)

    async def aset_many(self, data, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        return await _in_thread(self.set_many)(data, timeout, version, tags=tags)

    async def aget_or_set(self, key, default, timeout=DEFAULT_TIMEOUT, version=None, *, tags=()):
        return await _in_thread(self.get_or_set)(key, default, timeout, version, tags=tags)

    def close(self, **kwargs):
        """Keeps the connection for the next request: Django calls this at the end of each."""


class _Tags:
    """The tags of one call, as far as they are known."""

    def __init__(self, tags):
        self._function = tags if callable(tags) else None
        self.texts = () if callable(tags) else _texts(tags)

    def of(self, value):
        """The tags of a value."""
        return self if self._function is None else _Tags(self._function(value))

    def are_changing(self):
        """Whether this thread is in a transaction that has changed what they name."""
        from .recorder import pending_labels

        if self._function is None and not self.texts:
            return False
        labels = pending_labels()
        if self._function is not None:
            return bool(labels)
        return any(text.partition(":")[0] in labels for text in self.texts)

    def note(self):
        """The page that is being made depends on them."""
        from . import reads

        reads.note_tags(self.texts)


def _texts(tags):
    from .names import tags_of

    return tuple(tags_of(*([tags] if isinstance(tags, str) else tags)))


def _computed(default):
    return default() if callable(default) else default


def _in_thread(function):
    return sync_to_async(function, thread_sensitive=True)
