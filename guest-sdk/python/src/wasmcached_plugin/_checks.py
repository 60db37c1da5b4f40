"""What values have to be before they cross to the server.

The crossing itself can't refuse a value: one of the wrong type ends the instance. So everything is
looked at where the plugin names it, and `_place` finds that line in the exception.
"""

from typing import Any

_U32_MAX = 2**32 - 1


def text(what: str, value: Any) -> str:
    """The value, which must be a text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}; a text is wanted")
    if not value.isascii():
        value.encode()
    return value


def number(what: str, value: Any) -> int:
    """The value, which must be a whole number from 0 to 2**32 - 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is {value!r}; a whole number is wanted")
    if not 0 <= value <= _U32_MAX:
        raise ValueError(f"{what} is {value}; limits are 0 and {_U32_MAX}")
    return value


def texts(what: str, values: Any) -> "tuple[str, ...]":
    """The values, each of which must be a text. One text alone would be taken letter by letter."""
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{what} are {values!r}; a list of texts is wanted")
    return tuple(text(what, value) for value in values)
