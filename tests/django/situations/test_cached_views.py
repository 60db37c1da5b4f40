"""Views that Django itself keeps in memcached by `cache_page`: an event clears every copy of the
page that it is about, in each language and for each value that the page varies by, and no other."""

from itertools import product

import django
import pytest
from harness import Server, request, source
from sites import SOURCE, Visitor

LANGUAGES = ["en", "fr"]
THEMES = [None, "dark"]
SETTINGS = """
[plugins.django.config]
release = "{release}"
origins = ["{origin}"]
languages = {languages}
time_zones = ["UTC"]

[[plugins.django.config.rules]]
model = "news.article"
pages = [{page}]
"""
PAGES = {
    "all copies": '{ path = "/news/" }',
    "known copies": '{ path = "/news/", vary = { Cookie = [false, "theme=dark"] } }',
}


@pytest.fixture(params=PAGES)
def server(request, site):
    """With a running site that keeps its views there."""
    page, release = PAGES[request.param], django.get_version()
    settings = SETTINGS.format(release=release, origin=site.url, languages=LANGUAGES, page=page)
    with Server.start(source(SOURCE, plugin="django") + settings) as server:
        caches = {
            "default": {
                "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
                "LOCATION": server.address("memcached"),
            }
        }
        middleware = {"last": ["django.middleware.locale.LocaleMiddleware"]}
        site.start(caches, "models", server, middleware=middleware)
        yield server


def test_an_event_clears_every_copy_of_its_page_and_no_other_page(site, server, timed):
    first = {copy: timed("uncached", read, site.url, *copy) for copy in copies()}
    assert len(set(first.values())) == len(first), "every copy was built by itself"
    assert all(timed("cached", read, site.url, *copy) == first[copy] for copy in first)
    other = Visitor(site.url).get("/pastes/kept/notes/").text
    edit(site)
    assert kept_copies(server) == 1, "only the other page's is left"
    second = {copy: read(site.url, *copy) for copy in copies()}
    assert not set(second.values()) & set(first.values())
    assert Visitor(site.url).get("/pastes/kept/notes/").text == other


def test_a_copy_made_before_the_event_is_not_kept_after_it(site, server):
    with site.held(read, site.url, "en", None) as answer:
        edit(site)
    assert "We are open" in answer.result(), "it began before"
    # With another copy the list of fields is there again, by which copies are looked for.
    assert "New" in read(site.url, "en", "dark")
    assert "New" in read(site.url, "en", None)


def test_a_rows_own_entries_go_with_it_and_those_of_other_rows_stay(site, server):
    tags = {"mine": "news.article:1", "list": "news.article", "other": "news.article:2"}
    for name, tag in tags.items():
        url = server.url("api", f"/v1/cache/{name}")
        assert request(url, "PUT", name, {"surrogate-key": tag}).status < 300
    edit(site)
    kept = {name for name in tags if request(server.url("api", f"/v1/cache/{name}")).status == 200}
    assert kept == {"other"}


def copies():
    return product(LANGUAGES, THEMES)


def read(url, language, theme):
    visitor = Visitor(url)
    if theme:
        visitor.has_cookie("theme", theme)
    return visitor.get("/news/", accept_language=language).text


def kept_copies(server):
    pages = "/v1/cache?prefix=:1:views.decorators.cache.cache_page."
    return len(request(server.url("api", pages)).json()["keys"])


def edit(site):
    assert Visitor(site.url).post("/news/opening/edit/", title="New").status == 200
