"""Keys that real releases of Django computed, written down once."""

import pytest
from wasmcached_plugin.django import (
    Page,
    Release,
    absolute_uri,
    make_key,
    make_template_fragment_key,
    template_fragment_prefix,
)

URL = "http://ex.org:8000/p/%C3%A9/?b=2&a=1"
URL_HASH = "0e9ec8337ea7cd700e21be79aa4f6d1a"
NOTHING = "d41d8cd98f00b204e9800998ecf8427e"


def fragment(release, vary_on):
    key = make_template_fragment_key(Release(release), "sidebar", vary_on)
    assert key.startswith(template_fragment_prefix("sidebar"))
    return key.rsplit(".", 1)[1]


def test_keys_have_prefix_and_version_before_them():
    assert make_key("a") == ":1:a"
    assert make_key("a b", "shop", 12) == "shop:12:a b"


@pytest.mark.parametrize(
    ("release", "sidebar", "empty"),
    [
        ("4.2", "6e2b1025e4447581ec8be84e7c14680a", "853ae90f0351324bd73ea615e6487517"),
        ("6.0.10", "6e2b1025e4447581ec8be84e7c14680a", "853ae90f0351324bd73ea615e6487517"),
        ("6.1", "305fc879f852df3476f3300f5fbe076d", "3b59035bd3b34e30981dc990dd93acbb"),
    ],
)
def test_fragments_have_the_keys_of_their_release(release, sidebar, empty):
    assert fragment(release, [7, "en"]) == sidebar
    assert fragment(release, [""]) == empty
    assert fragment(release, []) == NOTHING


@pytest.mark.parametrize(
    ("release", "hashed"),
    [
        ("4.2.30", "73bbe012edfb61eca43444d61fefe937"),
        ("5.2.18", "73bbe012edfb61eca43444d61fefe937"),
        ("6.0.9", "73bbe012edfb61eca43444d61fefe937"),
        ("5.2.19", "35f594baf63889997501d1f3294e2d6b"),
        ("6.0.10", "35f594baf63889997501d1f3294e2d6b"),
        ("6.1.3", "3772ceb7939acad099dd85f0b1b95e30"),
    ],
)
def test_pages_have_the_keys_of_their_release(release, hashed):
    page = Page(URL, language="en-us", time_zone="Europe/Paris")
    header = f"views.decorators.cache.cache_header..{URL_HASH}.en-us.Europe/Paris"
    assert page.header_key() == header
    vary = {"X": None, "Cookie": "s=1", "Accept-Language": "de"}
    key = page.key(Release(release), "GET", vary)
    place = "views.decorators.cache.cache_page..GET"
    assert key == f"{place}.{URL_HASH}.{hashed}.en-us.Europe/Paris"
    assert key.startswith(page.prefix("GET"))


def test_what_a_site_does_not_use_is_not_in_its_keys():
    page = Page(URL, "shop")
    assert page.header_key() == f"views.decorators.cache.cache_header.shop.{URL_HASH}"
    place = "views.decorators.cache.cache_page.shop.HEAD"
    assert page.key(Release("6.1"), "HEAD", {}) == f"{place}.{URL_HASH}.{NOTHING}"
    languages = {"Accept-Language": "de"}
    assert page.key(Release("6.1"), "HEAD", languages) != page.key(Release("6.1"), "HEAD", {})


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("5.2", "'5.2' lacks its third number: keys changed in 5.2.19"),
        ("6.0", "'6.0' lacks its third number: keys changed in 6.0.10"),
        ("3.2.25", "'3.2.25': the keys of Django before 4.2 are unknown"),
        ("6.1rc1", "'6.1rc1' is no release of Django like 5.2.19"),
        ("5", "'5' is no release of Django like 5.2.19"),
    ],
)
def test_a_release_that_is_not_exact_enough_is_refused(release, words):
    with pytest.raises(ValueError) as refused:
        Release(release)
    assert str(refused.value) == words


def test_addresses_are_encoded_as_django_encodes_them():
    encoded = "http://s/a%20b%3Bc%3Dd%3Fe%23f/%2541/~x"
    assert absolute_uri("http://s", "/a b;c=d?e#f/%41/~x") == encoded
    assert absolute_uri("http://s", "/", "q=a b;é&x=%41") == "http://s/?q=a%20b;%C3%A9&x=%41"
