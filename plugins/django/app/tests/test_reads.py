"""What a page shows is learnt from its queries, and its answer is tagged with it."""

import django
import pytest
from django.db.models import Count, Exists, OuterRef
from django.test import AsyncClient, Client, override_settings
from django.conf import settings

from shop import models
from shop.models import Category, Complaint, Label, Parcel, Product, Restaurant, Review, Secret
from wasmcached import reads

PRODUCT = "shop.product"


def tags_of(read, tags_max=48):
    with reads.gathered() as seen:
        read()
    return set(seen.tags(tags_max))


@pytest.fixture(autouse=True)
def rows(events):
    category = Category.objects.create(pk=1, name="c", slug="c")
    for pk in (1, 2, 3):
        Product.objects.create(pk=pk, name=f"p{pk}", slug=f"p{pk}", category=category)


@pytest.mark.parametrize(
    "read, tags",
    [
        (lambda: Product.objects.get(pk=1), {"shop.product:1", "shop.product:*"}),
        (lambda: Product.objects.filter(pk=9).first(), {"shop.product:9", "shop.product:*"}),
        (lambda: Product.objects.filter(pk=1).exists(), {"shop.product:1", "shop.product:*"}),
        (
            lambda: Product.objects.in_bulk([1, 2]),
            {"shop.product:1", "shop.product:2", "shop.product:*"},
        ),
        (lambda: Product.objects.get(slug="p2"), {"shop.product:2", "shop.product:*"}),
        (lambda: Product.objects.filter(slug="none").first(), {PRODUCT}),
        (lambda: Product.objects.filter(slug="p2").values("name").first(), {PRODUCT}),
        (lambda: Product.objects.filter(slug="p2").exists(), {PRODUCT}),
        (lambda: list(Product.objects.all()), {PRODUCT}),
        (lambda: list(Product.objects.filter(price=1)), {PRODUCT}),
        (lambda: list(Product.objects.exclude(pk=1)), {PRODUCT}),
        (lambda: Product.objects.count(), {PRODUCT}),
        (lambda: list(Product.objects.iterator()), {PRODUCT}),
        (lambda: Product.objects.aggregate(Count("labels")), {PRODUCT, "shop.product_labels"}),
        (lambda: list(Product.objects.filter(category__name="c")), {PRODUCT, "shop.category"}),
        (lambda: list(Product.objects.select_related("category")), {PRODUCT, "shop.category"}),
        (lambda: list(Product.objects.union(Product.objects.filter(pk=1))), {PRODUCT}),
        (
            lambda: list(
                Category.objects.filter(Exists(Product.objects.filter(category=OuterRef("pk"))))
            ),
            {PRODUCT, "shop.category"},
        ),
        (
            lambda: list(Category.objects.filter(pk__in=Complaint.objects.values("product"))),
            {"shop.category", "shop.complaint"},
        ),
        (lambda: list(Secret.objects.all()), set()),
    ],
)
def test_a_query_depends_on_what_it_names(read, tags):
    found = tags_of(read)
    if PRODUCT in tags:
        found -= {tag for tag in found if tag.startswith("shop.product:")}
    assert found == tags


def test_a_followed_key_depends_on_its_row():
    product = Product.objects.get(pk=1)
    assert tags_of(lambda: product.category.name) == {"shop.category:1", "shop.category:*"}
    assert tags_of(lambda: list(product.labels.all())) == {"shop.label", "shop.product_labels"}


def test_a_row_in_two_tables_is_a_row_of_both():
    restaurant = Restaurant.objects.create(name="r")
    assert tags_of(lambda: Restaurant.objects.get(pk=restaurant.pk)) == {
        "shop.restaurant:1",
        "shop.restaurant:*",
        "shop.place:1",
        "shop.place:*",
    }


def test_a_row_that_is_found_by_a_unique_field_beside_others_depends_on_both():
    def read():
        Product.objects.get(slug="p1")
        Product.objects.filter(slug="none").first()

    assert PRODUCT in tags_of(read)


def test_keys_are_written_as_events_have_them():
    parcel = Parcel.objects.create(state="s")
    found = tags_of(lambda: Parcel.objects.get(pk=parcel.pk.hex))
    assert found == {f"shop.parcel:{parcel.pk}", "shop.parcel:*"}


@pytest.mark.skipif(django.VERSION < (5, 2), reason="composite keys came with Django 5.2")
def test_a_key_of_two_parts_is_a_tag():
    found = tags_of(lambda: models.Line.objects.filter(pk=(1, 2)).first())
    assert found == {"shop.line:1/2", "shop.line:*"}


def test_too_many_rows_become_their_model():
    found = tags_of(lambda: Product.objects.in_bulk(range(100)))
    assert found == {PRODUCT}

    def read():
        Product.objects.in_bulk(range(8))
        Review.objects.in_bulk(range(3))

    assert tags_of(read, 10) == {PRODUCT, "shop.review:*"} | {f"shop.review:{n}" for n in range(3)}


def get(path, **more):
    with override_settings(WASMCACHED={**settings.WASMCACHED, **more}):
        return Client().get(path)


def test_answers_are_tagged_with_what_they_show():
    assert get("/key/1/").headers["Surrogate-Key"] == "shop.product:1 shop.product:*"
    assert get("/slug/p2/").headers["Surrogate-Key"] == "shop.product:2 shop.product:*"
    assert get("/slug/none/").headers["Surrogate-Key"] == PRODUCT
    assert get("/").headers["Surrogate-Key"] == PRODUCT
    groups = get("/key/1/", TAG_FIELD="Cache-Groups").headers["Cache-Groups"]
    assert groups == '"shop.product:1", "shop.product:*"'
    assert "Surrogate-Key" not in get("/nothing/").headers


def test_answers_to_unsafe_methods_are_not_tagged():
    assert "Surrogate-Key" not in Client().post("/").headers


def test_a_streaming_answer_is_not_kept_by_shared_caches():
    response = get("/streamed/")
    assert response.headers["CDN-Cache-Control"] == "no-store"
    assert b"".join(response.streaming_content) == b"p1p2p3"


def test_what_raw_sql_reads_is_not_known():
    with reads.gathered() as seen:
        assert [product.pk for product in Product.objects.raw("SELECT * FROM shop_product")]
    assert not seen.is_complete


def test_an_answer_whose_reads_can_not_be_named_is_not_kept_by_shared_caches(monkeypatch):
    def fail(query):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("wasmcached.reads._labels", fail)
    response = get("/key/1/")
    assert response.content == b"p1" and response.headers["CDN-Cache-Control"] == "no-store"


def test_an_asynchronous_application_is_tagged_too():
    import asyncio

    response = asyncio.run(AsyncClient().get("/key/1/"))
    assert response.headers["Surrogate-Key"] == "shop.product:1 shop.product:*"


def test_the_debug_field_says_what_was_found_out():
    debug = get("/key/1/", DEBUG=True).headers["X-Wasmcached-Debug"]
    assert debug == "tags: shop.product:1 shop.product:*"
    assert "X-Wasmcached-Debug" not in get("/key/1/").headers


def test_labels_are_not_confused_with_what_begins_alike():
    assert tags_of(lambda: list(Label.objects.all())) == {"shop.label"}
