"""Every way to write by the ORM is announced, with as much as can be known of it."""

import uuid

import django
import pytest
from django.core import serializers
from django.db import connection
from django.db.models import F, sql

from shop import models
from shop.models import Category, Complaint, Country, Digest, Label, Offer, Parcel, Place, Product
from shop.models import Cafe, Restaurant, Review, Secret
from wasmcached.testing import recorded_events

import wasmcached


def told(events):
    """`(model, pk, op)` of each, in any order."""
    return {(event["model"], event["pk"], event["op"]) for event in events}


def writing(write):
    """The events of one call."""
    with recorded_events() as events:
        write()
    return events


def product(**fields):
    return Product.objects.create(name="boots", **fields)


def test_a_new_row_is_told_with_its_key_and_its_unique_fields(events):
    boots = product(slug="boots", category=Category.objects.create(name="c", slug="c"))
    assert told(events) == {("shop.category", 1, "create"), ("shop.product", boots.pk, "create")}
    assert events[-1]["after"] == {"slug": "boots", "category": 1}
    assert len(events) == 2, "one for each row"


def test_a_changed_row_is_told_with_what_was_written_and_what_was_before(events):
    first, second = (Category.objects.create(name=name, slug=name) for name in "ab")
    boots = Product.objects.get(pk=product(slug="boots", category=first).pk)
    events.clear()
    boots.category, boots.price = second, 5
    boots.save(update_fields=["category", "price"])
    [event] = events
    assert event["op"] == "update" and event["changed"] == ["category", "price"]
    assert event["before"] == {"slug": "boots", "category": first.pk}
    assert event["after"] == {"slug": "boots", "category": second.pk}


def test_a_save_of_all_fields_says_that_all_may_have_changed(events):
    boots = product()
    events.clear()
    boots.save()
    assert set(events[0]["changed"]) == {"name", "slug", "price", "category", "updated_at"}


def test_a_second_save_knows_what_the_first_has_left(events):
    boots = product(slug="a")
    for slug in "bc":
        boots.slug = slug
        boots.save()
    assert [event.get("before", {}).get("slug") for event in events] == [None, "a", "b"]


def test_a_row_that_was_read_again_is_told_as_it_was_then(events):
    boots = product(slug="a")
    Product.objects.filter(pk=boots.pk).update(slug="b")
    boots.refresh_from_db()
    boots.slug = "c"
    boots.save()
    assert events[-1]["before"]["slug"] == "b"


def test_a_deferred_field_that_is_read_later_hides_no_change(events):
    first, second = (Category.objects.create(name=name, slug=name) for name in "ab")
    pk = product(category=first).pk
    boots = Product.objects.defer("price").get(pk=pk)
    boots.category = second
    assert boots.price == 0
    boots.save()
    assert events[-1]["before"]["category"] == first.pk
    assert events[-1]["after"]["category"] == second.pk


def test_a_statement_that_is_carried_out_twice_is_told_twice(events):
    boots = product()
    query = Product.objects.filter(pk=boots.pk).query.chain(sql.UpdateQuery)
    query.add_update_values({"price": 5})
    compiler = query.get_compiler("default")
    events.clear()
    for _ in range(2):
        compiler.execute_sql(sql.constants.CURSOR)
    assert told(events) == {("shop.product", boots.pk, "update")} and len(events) == 2


def test_a_deleted_row_is_told_with_what_it_was(events):
    boots = product(slug="boots")
    pk = boots.pk
    events.clear()
    boots.delete()
    [event] = [event for event in events if event["model"] == "shop.product"]
    assert (event["pk"], event["op"]) == (pk, "delete")
    assert event["before"] == {"slug": "boots", "category": None} and "after" not in event


def test_an_update_by_query_names_the_rows_where_its_condition_does():
    boots = product()
    by_key = writing(lambda: Product.objects.filter(pk=boots.pk).update(price=1))
    assert told(by_key) == {("shop.product", boots.pk, "update")}
    assert by_key[0]["changed"] == ["price"]
    by_keys = writing(lambda: Product.objects.filter(pk__in=[1, 2], price=1).update(price=F("id")))
    assert told(by_keys) == {("shop.product", 1, "update"), ("shop.product", 2, "update")}


