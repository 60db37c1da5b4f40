import pytest
from wasmcached_plugin import Storage, hard_tag
from wasmcached_plugin.testing import actions, event, get, key, storage

from plugin import Shop


def test_a_page_is_kept_per_language_whatever_the_campaign():
    german = get("https://shop/a?b=2&utm_source=mail&a=1").header("accept-language", "de-AT")
    assert key(Shop, german) == "http://shop/a?a=1&b=2|lang=de"
    assert key(Shop, get("https://shop/a")) == "http://shop/a|lang=en"


def test_the_page_of_a_product_carries_its_tag():
    tagged = Storage.keep().tags(["model:shop.product", "product:red-boots"])
    assert storage(Shop, get("https://shop/products/red-boots/")) == tagged
    assert storage(Shop, get("https://shop/about/")) == Storage.keep()


def test_a_renamed_product_changes_both_pages():
    renamed = event("shop.product").field("before.slug", "boots").field("after.slug", "red-boots")
    assert actions(Shop, renamed) == [hard_tag("product:boots"), hard_tag("product:red-boots")]
    assert actions(Shop, event("auth.user")) == []


def test_an_event_that_names_no_product_is_an_error_and_not_a_smaller_purge():
    with pytest.raises(ValueError, match="no slug"):
        actions(Shop, event("shop.product").id(5))
