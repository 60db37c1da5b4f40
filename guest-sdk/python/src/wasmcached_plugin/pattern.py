"""Patterns of names and paths, as in `utm_*`.

`*` stands for any run of characters, also none, also with slashes; all else for itself. The time is
linear in pattern times text: no pattern explodes.
"""


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern."""
    first, *pieces = pattern.split("*")
    if not text.startswith(first):
        return False
    if not pieces:
        return text == first
    last = pieces.pop()
    position = len(first)
    for piece in pieces:
        # The leftmost fit leaves the most for the pieces after it.
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(text) - position >= len(last) and text.endswith(last)
