"""A pastebin on a slow disk: the whole site, single views and values in memcached, by the two
libraries that Django has for it, over TCP and a unix socket; and its counters by hand."""

import socket
from datetime import timedelta
from email.utils import parsedate_to_datetime

import django
import pytest
from harness import LIMIT_S, Server, request
from sites import Site, Visitor
from wasmcached_plugin.django import Page, Release, make_key

LIBRARIES = ["PyMemcacheCache", "PyLibMCCache"]
LIFETIME_S = 3600
PREFIX = "site"
WHOLE_SITE = {
    "first": ["django.middleware.cache.UpdateCacheMiddleware"],
    "last": ["django.middleware.cache.FetchFromCacheMiddleware"],
}
COUNTERS = """pid uptime time version pointer_size curr_connections total_connections cmd_get
    cmd_set get_hits get_misses delete_misses delete_hits incr_misses incr_hits bytes_read
    bytes_written limit_maxbytes threads bytes curr_items total_items evictions""".split()


def location(server, library, wire):
    """How `LOCATION` is written for this library."""
    if wire == "TCP":
        return server.address("memcached")
    path = f"{server.dir}/memcached.sock"
    return path if library == "PyLibMCCache" else f"unix:{path}"


@pytest.fixture(scope="module")
def server():
    unix = 'unix = "{dir}/memcached.sock"'
    with Server.start('memory = "64MiB"\n', {"memcached": unix}) as server:
        yield server


@pytest.fixture(scope="module", params=LIBRARIES)
def library(request):
    return request.param


@pytest.fixture(scope="module", params=["TCP", "unix"])
def place(request, server, library):
    return location(server, library, request.param)


@pytest.fixture(scope="module")
def pastes(server, library, place):
    """The address of a site that is cached as a whole."""
    caches = {
        "default": {
            "BACKEND": f"django.core.cache.backends.memcached.{library}",
            "LOCATION": place,
        }
    }
    settings = {"CACHE_MIDDLEWARE_SECONDS": LIFETIME_S, "CACHE_MIDDLEWARE_KEY_PREFIX": PREFIX}
    with Site() as site:
        yield site.start(caches, middleware=WHOLE_SITE, settings=settings).url


def stored(server, prefix):
    listed = request(server.url("api", f"/v1/cache?prefix={prefix}&limit=1000")).json()
    return {entry["key"] for entry in listed["keys"]}


def test_the_whole_site_is_kept_by_two_middlewares(server, pastes, timed):
    visitor = Visitor(pastes)
    first = timed("uncached", visitor.get, "/pastes/notes/")
    second = timed("cached", visitor.get, "/pastes/notes/")
    assert (first.status, second.text) == (200, first.text)
    for answer in (first, second):
        assert answer.fields["cache-control"] == f"max-age={LIFETIME_S}"
        assert answer.fields["last-modified"] == "Fri, 02 Jan 2026 03:04:05 GMT"
        expires, date = (parsedate_to_datetime(answer.fields[n]) for n in ("expires", "date"))
        left = expires - date
        assert timedelta(0) < left <= timedelta(seconds=LIFETIME_S)
    assert visitor.get("/pastes/other/").text != first.text
    assert visitor.get("/pastes/notes/?page=2").text != first.text


def test_the_keys_are_those_that_plugins_compute(server, pastes):
    Visitor(pastes).get("/pastes/keys/")
    url = f"{pastes}/pastes/keys/"
    page = Page(url, PREFIX, language="en-us", time_zone="UTC")
    release = Release(django.get_version())
    header, copy = make_key(page.header_key()), make_key(page.key(release, "GET", {}))
    assert stored(server, make_key(page.header_prefix())) == {header}
    assert stored(server, make_key(page.prefix("GET"))) == {copy}


def test_a_single_view_is_kept_for_a_week_by_the_url_configuration(pastes, timed):
    visitor = Visitor(pastes)
    first = timed("uncached", visitor.get, "/pastes/kept/notes/")
    second = timed("cached", visitor.get, "/pastes/kept/notes/")
    assert second.text == first.text
    assert second.fields["cache-control"] == "max-age=604800"


def test_every_call_of_the_low_level_api_returns_what_django_says(pastes):
    seen = Visitor(pastes).get("/pastes/values/").json()
    assert seen == {
        "get of nothing": "default",
        "add": True,
        "add again": False,
        "get_or_set": [1, {"a": None}],
        "get of what was made": [1, {"a": None}],
        "set_many": [],
        "get_many": {"one": "é", "two": True, "three": 3.5},
        "touch": True,
        "touch of nothing": False,
        "incr": 42,
        "decr": 40,
        "incr of nothing": "ValueError",
        "delete": True,
        "delete again": False,
        "delete_many": None,
        "has_key": False,
        "incr_version": 2,
        "get of the new version": 40,
        "get of the old version": None,
        "a lifetime of zero": [None, None],
        "for ever": [None, True],
        "compressed": [None, 100_000],
        "get after clear": None,
    }


def by_hand(server, command, end):
    """What a visitor by telnet reads."""
    host, port = server.address("memcached").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection:
        connection.sendall(command.encode() + b"\r\n")
        read = b""
        while not read.endswith(end.encode() + b"\r\n"):
            piece = connection.recv(65536)
            assert piece, read
            read += piece
    return read.decode()


def counters(server):
    lines = by_hand(server, "stats", "END").splitlines()[:-1]
    return dict(line.removeprefix("STAT ").split(" ", 1) for line in lines)


def test_counters_read_by_hand_count_what_django_does(server, pastes):
    visitor = Visitor(pastes)
    before = counters(server)
    visitor.get("/pastes/counted/")
    visitor.get("/pastes/counted/")
    after = counters(server)
    assert set(COUNTERS) <= set(after)
    assert int(after["limit_maxbytes"]) == 64 * 1024 * 1024

    def grown(name):
        return int(after[name]) - int(before[name])

    # A miss of the list of fields; the list and the page written; both read.
    assert (grown("get_misses"), grown("cmd_set"), grown("get_hits")) == (1, 2, 2)
    assert (grown("cmd_get"), grown("total_items")) == (3, 2)
    assert by_hand(server, "set mykey 0 0 8\r\nby hand!", "STORED") == "STORED\r\n"
    assert by_hand(server, "get mykey", "END") == "VALUE mykey 0 8\r\nby hand!\r\nEND\r\n"
