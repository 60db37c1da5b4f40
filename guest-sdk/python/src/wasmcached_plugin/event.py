"""A change notice from an application.

The payload is parsed at most once, and only if it is asked for. Senders' formats are not here: the
server has translated them.
"""

import json
from typing import Any, Optional, Sequence, Tuple, Union

_NOT_PARSED = object()

# Python refuses to read longer integers, and the payload with them.
_INT_DIGITS_MAX = 4_000


class Number(float):
    """A number that is none of Python's integers. Its text is the one that was sent: `1.10`, `1e2`,
    for another one would name another object."""

    __slots__ = ("_text",)

    def __new__(cls, text: str) -> "Number":
        """Of a number as JSON has it."""
        made = super().__new__(cls, text)
        made._text = text
        return made

    def __str__(self) -> str:
        return self._text


def _integer(text: str) -> Union[int, Number]:
    return Number(text) if len(text) > _INT_DIGITS_MAX or text == "-0" else int(text)


class Event:
    """One change."""

    id: str
    """The sender's id of the delivery."""
    source: str
    """The configured source that it came from."""
    model: str
    """The application's name of the model, such as `treks.photo`."""
    operation: str
    """`created`, `updated`, `deleted` or `other`, such as a bulk write of unknown rows."""
    object_id: Optional[str]
    """The changed object's primary key as text; `None` for the whole model."""
    changed_fields: Tuple[str, ...]
    """The changed fields that the sender named."""
    occurred_at: str
    """RFC 3339 time as the sender wrote it; empty where it did not."""

    def __init__(
        self,
        *,
        id: str,
        source: str,
        model: str,
        operation: str,
        object_id: Optional[str],
        changed_fields: Sequence[str],
        occurred_at: str,
        payload: str,
    ) -> None:
        """Made by the server or by `testing`; the payload is JSON text."""
        self.id = id
        self.source = source
        self.model = model
        self.operation = operation
        self.object_id = object_id
        self.changed_fields = tuple(changed_fields)
        self.occurred_at = occurred_at
        self._text = payload
        self._payload: Any = _NOT_PARSED

    @property
    def payload(self) -> Any:
        """The change as JSON; `None` if it is none. The text of a number is as it was sent."""
        if self._payload is _NOT_PARSED:
            try:
                self._payload = json.loads(self._text, parse_float=Number, parse_int=_integer)
            except ValueError:
                self._payload = None
        return self._payload

    def changed(self, field: str) -> bool:
        """Whether this field may have changed: senders that don't say which fields changed may have
        changed any."""
        return not self.changed_fields or field in self.changed_fields

    def field(self, path: str) -> Any:
        """The payload's value at a path of names or positions: `before.category_id`, `lines.0.sku`.
        `None` where there is none, and for `null`."""
        value = self.payload
        for name in path.split("."):
            if isinstance(value, dict):
                value = value.get(name)
            elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
                value = value[int(name)]
            else:
                return None
        return value

    def text(self, path: str) -> Optional[str]:
        """The same as text, where it is a text, a number (with the digits that were sent) or a
        truth value."""
        value = self.field(path)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, (str, int, float)) else None
