"""A queue application on a hosted platform: pylibmc over the binary protocol, user and password
from the environment, and three remedies against an old list, the last by a plugin."""

import django
import pytest
from harness import Server, eventually, request, source
from sites import SOURCE, Visitor

USER, PASSWORD = "queue", "a password of the platform"
RULES = f"""
[plugins.django.config]
release = "{django.get_version()}"

[[plugins.django.config.rules]]
model = "waiting.item"
"""
WRITE_IT = 'values = [{ key = "queue", field = "queue", ttl_s = 300 }]'
DELETE_IT = 'keys = ["queue"]'


@pytest.fixture
def serve(tmp_path):
    """Starts a server that knows the platform's user, with these rules for changed items."""
    users = tmp_path / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    users.chmod(0o600)
    started = []

    def start(rule=DELETE_IT):
        settings = source(SOURCE, plugin="django") + RULES + rule
        server = Server.start(settings, {"memcached": f'auth_file = "{users}"'})
        started.append(server)
        return server

    yield start
    for server in started:
        server.close()


def platform(server, password=PASSWORD):
    return {
        "MEMCACHIER_SERVERS": server.address("memcached"),
        "MEMCACHIER_USERNAME": USER,
        "MEMCACHIER_PASSWORD": password,
    }


def start(site, server, **choices):
    return Visitor(site.start(server=server, environment=platform(server), **choices).url)


def items(server):
    """What is in the cache under the list's key; `None` for nothing."""
    kept = request(server.url("api", "/v1/cache/:1:queue"))
    return kept.text if kept.status == 200 else None


def counter(server, name):
    text = request(server.url("api", "/metrics")).text
    lines = [line.split() for line in text.splitlines() if line.startswith(name)]
    assert lines, f"no {name}"
    return sum(float(value) for _, value in lines)


def test_without_the_platform_the_processs_memory_is_the_cache(site, timed):
    visitor = Visitor(site.start().url)
    timed("uncached", visitor.get, "/queue/")
    assert timed("cached", visitor.get, "/queue/").json() == ["first"]


def test_the_list_is_kept_by_the_binary_protocol_for_the_platforms_user(site, serve, timed):
    server = serve()
    visitor = start(site, server)
    timed("uncached", visitor.get, "/queue/")
    assert timed("cached", visitor.get, "/queue/").json() == ["first"]
    assert items(server) == '["first"]'


def test_with_a_wrong_password_nothing_is_kept(site, serve):
    server = serve()
    site.start(environment=platform(server, "a guess"))
    answer = Visitor(site.url).get("/queue/")
    assert answer.status == 500 and items(server) is None


def test_a_short_lifetime_bounds_how_old_the_list_can_be(site, serve):
    server = serve()
    visitor = start(site, server, settings={"QUEUE_LIFETIME_S": 1})
    visitor.get("/queue/")
    visitor.post("/queue/add/", name="second")
    eventually(lambda: visitor.get("/queue/").json() == ["first", "second"], "still the old list")


def test_every_view_that_changes_the_queue_may_delete_the_list(site, serve):
    server = serve()
    visitor = start(site, server)
    visitor.get("/queue/")
    visitor.post("/queue/add/", name="forgotten")
    assert visitor.get("/queue/").json() == ["first"], "nobody told the cache"
    visitor.post("/queue/add/?forget", name="third")
    assert items(server) is None
    assert visitor.get("/queue/").json() == ["first", "forgotten", "third"]
    visitor.post("/queue/remove/?forget", name="first")
    assert visitor.get("/queue/").json() == ["forgotten", "third"]


@pytest.mark.parametrize("events", ["models", "app"])
def test_an_event_deletes_the_list_without_a_word_in_the_views(site, serve, events):
    server = serve(DELETE_IT)
    visitor = start(site, server, events=events)
    visitor.get("/queue/")
    visitor.post("/queue/add/", name="second")
    assert items(server) is None
    assert visitor.get("/queue/").json() == ["first", "second"]
    visitor.post("/queue/remove/", name="first")
    assert visitor.get("/queue/").json() == ["second"]


def test_a_plugin_writes_the_new_list_so_that_nobody_waits_for_it(site, serve, timed):
    server = serve(WRITE_IT)
    visitor = start(site, server, events="models")
    visitor.get("/queue/")
    # The first event of a source only deletes: whether it is the newest is not known yet.
    visitor.post("/queue/add/", name="second")
    for name, expected in [("third", ["first", "second", "third"]), ("fourth", None)]:
        visitor.post("/queue/add/", name=name)
        written = items(server)
        assert written is not None
        shown = timed("written by the plugin", visitor.get, "/queue/")
        assert shown.text == written
        assert expected is None or shown.json() == expected
    visitor.post("/queue/remove/", name="first")
    assert visitor.get("/queue/").json() == ["second", "third", "fourth"]
    assert items(server) == visitor.get("/queue/").text


def test_connections_to_the_cache_outlive_requests(site, serve):
    server = serve()
    visitor = start(site, server)
    for _ in range(60):
        visitor.get("/queue/")
    # One for each of the site's four threads.
    assert counter(server, "wasmcached_memcached_connections_total") <= 4
