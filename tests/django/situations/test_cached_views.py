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


@pytest.mark.parametrize("page", PAGES)
def test_an_event_clears_every_copy_of_its_page_and_no_other_page(site, page, timed):
    settings = SETTINGS.format(
        release=django.get_version(), origin=site.url, languages=LANGUAGES, page=PAGES[page]
    )
    with Server.start(source(SOURCE, plugin="django") + settings) as server:
        caches = {
            "default": {
                "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
                "LOCATION": server.address("memcached"),
            }
        }
        middleware = {"last": ["django.middleware.locale.LocaleMiddleware"]}
        site.start(caches, "models", server, middleware=middleware)
        first = {copy: timed("uncached", read, site.url, *copy) for copy in copies()}
        assert len(set(first.values())) == len(first), "every copy was built by itself"
        assert all(timed("cached", read, site.url, *copy) == first[copy] for copy in first)
        other = Visitor(site.url).get("/pastes/kept/notes/").text
        assert Visitor(site.url).post("/news/opening/edit/", title="New").status == 200
        assert kept_copies(server) == 1, "only the other page's is left"
        second = {copy: read(site.url, *copy) for copy in copies()}
        assert not set(second.values()) & set(first.values())
        assert Visitor(site.url).get("/pastes/kept/notes/").text == other


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
