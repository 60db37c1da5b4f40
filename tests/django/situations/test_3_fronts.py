"""A trekking company: Django stores its pages under `PREFIX-URI`, a front serves them: nginx out of
memcached, or the server itself; a saved photo clears its trek's page and the home page; and two
thousand visitors at once are nothing."""

import asyncio
import resource

import pytest
from fronts import Crowd, Nginx, resident_bytes
from harness import Server, request, source
from harness import site as site_of
from sites import SOURCE, Visitor

PREFIX = "/your-site-name-"
TREK, OTHER = "/treks/annapurna/", "/treks/everest/"
VISITORS = 2_000
ROUNDS = 4

RULES = f"""
[[plugins.rules.config.rules.events]]
model = "treks.photo"
keys = [
    "{PREFIX}/",
    "{PREFIX}/treks/{{before.trek}}/",
    "{PREFIX}/treks/{{after.trek}}/",
]
"""
# pymemcache marks text by 16.
ITEMS = f'[sites.items]\nkey = "{PREFIX}{{path}}"\nflags = [16]\nmax_age = "60s"'


@pytest.fixture
def server(site):
    settings = source(SOURCE, plugin="rules") + site_of(site.url, more=ITEMS) + RULES
    with Server.start(settings) as server:
        yield server


def start(site, server, events):
    """The site as it is deployed in this story."""
    pages = {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": server.address("memcached"),
        "KEY_PREFIX": PREFIX,
        "KEY_FUNCTION": "treks.middleware.raw_key",
    }
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    site.start(
        {"default": memory, "pages": pages},
        events,
        server,
        middleware={"first": ["treks.middleware.StorePages"]},
        settings={"PAGES_IGNORED": ["/admin.*", "/login.*", "/pastes.*"]},
    )


@pytest.fixture(params=["nginx", "the server"])
def front(request, site, server):
    """The address that visitors know."""
    if request.param == "the server":
        yield server.url("pages", "")
        return
    with Nginx(server.address("memcached"), site.url, PREFIX) as nginx:
        yield nginx.url


@pytest.mark.parametrize("events", ["models", "app"])
def test_a_saved_photo_clears_its_treks_page_and_the_home_page(site, server, front, events, timed):
    start(site, server, events)
    visitor = Visitor(front)
    first = {path: timed("uncached", visitor.get, path).text for path in (TREK, OTHER, "/")}
    for path, text in first.items():
        assert timed("cached", visitor.get, path).text == text
    assert visitor.post(f"{TREK}photo/", title="summit").status == 200
    assert "base camp, summit" in visitor.get(TREK).text
    assert "3 photos" in visitor.get("/").text
    assert visitor.get(OTHER).text == first[OTHER]


def test_pages_are_served_while_django_is_down(site, server, front):
    start(site, server, "models")
    visitor = Visitor(front)
    text = visitor.get(TREK).text
    site.kill()
    answer = visitor.get(TREK)
    assert (answer.status, answer.text) == (200, text)
    assert answer.fields["content-type"].startswith("text/html")


def test_a_post_and_what_is_ignored_reach_django_every_time(site, server, front):
    start(site, server, "models")
    visitor = Visitor(front)
    kept = visitor.get(TREK).text
    thanks = [visitor.post(TREK, name="ada").text for _ in range(2)]
    assert all("thank you" in text for text in thanks) and thanks[0] != thanks[1]
    assert visitor.get(TREK).text == kept
    assert visitor.get("/admin/").text != visitor.get("/admin/").text
    assert visitor.get("/treks/nowhere/").status == 404
    listed = request(server.url("api", f"/v1/cache?prefix={PREFIX}")).json()
    assert [entry["key"] for entry in listed["keys"]] == [f"{PREFIX}{TREK}"]


def test_two_thousand_connections_are_served_without_an_error_in_steady_memory(
    site, server, timed
):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16_384), hard))
    start(site, server, "models")
    expected = Visitor(server.url("pages", "")).get(TREK)
    site.kill()
    answers = {("HTTP/1.1 200 OK", expected.body)}
    sizes = timed(f"{VISITORS} visitors, {ROUNDS} times", asyncio.run, visit(server, answers))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    before, *rounds = sizes
    assert max(rounds) - before < VISITORS * 20 * 1024, f"{sizes}: over 20 KiB for a visitor"
    assert rounds[-1] - rounds[0] < 4 * 1024 * 1024, f"memory grows: {sizes}"


async def visit(server, expected):
    """The server's memory before the crowd comes, and after each round of requests."""
    crowd = Crowd(server.address("pages"), VISITORS)
    sizes = [resident_bytes(server.pid)]
    await crowd.connect()
    for _ in range(ROUNDS):
        assert await crowd.get(TREK) == expected
        sizes.append(resident_bytes(server.pid))
    await crowd.leave()
    return sizes