@pytest.mark.parametrize(
    "update",
    [
        lambda: Product.objects.update(price=2),
        lambda: Product.objects.filter(price=0).update(price=2),
        lambda: Product.objects.exclude(pk=99).update(price=2),
        lambda: Product.objects.filter(pk__gt=0).update(price=2),
        lambda: (Product.objects.filter(pk=1) | Product.objects.filter(price=0)).update(price=2),
        lambda: Product.objects.filter(pk__in=Product.objects.filter(price=0)).update(price=2),
        lambda: Product.objects.filter(category__pk=1).update(price=2),
        lambda: Product.objects.filter(pk__gte=F("price")).update(price=2),
    ],
)
def test_an_update_of_rows_that_are_not_named_is_one_of_the_model(update):
    Category.objects.create(pk=1, name="c", slug="c")
    product(category_id=1)
    assert told(writing(update)) == {("shop.product", None, "bulk")}


def test_a_changed_key_is_a_change_of_the_model(events):
    Country.objects.create(name="a")
    events.clear()
    Country.objects.filter(name="a").update(name="b")
    assert told(events) == {("shop.country", None, "bulk")}


def test_bulk_writes_name_their_rows():
    rows = [Product(name=name) for name in "ab"]
    created = writing(lambda: Product.objects.bulk_create(rows))
    if all(row.pk for row in rows):
        assert told(created) == {("shop.product", row.pk, "create") for row in rows}
    else:
        assert told(created) == {("shop.product", None, "bulk")}
    rows = list(Product.objects.all())
    for row in rows:
        row.price = 3
    updated = writing(lambda: Product.objects.bulk_update(rows, ["price"]))
    assert told(updated) == {("shop.product", row.pk, "update") for row in rows}


def test_an_upsert_is_a_change_of_the_model(events):
    rows = [Category(name="a", slug="a")]
    Category.objects.bulk_create(
        rows, update_conflicts=True, update_fields=["name"], unique_fields=["slug"]
    )
    Category.objects.bulk_create(rows, ignore_conflicts=True)
    assert told(events) == {("shop.category", None, "bulk")}


def test_deletes_by_query_name_their_rows_and_those_that_go_with_them():
    boots = product()
    review = Review.objects.create(product=boots, text="good")
    complaint = Complaint.objects.create(product=boots, text="bad")
    events = told(writing(lambda: Product.objects.filter(name="boots").delete()))
    assert ("shop.product", boots.pk, "delete") in events
    assert ("shop.review", review.pk, "delete") in events
    assert {event for event in events if event[0] == "shop.complaint"} in (
        {("shop.complaint", None, "bulk")},
        {("shop.complaint", complaint.pk, "update")},
    )


def test_a_raw_delete_is_told():
    product()
    rows = Product.objects.filter(price=0)
    assert told(writing(lambda: rows._raw_delete("default"))) == {("shop.product", None, "bulk")}


@pytest.mark.parametrize("is_reverse", [False, True])
@pytest.mark.parametrize("name", ["add", "remove", "set", "clear"])
def test_relations_of_many_to_many_are_changes_of_both_sides(name, is_reverse):
    boots, label = product(), Label.objects.create(name="new")
    if name in ("remove", "clear"):
        boots.labels.add(label)
    rows, other = (label.products, boots) if is_reverse else (boots.labels, label)
    arguments = {"add": [other], "remove": [other], "set": [[other]], "clear": []}[name]
    events = writing(lambda: getattr(rows, name)(*arguments))
    both = {("shop.product", boots.pk, "update"), ("shop.label", label.pk, "update")}
    assert both < told(events)
    fields = {event["model"]: event.get("changed") for event in events}
    assert fields["shop.product"] == ["labels"] and fields["shop.label"] == ["products"]


def test_parts_of_one_thing_in_several_tables_change_together():
    cafe = Cafe.objects.create(name="c", serves_pizza=True, seats=3)
    everyone = {("shop.place", 1), ("shop.restaurant", 1), ("shop.cafe", 1)}
    for write in (
        lambda: Place.objects.get(pk=cafe.pk).save(),
        lambda: Place.objects.filter(pk=cafe.pk).update(name="d"),
        lambda: Restaurant.objects.get(pk=cafe.pk).save(),
        lambda: cafe.save(),
        lambda: Cafe.objects.get(pk=cafe.pk).delete(),
    ):
        assert {(event["model"], event["pk"]) for event in writing(write)} == everyone


