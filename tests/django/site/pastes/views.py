"""Pastes on a slow disk, and the low-level API of the cache."""

from datetime import datetime, timezone

from django.core.cache import cache
from django.http import HttpResponse, JsonResponse
from django.utils.http import http_date
from django.views.decorators.cache import never_cache
from project.slow import slowly_built

WRITTEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def show(request, name):
    response = HttpResponse(f"paste {name}, built {slowly_built()}")
    response["Last-Modified"] = http_date(WRITTEN.timestamp())
    return response


@never_cache
def values(request):
    """What each call of the low-level API returns, in order."""
    cache.clear()
    seen = {
        "get of nothing": cache.get("nothing", "default"),
        "add": cache.add("added", 1),
        "add again": cache.add("added", 2),
        "get_or_set": cache.get_or_set("made", lambda: [1, {"a": None}]),
        "get of what was made": cache.get("made"),
        "set_many": cache.set_many({"one": "é", "two": True, "three": 3.5}),
        "get_many": cache.get_many(["one", "two", "three", "nothing"]),
        "touch": cache.touch("one", 60),
        "touch of nothing": cache.touch("nothing", 60),
        "incr": cache.incr("added", 41),
        "decr": cache.decr("added", 2),
        "incr of nothing": _refused(lambda: cache.incr("nothing")),
        "delete": cache.delete("one"),
        "delete again": cache.delete("one"),
        "delete_many": cache.delete_many(["two", "three"]),
        "has_key": cache.has_key("two"),
        "incr_version": cache.incr_version("added"),
        "get of the new version": cache.get("added", version=2),
        "get of the old version": cache.get("added"),
        "a lifetime of zero": (cache.set("gone", 1, 0), cache.get("gone")),
        "for ever": (cache.set("kept", b"\x00\xff" * 4, None), cache.get("kept") is not None),
        "compressed": (cache.set("long", "x" * 100_000), len(cache.get("long"))),
    }
    cache.clear()
    seen["get after clear"] = cache.get("made")
    return JsonResponse(seen)


def _refused(call):
    try:
        return call()
    except ValueError:
        return "ValueError"
