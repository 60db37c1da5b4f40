"""The ways to write by the ORM. Each is prepared, then carried out, and says which models it
changes.

A path is a function that prepares the rows, and returns what is to be called
and the models whose pages may change.
"""

import django
from django.db.models import F

from shop.models import Cafe, Category, Complaint, Country, Digest, Label, Offer, Parcel, Place
from shop.models import Product, Restaurant, Review

from routing import Router

PATHS = {}


def way(name):
    """Registers a path under the name that the table has."""

    def register(prepare):
        PATHS[name] = prepare
        return prepare

    return register


def product(name="a", **fields):
    return Product.objects.create(name=name, **fields)


@way("`save()` of a new row")
def _():
    return Product(name="a").save, [Product]


@way("`save()` of a row")
def _():
    row = product()
    row.name = "b"
    return row.save, [Product]


@way("`save(update_fields=…)`")
def _():
    row = product()
    row.name = "b"
    return lambda: row.save(update_fields=["name"]), [Product]


@way("`create()`")
def _():
    return lambda: Product.objects.create(name="a"), [Product]


@way("`get_or_create()`")
def _():
    return lambda: Product.objects.get_or_create(name="a"), [Product]


@way("`update_or_create()`")
def _():
    product()
    change = {"defaults": {"price": 5}}
    return lambda: Product.objects.update_or_create(name="a", **change), [Product]


@way("`update()` of some rows")
def _():
    product()
    product("b")
    return lambda: Product.objects.filter(name="a").update(price=5), [Product]


@way("`update()` of a row by its key")
def _():
    row = product()
    return lambda: Product.objects.filter(pk=row.pk).update(price=5), [Product]


@way("`update(price=F(…) + 1)`")
def _():
    product()
    return lambda: Product.objects.update(price=F("price") + 1), [Product]


@way("`bulk_create()`")
def _():
    return lambda: Product.objects.bulk_create([Product(name="a"), Product(name="b")]), [Product]


@way("`bulk_create()` that updates")
def _():
    Category.objects.create(name="a", slug="a")
    rows = [Category(name="b", slug="a"), Category(name="c", slug="c")]
    how = {"update_conflicts": True, "update_fields": ["name"], "unique_fields": ["slug"]}
    return lambda: Category.objects.bulk_create(rows, **how), [Category]


@way("`bulk_update()`")
def _():
    rows = [product("a"), product("b")]
    for row in rows:
        row.price = 5
    return lambda: Product.objects.bulk_update(rows, ["price"]), [Product]


@way("a move to another parent")
def _():
    first, second = (Category.objects.create(name=name, slug=name) for name in "ab")
    row = product(category=first)
    row.category = second
    return row.save, [Product, Category]


@way("`delete()` of a row")
def _():
    return product().delete, [Product]


@way("`delete()` of some rows")
def _():
    product()
    product("b")
    return Product.objects.filter(name="a").delete, [Product]


@way("a raw delete")
def _():
    Label.objects.create(name="a")
    return lambda: Label.objects.all()._raw_delete(Router.database), [Label]


@way("a cascade")
def _():
    row = product()
    Review.objects.create(product=row, text="r")
    return row.delete, [Product, Review]


@way("a cascade over two levels")
def _():
    category = Category.objects.create(name="a", slug="a")
    Review.objects.create(product=product(category=category), text="r")
    return category.delete, [Category, Product, Review]


@way("`SET_NULL`")
def _():
    row = product()
    Complaint.objects.create(product=row, text="c")
    return row.delete, [Product, Complaint]


def related(act, from_label, before):
    row, label = product(), Label.objects.create(name="l")
    if before:
        row.labels.add(label)
    manager, other = (label.products, row) if from_label else (row.labels, label)
    arguments = {"add": [other], "remove": [other], "set": [[other]], "clear": []}[act]
    return lambda: getattr(manager, act)(*arguments), [Product, Label]


for act in ("add", "remove", "set", "clear"):
    has_before = act in ("remove", "clear")
    for side in (False, True):
        end = ", from the other side" if side else ""
        PATHS[f"many-to-many `{act}()`{end}"] = (
            lambda act=act, side=side, before=has_before: related(act, side, before)
        )


@way("many-to-many `create()`")
def _():
    row = product()
    return lambda: row.labels.create(name="l"), [Product, Label]


@way("a row in two tables: `create()`")
def _():
    return lambda: Restaurant.objects.create(name="a"), [Place, Restaurant]


@way("a row in two tables: `save()` of the child")
def _():
    row = Restaurant.objects.create(name="a")
    row.name, row.serves_pizza = "b", True
    return row.save, [Place, Restaurant]


@way("a row in three tables: `save()` of the parent")
def _():
    row = Place.objects.get(pk=Cafe.objects.create(name="a").pk)
    row.name = "b"
    return row.save, [Place, Restaurant, Cafe]


@way("a row in three tables: `update()` of all")
def _():
    Cafe.objects.create(name="a")
    change = {"name": "b", "serves_pizza": True, "seats": 5}
    return lambda: Cafe.objects.update(**change), [Place, Restaurant, Cafe]


@way("a row in two tables: `delete()` of the parent")
def _():
    row = Restaurant.objects.create(name="a")
    return Place.objects.get(pk=row.pk).delete, [Place, Restaurant]


@way("a proxy: `save()`")
def _():
    row = Offer.objects.create(name="a")
    row.name = "b"
    return row.save, [Product, Offer]


@way("a proxy: `delete()`")
def _():
    return Offer.objects.create(name="a").delete, [Product, Offer]


@way("a key that is a UUID")
def _():
    row = Parcel.objects.create(state="a")
    row.state = "b"
    return row.save, [Parcel]


@way("a key that is bytes")
def _():
    Digest.objects.create(id=b"\x00/ \xff", text="a")
    change = Digest.objects.filter(pk=b"\x00/ \xff")
    return lambda: change.update(text="b"), [Digest]


@way("a key that is text")
def _():
    Country.objects.create(name="Côte d'Ivoire, 2")
    return lambda: Country.objects.filter(name="Côte d'Ivoire, 2").update(people=5), [Country]


if django.VERSION >= (5, 2):
    from shop.models import Line

    @way("a key of two parts")
    def _():
        row = Line.objects.create(order=1, number=2, text="a")
        row.text = "b"
        return row.save, [Line]


if django.VERSION >= (6, 1):
    from shop.models import Bill, Machine, Part

    @way("`DB_CASCADE`")
    def _():
        machine = Machine.objects.create(name="m")
        Part.objects.create(machine=machine, name="p")
        return machine.delete, [Machine, Part]

    @way("`DB_SET_NULL`")
    def _():
        machine = Machine.objects.create(name="m")
        Bill.objects.create(machine=machine, text="b")
        return machine.delete, [Machine, Bill]
