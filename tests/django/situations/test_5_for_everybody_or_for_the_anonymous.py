"""A talk on running Django for real: pages for the anonymous only, a proxy cache that obeys what
Django says, conditions answered without asking Django, and knowing at once what is going on."""

import json
import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from harness import Server, request, source
from harness import site as site_of
from sites import SOURCE, Visitor

DASHBOARD = Path(__file__).resolve().parents[3] / "contrib/grafana/wasmcached.json"
# The copies of a page that says `Vary: Cookie` differ by the session alone; members pass.
CHOICES = '[sites.cache]\ncookies = ["sessionid"]'
RULES = """
[plugins.rules.limits]
key_timeout = "1s"  # for a loaded machine: a key that comes too late is a page that is not kept
store_timeout = "2s"

[plugins.rules.config.rules]
keys = { bypass_cookies = ["sessionid"] }
store = [{ path = "/news/*", tags = ["article:{path.1}"] }]
events = [{ model = "news.article", tags = ["article:{after.slug}"] }]
"""
#: Django keeps nothing by itself: what is cached is the front's.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}


@pytest.fixture
def server(site):
    settings = site_of(site.url, plugin="rules", more=CHOICES)
    with Server.start(settings + source(SOURCE, plugin="rules") + RULES) as server:
        yield server


@pytest.fixture
def front(site, server):
    """The address that visitors know, before a site whose models tell of their changes."""
    site.start(CACHES, "models", server)
    return server.url("pages", "")


@pytest.fixture(params=["models", "app"])
def told_front(request, site, server):
    """The same, also with the app."""
    site.start(CACHES, request.param, server)
    return server.url("pages", "")


def is_hit(answer):
    return "hit" in answer.fields["cache-status"]


def test_pages_are_kept_for_the_anonymous_and_built_for_each_member(front, timed):
    anonymous, ada = Visitor(front), Visitor(front).log_in("ada")
    first = timed("uncached", anonymous.get, "/news/")
    second = timed("cached", anonymous.get, "/news/")
    assert first.text.startswith("news for everybody") and second.text == first.text
    measured = Visitor(front).has_cookie("_ga", "GA1.2.3")
    assert measured.get("/news/").text == first.text, "a cookie of no matter makes a copy"
    own = [ada.get("/news/") for _ in range(2)]
    assert all(answer.text.startswith("news for ada") for answer in own)
    assert own[0].text != own[1].text and not is_hit(own[1])
    assert anonymous.get("/news/").text == first.text


def test_never_cache_and_private_are_respected(front):
    visitor = Visitor(front)
    for path in ("/news/live/", "/news/account/"):
        first, second = visitor.get(path), visitor.get(path)
        assert first.text != second.text and not is_hit(second), path


def test_never_cache_is_respected_by_djangos_own_cache_in_this_server(site, server):
    caches = {
        "default": {
            "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
            "LOCATION": server.address("memcached"),
        }
    }
    around = {
        "first": ["django.middleware.cache.UpdateCacheMiddleware"],
        "last": ["django.middleware.cache.FetchFromCacheMiddleware"],
    }
    visitor = Visitor(site.start(caches, middleware=around).url)
    for path in ("/news/live/", "/news/account/"):
        assert visitor.get(path).text != visitor.get(path).text, path
    assert visitor.get("/pastes/notes/").text == visitor.get("/pastes/notes/").text


def test_conditions_are_answered_from_the_cache_without_asking_django(site, front, timed):
    visitor = Visitor(front)
    article = timed("uncached", visitor.get, "/news/opening/")
    assert article.fields["etag"] == '"opening-1"'
    site.kill()
    for condition in (
        {"if_none_match": article.fields["etag"]},
        {"if_modified_since": article.fields["last-modified"]},
        {"if_modified_since": formatdate(time.time(), usegmt=True)},
    ):
        answer = timed("304, cached", lambda: visitor.get("/news/opening/", **condition))
        assert (answer.status, answer.body) == (304, b""), condition
        assert answer.fields["etag"] == article.fields["etag"]
    whole = visitor.get("/news/opening/", if_none_match='"opening-0"')
    assert (whole.status, whole.text) == (200, article.text)


def test_an_edited_article_has_a_new_edition_for_everybody_at_once(told_front):
    reader, editor = Visitor(told_front), Visitor(told_front)
    old = reader.get("/news/opening/")
    other = reader.get("/news/")
    assert editor.post("/news/opening/edit/", title="Open again").status == 200
    new = reader.get("/news/opening/", if_none_match=old.fields["etag"])
    assert new.status == 200 and new.text.startswith("Open again")
    assert new.fields["etag"] == '"opening-2"'
    assert reader.get("/news/").text == other.text


def test_pages_obey_the_lifetimes_that_django_writes(front):
    visitor = Visitor(front)
    visitor.get("/news/")
    kept = visitor.get("/news/")
    assert is_hit(kept) and kept.fields["cache-control"] == "max-age=600"
    left_s = int(re.search(r"ttl=(\d+)", kept.fields["cache-status"]).group(1))
    assert 0 < left_s <= 600
    assert int(kept.fields["age"]) + left_s <= 601


def metrics(server):
    """The values by name, and by name with labels."""
    values = {}
    for line in request(server.url("api", "/metrics")).text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    return values


def test_counters_tell_what_visitors_got(front, server):
    visitor = Visitor(front)
    before = metrics(server)
    for path in ("/news/", "/news/", "/news/", "/news/live/"):
        visitor.get(path)
    after = metrics(server)

    def grown(name):
        return after[name] - before.get(name, 0)

    assert grown('wasmcached_pages_requests_total{outcome="hit"}') == 2
    assert grown("wasmcached_pages_origin_requests_total") == 2
    statistics = request(server.url("api", "/v1/stats")).json()
    assert statistics["memory"]["keys"] == after["wasmcached_keys"]
    for path in ("/live", "/ready"):
        assert request(server.url("api", path)).status == 200


def expressions(panels):
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", []))
        yield from expressions(panel.get("panels", []))


def test_the_dashboard_asks_only_for_metrics_that_exist(front, server):
    Visitor(front).get("/news/")
    dashboard = json.loads(DASHBOARD.read_text())
    described = request(server.url("api", "/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", described, re.MULTILINE))
    exist = {f"{name}_total" if kind == "counter" else name for name, kind in kinds.items()}
    asked = [re.findall(r"wasmcached_\w+", text) for text in expressions(dashboard["panels"])]
    assert len(asked) >= 10 and all(asked)
    assert {name for names in asked for name in names} <= exist
