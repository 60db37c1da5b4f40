"""What look-ups find in tests; `testing` fills it, `cache` reads it."""

from typing import Any, Dict, Tuple

Cached = Tuple[Any, Tuple[str, ...]]

cached: Dict[str, Cached] = {}
"""Entries and their tags, by key."""

is_keying = False
"""Whether a key is being made."""
