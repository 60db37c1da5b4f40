"""pymemcache's client, with the meta commands that leases and tags need (protocol.txt, "Meta").

- `mg KEY N30 c f v` creates what is missing as an empty item with a unique, and says so; that is
  the lease.
- `ms KEY … C<unique> L<tags>` stores only if nothing was stored or invalidated since; that is what
  refuses a value computed from older data.

Invariant: a kept connection that the server has closed meanwhile is replaced before a command is
sent, so that no delete is lost by it.
"""

from __future__ import annotations

import select
from dataclasses import dataclass

from pymemcache.client.base import Client as _Client
from pymemcache.client.base import _readline, _readvalue
from pymemcache.client.hash import HashClient as _HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError

#: What no value is.
MISSING = object()


@dataclass(frozen=True)
class Found:
    """What `mg` shows of an item. `value` is `MISSING` where there is none yet, or a stale one."""

    value: object
    unique: int


class Serde:
    """Another serde, but that an empty item without flags is none: it is someone's lease."""

    def __init__(self, serde):
        self._serde = serde

    def serialize(self, key, value):
        if value == b"" and isinstance(value, bytes):
            # Text: otherwise it would look like a lease.
            return self._serde.serialize(key, _EMPTY_BYTES)
        return self._serde.serialize(key, value)

    def deserialize(self, key, value, flags):
        if value == b"" and flags == 0:
            return MISSING
        value = self._serde.deserialize(key, value, flags)
        return b"" if isinstance(value, tuple) and value == _EMPTY_BYTES else value


#: Stands for `b""`; what it is pickled as keeps its type, and nobody stores it by chance.
_EMPTY_BYTES = ("wasmcached", "empty bytes")


class Client(_Client):
    """A connection to one server."""

    def meta_get(self, key, lease_s=None):
        """Looks a key up; with `lease_s`, what is missing is created and expires then. `None` for a
        miss."""
        words = [b"mg", self.check_key(key, key_prefix=self.key_prefix), b"c", b"f", b"v"]
        if lease_s is not None:
            words.append(b"N%d" % lease_s)
        line, value = self._meta(b" ".join(words) + b"\r\n")
        code, *flags = line.split(b" ")
        if code == b"EN":
            return None
        found = {flag[:1]: flag[1:] for flag in flags[1:]}
        unique = int(found[b"c"])
        # W: it is this client's to fill. Z: it is another's. X: it is stale.
        if found.keys() & {b"W", b"Z", b"X"}:
            return Found(MISSING, unique)
        return Found(self.serde.deserialize(key, value, int(found[b"f"])), unique)

    def meta_set(self, key, value, expire, tags=(), unique=None, mode=None):
        """Stores a value with tags; with `unique`, by that lease; `mode` is `E` to add. Whether it
        was stored."""
        name = self.check_key(key, key_prefix=self.key_prefix)
        data, flags = self.serde.serialize(key, value)
        if not isinstance(data, bytes):
            data = str(data).encode(self.encoding)
        words = [b"ms", name, b"%d" % len(data), b"F%d" % flags, b"T%d" % expire]
        if tags:
            words.append(b"L" + ",".join(tags).encode())
        if unique is not None:
            words.append(b"C%d" % unique)
        if mode is not None:
            words.append(b"M" + mode.encode())
        line, _ = self._meta(b" ".join(words) + b"\r\n" + data + b"\r\n")
        return line == b"HD"

    def meta_give_up(self, key, unique):
        """Gives a lease back: what it created is removed."""
        name = self.check_key(key, key_prefix=self.key_prefix)
        self._meta(b"md %s C%d\r\n" % (name, unique))

    def _meta(self, command):
        """Sends a meta command; its answer's line, and the value behind it."""
        self._replace_if_closed()
        try:
            if self.sock is None:
                self._connect()
            self.sock.sendall(command)
            rest, line = _readline(self.sock, b"")
            if line.startswith(b"SERVER_ERROR"):
                raise MemcacheServerError(line.decode())
            if line.startswith((b"CLIENT_ERROR", b"ERROR")):
                raise MemcacheClientError(line.decode())
            value = b""
            if line.startswith(b"VA "):
                _, value = _readvalue(self.sock, rest, int(line.split(b" ")[1]))
            return line, value
        except BaseException:
            # What follows on the connection would be read as the answer of another command.
            self.close()
            raise

    def _replace_if_closed(self):
        # No answer is outstanding; whatever can be read is the end.
        if self.sock is not None and select.select([self.sock], [], [], 0)[0]:
            self.close()

    def _fetch_cmd(self, *arguments, **keywords):
        self._replace_if_closed()
        return super()._fetch_cmd(*arguments, **keywords)

    def _store_cmd(self, *arguments, **keywords):
        self._replace_if_closed()
        return super()._store_cmd(*arguments, **keywords)

    def _misc_cmd(self, *arguments, **keywords):
        self._replace_if_closed()
        return super()._misc_cmd(*arguments, **keywords)


class HashClient(_HashClient):
    """Several servers, each with its share of the keys."""

    client_class = Client

    def meta_get(self, key, lease_s=None):
        return self._run_cmd("meta_get", key, None, lease_s)

    def meta_set(self, key, *arguments, **keywords):
        return self._run_cmd("meta_set", key, False, *arguments, **keywords)

    def meta_give_up(self, key, unique):
        return self._run_cmd("meta_give_up", key, None, unique)
