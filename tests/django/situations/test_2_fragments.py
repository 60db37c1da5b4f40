"""A community with messages: a slow count per member on every page, kept as a fragment, which is
fresh as soon as a message is read, and nobody else's with it; and several caches side by side."""

import re

import django
import pytest
from harness import Server, request, source
from sites import SOURCE, Visitor

MEMCACHED = "django.core.cache.backends.memcached"
RULES = f"""
[plugins.django.config]
release = "{django.get_version()}"

[[plugins.django.config.rules]]
model = "mail.message"
fragments = [{{ name = "message-count", vary_on = ["{{recipient}}"] }}]
"""


@pytest.fixture(scope="module")
def server():
    with Server.start(source(SOURCE, plugin="django") + RULES) as server:
        yield server


def in_memcached(server, library):
    return {"BACKEND": f"{MEMCACHED}.{library}", "LOCATION": server.address("memcached")}


def count_in(page):
    """`1 unread, built 7` of a page."""
    return re.search(r"\d+ unread, built \d+", page.text).group()


def fragments(server):
    listed = request(server.url("api", "/v1/cache?prefix=:1:template.cache.message-count.")).json()
    return {entry["key"] for entry in listed["keys"]}


@pytest.mark.parametrize("library", ["PyMemcacheCache", "PyLibMCCache"])
@pytest.mark.parametrize("events", ["models", "app"])
def test_reading_makes_the_readers_fragment_fresh_and_no_others(
    server, site, library, events, timed
):
    request(server.url("api", "/v1/invalidate"), "POST", '{"prefixes": [":1:"]}', JSON)
    site.start({"default": in_memcached(server, library)}, events, server)
    ada, bob = (Visitor(site.url).log_in(name) for name in ("ada", "bob"))
    first = count_in(timed("uncached", ada.get, "/mail/"))
    of_bob = count_in(bob.get("/mail/"))
    assert first.startswith("1 unread") and of_bob.startswith("1 unread")
    assert count_in(timed("cached", ada.get, "/mail/")) == first
    both = fragments(server)
    assert len(both) == 2
    assert ada.post("/mail/read/").text == "read"
    left = fragments(server)
    assert len(left) == 1 and left < both
    assert count_in(ada.get("/mail/")).startswith("0 unread")
    assert count_in(bob.get("/mail/")) == of_bob
    assert fragments(server) == both


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("library", ["PyMemcacheCache", "PyLibMCCache"])
def test_a_count_made_before_the_message_was_read_is_not_kept_after_it(server, site, library):
    request(server.url("api", "/v1/invalidate"), "POST", '{"prefixes": [":1:"]}', JSON)
    site.start({"default": in_memcached(server, library)}, "models", server)
    ada = Visitor(site.url).log_in("ada")
    with site.held(ada.get, "/mail/") as answer:
        assert ada.post("/mail/read/").text == "read"
    assert count_in(answer.result()).startswith("1 unread"), "it began before"
    assert count_in(ada.get("/mail/")).startswith("0 unread")


def test_a_view_may_delete_the_fragment_by_itself(server, site):
    site.start({"default": in_memcached(server, "PyMemcacheCache")})
    ada = Visitor(site.url).log_in("ada")
    first = count_in(ada.get("/mail/"))
    ada.post("/mail/read/")
    assert count_in(ada.get("/mail/")) == first, "nobody told the cache"
    # Everything is read by now: what counts is the deletion.
    ada.post("/mail/read/?forget")
    assert count_in(ada.get("/mail/")).startswith("0 unread")


def test_caches_of_every_kind_stand_side_by_side(server, site):
    local = "django.core.cache.backends"
    small = in_memcached(server, "PyMemcacheCache")
    site.start(
        {
            "default": small,
            "members": {**small, "KEY_PREFIX": "members"},
            "by libmemcached": {**in_memcached(server, "PyLibMCCache"), "KEY_PREFIX": "other"},
            "memory": {"BACKEND": f"{local}.locmem.LocMemCache"},
            "table": {"BACKEND": f"{local}.db.DatabaseCache", "LOCATION": "cache_table"},
            "files": {"BACKEND": f"{local}.filebased.FileBasedCache", "LOCATION": str(site.dir)},
            "none": {"BACKEND": f"{local}.dummy.DummyCache"},
        }
    )
    seen = Visitor(site.url).get("/mail/backends/").json()
    assert seen.pop("none") is None
    assert seen == {name: name for name in seen} and len(seen) == 6
    for prefix, name in [("", "default"), ("members", "members"), ("other", "by libmemcached")]:
        kept = request(server.url("api", f"/v1/cache/{prefix}:1:where"))
        assert kept.text == name
