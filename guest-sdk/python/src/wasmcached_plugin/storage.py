"""What a plugin says about storing a page or an item.

A time that is not named stays with the response's fields or with the client. The limits of tags and
times are the server's.
"""

from dataclasses import dataclass, replace
from typing import Iterable, Optional, Tuple

from ._checks import number, text, texts


@dataclass(frozen=True)
class Storage:
    """Whether, for how long and under which tags. Each method returns a changed copy."""

    store: bool = True
    ttl_s: Optional[int] = None
    stale_while_revalidate_s: Optional[int] = None
    stale_if_error_s: Optional[int] = None
    all_tags: Tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what could not cross to the server."""
        if not isinstance(self.store, bool):
            raise TypeError(f"store is {self.store!r}; True or False is wanted")
        for name in ("ttl_s", "stale_while_revalidate_s", "stale_if_error_s"):
            value = getattr(self, name)
            if value is not None:
                number(name, value)
        object.__setattr__(self, "all_tags", texts("all_tags", self.all_tags))

    @staticmethod
    def keep() -> "Storage":
        """Stored for as long as the response, or the client, says."""
        return Storage()

    @staticmethod
    def skip() -> "Storage":
        """The client is answered and nothing is stored."""
        return Storage(store=False)

    def ttl(self, seconds: int) -> "Storage":
        """Stored for this many seconds."""
        return replace(self, ttl_s=number("ttl", seconds))

    def stale_while_revalidate(self, seconds: int) -> "Storage":
        """For this many seconds longer it may be served while it is refreshed (RFC 5861, 3)."""
        return replace(self, stale_while_revalidate_s=number("stale_while_revalidate", seconds))

    def stale_if_error(self, seconds: int) -> "Storage":
        """For this many seconds longer it may be served while the origin fails (RFC 5861, 4)."""
        return replace(self, stale_if_error_s=number("stale_if_error", seconds))

    def tag(self, tag: str) -> "Storage":
        """Adds a tag: 1 to 256 bytes without control characters. One with a space or a comma is for
        events and the API: most response fields take these for the end of a tag."""
        return replace(self, all_tags=(*self.all_tags, text("tag", tag)))

    def tags(self, tags: Iterable[str]) -> "Storage":
        """Adds tags."""
        return replace(self, all_tags=(*self.all_tags, *texts("tags", tags)))
