"""Tags are the same wherever they are made, and fit into every field and command."""

import datetime
import uuid

import pytest

from shop.models import Cafe, Country, Digest, Offer, Parcel, Place, Product, Restaurant
from wasmcached import names, tags_of


def test_rows_models_and_text_have_tags():
    tags = tags_of(Product(pk=5), Product, Offer(pk=5), "front")
    assert tags == ["shop.product:5", "shop.product:*", "shop.product", "front"]


def test_a_key_is_the_same_in_whatever_form_it_is_given():
    key = uuid.UUID("0123456789abcdef0123456789abcdef")
    forms = (key, str(key), key.hex)
    assert {names.pk_of(Parcel, form) for form in forms} == {str(key)}
    assert [names.pk_of(Product, form) for form in (5, "5")] == [5, 5]
    assert names.pk_of(Digest, memoryview(b"\x00/")) == "%00%2F"
    assert names.pk_of(Country, "a b,c%é") == "a%20b%2Cc%25%C3%A9"


def test_numbers_that_json_can_not_carry_are_text():
    assert names.pk_of(Product, 2**53 - 1) == 2**53 - 1
    assert names.pk_of(Product, 2**53) == "9007199254740992"


def test_a_key_that_is_too_long_for_a_tag_counts_as_the_whole_model():
    assert names.row_tag(Country, "x" * 300) == "shop.country"


def test_the_tables_of_one_thing_are_a_family():
    assert set(names.family_of(Restaurant)) == {Place, Restaurant, Cafe}
    assert names.descendants_of(Restaurant) == (Restaurant, Cafe)
    assert names.family_of(Offer) == (Product,)


@pytest.mark.parametrize("tag", ["", "a b", "a,b", "é", "a\n", "x" * 257])
def test_text_that_is_no_tag_is_refused(tag):
    with pytest.raises(ValueError):
        tags_of(tag)


def test_what_has_no_tag_is_refused():
    for thing in (Product(), 5, datetime.date(2026, 1, 1), str):
        with pytest.raises(ValueError):
            tags_of(thing)
