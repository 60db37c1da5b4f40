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
        """Adds a tag: 1 to 256 bytes without spaces and commas."""
        return replace(self, all_tags=(*self.all_tags, text("tag", tag)))

    def tags(self, tags: Iterable[str]) -> "Storage":
        """Adds tags."""
        return replace(self, all_tags=(*self.all_tags, *texts("tags", tags)))