def test_an_update_by_query_over_two_tables_names_both():
    restaurant = Restaurant.objects.create(name="c")
    update = lambda: Restaurant.objects.filter(serves_pizza=False).update(
        name="d", serves_pizza=True
    )
    models_told = {event["model"] for event in writing(update)}
    assert models_told == {"shop.place", "shop.restaurant", "shop.cafe"}
    assert restaurant.pk


def test_a_proxy_is_its_model():
    offer = Offer.objects.create(name="a")
    assert told(writing(offer.save)) == {("shop.product", offer.pk, "update")}
    assert told(writing(Offer.objects.get(pk=offer.pk).delete)) >= {("shop.product", 1, "delete")}


def test_keys_that_are_no_numbers_are_told_as_tags_have_them(events):
    parcel = Parcel.objects.create(state="sent")
    Parcel.objects.filter(pk=str(parcel.pk).replace("-", "")).update(state="lost")
    Digest.objects.create(id=b"\x00a/\xff", text="t")
    Country.objects.create(name="Côte d'Ivoire, 2")
    assert told(events) == {
        ("shop.parcel", str(parcel.pk), "create"),
        ("shop.parcel", str(parcel.pk), "update"),
        ("shop.digest", "%00a%2F%FF", "create"),
        ("shop.country", "C%C3%B4te%20d%27Ivoire%2C%202", "create"),
    }
    assert uuid.UUID(events[0]["pk"]) == parcel.pk


@pytest.mark.skipif(django.VERSION < (5, 2), reason="composite keys came with Django 5.2")
def test_a_key_of_two_parts_is_told_with_both():
    line = writing(lambda: models.Line.objects.create(order=1, number=2, text="t"))
    assert told(line) == {("shop.line", "1/2", "create")}
    by_key = models.Line.objects.filter(pk=(1, 2))
    assert told(writing(lambda: by_key.update(text="u"))) == {("shop.line", "1/2", "update")}
    assert told(writing(lambda: by_key.get().save())) == {("shop.line", "1/2", "update")}
    assert told(writing(lambda: by_key.get().delete())) == {("shop.line", "1/2", "delete")}


@pytest.mark.skipif(django.VERSION < (6, 1), reason="databases cascade since Django 6.1")
def test_what_the_database_does_with_a_row_is_told():
    machine = models.Machine.objects.create(name="m")
    models.Part.objects.create(machine=machine, name="p")
    deleted = {event["model"]: event["op"] for event in writing(machine.delete)}
    assert deleted == {"shop.machine": "delete", "shop.part": "bulk", "shop.bill": "bulk"}


def test_loaded_fixtures_are_told(events):
    text = '[{"model": "shop.label", "pk": 7, "fields": {"name": "x"}}]'
    for row in serializers.deserialize("json", text):
        row.save()
    assert told(events) == {("shop.label", 7, "create")}


def test_sql_by_hand_is_told_by_hand(events):
    boots = product()
    events.clear()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop_product SET price = 7")
    wasmcached.changed(boots, Category)
    assert told(events) == {("shop.product", boots.pk, "update"), ("shop.category", None, "bulk")}


def test_a_mistake_of_ours_is_a_change_of_the_model_and_no_failing_save(events, monkeypatch):
    def fail(model, value):
        raise RuntimeError("a mistake of ours")

    boots = product()
    events.clear()
    monkeypatch.setattr("wasmcached.names.pk_of", fail)
    boots.save()
    Product.objects.filter(pk=boots.pk).update(price=9)
    boots.delete()
    assert told(events) >= {("shop.product", None, "bulk")}
    assert {event["pk"] for event in events} == {None} and not Product.objects.exists()


def test_excluded_models_are_not_told(events):
    secret = Secret.objects.create(text="s")
    Secret.objects.update(text="t")
    secret.delete()
    assert events == []


def test_reading_writes_nothing(events):
    product()
    events.clear()
    assert list(Product.objects.all()) and Product.objects.count() == 1
    assert events == []


def test_a_statement_that_finds_no_row_is_not_told(events):
    Product.objects.filter(price=0).update(price=1)
    Product.objects.filter(price=0).delete()
    assert events == []


@pytest.mark.parametrize("rows, expected", [(500, 500), (501, 1)])
def test_too_many_rows_are_the_whole_model(rows, expected):
    product()
    events = writing(lambda: Product.objects.filter(pk__in=range(1, rows + 1)).update(price=1))
    assert len(events) == expected
    assert expected > 1 or events[0]["pk"] is None
