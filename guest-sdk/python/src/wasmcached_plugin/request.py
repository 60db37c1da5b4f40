"""What a plugin is shown of a request and of a response.

A request holds values of declared inputs only.
"""

import sys
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from ._checks import text

_IS_NATIVE = sys.platform != "wasi"


@dataclass(frozen=True)
class Input:
    """One piece of request data that a plugin declares and therefore sees."""

    kind: str
    """`header`, `cookie` or `query_param`."""
    name: str


def header(name: str) -> Input:
    """A request field; compared without regard to case."""
    return Input("header", text("header", name).lower())


def cookie(name: str) -> Input:
    """A cookie, by name."""
    return Input("cookie", text("cookie", name))


def query_param(name: str) -> Input:
    """A query parameter, by name."""
    return Input("query_param", text("query_param", name))


class UndeclaredInput(AssertionError):
    """A plugin under test read what it did not declare. In the server it would get `None`, for
    ever; so tests must not let it pass."""


class Request:
    """The request: its fixed parts and the declared inputs."""

    __slots__ = ("method", "host", "path", "query", "_inputs", "_values")

    method: str
    """Upper-case method."""
    host: str
    """The authority that was asked for, with its port if it had one."""
    path: str
    """The path as sent, percent-encoding included."""
    query: Optional[str]
    """The query without the question mark."""

    def __init__(
        self,
        method: str,
        host: str,
        path: str,
        query: Optional[str],
        inputs: Sequence[Input],
        values: Sequence[Optional[str]],
    ) -> None:
        """Made by the server or by `testing`; `values` are those of `inputs`, in that order."""
        self.method = method
        self.host = host
        self.path = path
        self.query = query
        self._inputs = inputs
        self._values = values

    def header(self, name: str) -> Optional[str]:
        """The value of a declared request field."""
        return self._declared("header", name.lower())

    def cookie(self, name: str) -> Optional[str]:
        """The value of a declared cookie."""
        return self._declared("cookie", name)

    def query_param(self, name: str) -> Optional[str]:
        """The value of a declared query parameter."""
        return self._declared("query_param", name)

    def _declared(self, kind: str, name: str) -> Optional[str]:
        for position, declared in enumerate(self._inputs):
            if declared.name == name and declared.kind == kind:
                return self._values[position]
        if _IS_NATIVE:
            raise UndeclaredInput(
                f'{kind} "{name}" is not declared; add {kind}("{name}") to inputs'
            )
        return None


@dataclass(frozen=True)
class Response:
    """The response that is about to be stored."""

    status: int
    headers: Tuple[Tuple[str, str], ...] = ()
    """Lower-case names."""
    body_size: Optional[int] = None
    """The body's length in bytes, where it was announced."""

    def header(self, name: str) -> Optional[str]:
        """The first field of this name."""
        name = name.lower()
        return next((value for known, value in self.headers if known == name), None)

    def header_list(self, name: str) -> List[str]:
        """The members of a list field (RFC 9110 section 5.6.1) over all fields of this name."""
        name = name.lower()
        fields = (value for known, value in self.headers if known == name)
        members = (member.strip() for value in fields for member in value.split(","))
        return [member for member in members if member]
