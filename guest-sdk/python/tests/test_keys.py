"""What `Key`, `Storage` and the actions are made of."""

import pytest
from wasmcached_plugin import (
    Key,
    Storage,
    hard_prefix,
    hard_tag,
    matches,
    put,
    soft_prefix,
    soft_url,
)
from wasmcached_plugin.testing import get


def key(url):
    return Key.of(get(url).to_request(()))


@pytest.mark.parametrize("url", ["http://s/a", "http://s/a?b=1&b=2", "http://s/a|b?c"])
def test_untouched_urls_keep_their_bytes_and_are_the_default(url):
    assert key(url) == url
    assert key(url).is_default


def test_a_question_mark_without_a_query_is_kept():
    assert key("http://s/a?") == "http://s/a?"


def test_a_query_that_nothing_is_dropped_from_keeps_its_bytes():
    untouched = key("http://s/a?b&&c=1").drop_query("utm_*").sort_query()
    assert untouched == "http://s/a?b&&c=1"
    assert untouched.is_default


def test_dropping_every_parameter_drops_the_question_mark():
    dropped = key("http://s/a?utm_source=x&utm_medium=y").drop_query("utm_*")
    assert dropped == "http://s/a"
    assert not dropped.is_default


def test_kept_parameters_may_be_sorted():
    kept = key("http://s/a?page=2&x=1&lang=de").keep_query("page", "lang").sort_query()
    assert kept == "http://s/a?lang=de&page=2"


def test_values_can_not_forge_other_values():
    forged = key("http://s/a").with_("lang", "de|tier=gold").with_("tier", "-")
    honest = key("http://s/a").with_("lang", "de").with_("tier", "gold")
    assert forged != honest
    assert forged == "http://s/a|lang=de%7Ctier%3Dgold|tier=-"
    assert key("http://s/a|lang=de").with_("x", 1) == "http://s/a%7Clang=de|x=1"
    assert key("http://s/a").with_("x", "\x85 %") == "http://s/a|x=%C2%85%20%25"


def test_a_missing_value_is_refused_because_a_client_could_send_its_name():
    with pytest.raises(TypeError, match="tier is None"):
        key("http://s/a").with_("tier", None)


def test_a_prefix_comes_first_and_the_last_one_foremost():
    assert key("http://s/a").prefix("b:").prefix("a:") == "a:b:http://s/a"


def test_a_bypass_stays_one():
    assert Key.bypass().with_("a", 1).sort_query() == Key.bypass()
    assert Key.bypass().is_bypass


def test_an_exact_key_takes_values_and_prefixes_like_a_url():
    exact = Key.exactly("page:1")
    assert exact == "page:1" and not exact.is_default
    assert exact.with_("lang", "de") == "page:1|lang=de"
    assert exact.with_("a", 1).with_("b", 2).prefix("x:") == "x:page:1|a=1|b=2"
    assert Key.exactly("a|lang=de").with_("x", 1) == "a%7Clang=de|x=1"
    assert Key.exactly("a|b") == "a|b" and Key.exactly("") == ""


@pytest.mark.parametrize(
    "change", [lambda key: key.drop_query("a"), lambda key: key.keep_query("a"), Key.sort_query]
)
def test_an_exact_key_refuses_what_changes_a_query(change):
    with pytest.raises(TypeError, match="^'http://s/.a=1' is an exact key, which has no query"):
        change(Key.exactly("http://s/?a=1"))


def test_a_key_is_not_changed_by_what_is_made_from_it():
    start = key("http://s/a?b=1")
    start.with_("x", 1)
    start.drop_query("b")
    assert start == "http://s/a?b=1"


def test_patterns_match_whole_texts_and_pieces_must_not_overlap():
    assert matches("utm_*", "utm_source") and matches("/a/*/c", "/a/b/c") and matches("*", "")
    assert not matches("utm_*", "x_utm_source") and not matches("page", "pages")
    assert not matches("aba*aba", "aba") and not matches("ab*ba", "aba")
    assert matches("ab*ba", "abba") and matches("*b*d*", "abcde") and not matches("*d*b*", "abcde")


def test_storage_names_what_it_is_told_and_leaves_its_source_alone():
    kept = Storage.keep()
    tagged = kept.tag("a").tags(["b", "c"]).ttl(5).stale_while_revalidate(6).stale_if_error(7)
    assert (tagged.ttl_s, tagged.stale_while_revalidate_s, tagged.stale_if_error_s) == (5, 6, 7)
    assert tagged.all_tags == ("a", "b", "c")
    assert kept == Storage.keep() and kept.store and not Storage.skip().store
    assert Storage(all_tags=["a"]) == kept.tag("a")


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda: hard_tag(42), "tag is 42; a text is wanted"),
        (lambda: Storage.keep().tag(None), "tag is None; a text is wanted"),
        (lambda: Storage.keep().tags("abc"), "tags are 'abc'; a list of texts is wanted"),
        (lambda: Storage.keep().ttl(1.5), "ttl is 1.5; a whole number is wanted"),
        (lambda: Storage.keep().ttl(True), "ttl is True; a whole number is wanted"),
        (lambda: Storage(ttl_s=1.5), "ttl_s is 1.5; a whole number is wanted"),
        (lambda: Storage(all_tags="abc"), "all_tags are 'abc'; a list of texts is wanted"),
        (lambda: Storage(store=None), "store is None; True or False is wanted"),
        (lambda: put("k", 5), "value is 5; bytes or a text are wanted"),
        (lambda: soft_url(b"http://s/"), "url is b'http://s/'; a text is wanted"),
    ],
)
def test_values_of_the_wrong_type_are_refused_where_they_are_named(mistake, words):
    with pytest.raises(TypeError) as refused:
        mistake()
    assert str(refused.value) == words


def test_numbers_and_texts_that_can_not_cross_are_refused():
    with pytest.raises(ValueError, match="ttl is -1; limits are 0 and 4294967295"):
        Storage.keep().ttl(-1)
    with pytest.raises(UnicodeEncodeError):
        hard_tag("\ud800")


def test_an_empty_prefix_is_refused_in_its_own_words():
    for make, name in [(hard_prefix, "hard_everything"), (soft_prefix, "soft_everything")]:
        with pytest.raises(ValueError, match=rf"^prefix is empty, .*; {name}\(\) says that"):
            make("")
    assert hard_prefix("a").value == "a"


def test_a_value_may_be_text_or_bytes():
    assert put("k", "ä", ttl_s=5, tags=["t"]) == put("k", b"\xc3\xa4", ttl_s=5, tags=("t",))
