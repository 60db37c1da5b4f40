"""Names of models, rows and tags: what events, pages and items have in common.

| tag | is on | is purged by |
|---|---|---|
| `shop.product:5` | what shows the row | a change of the row |
| `shop.product` | what shows a choice of rows, or none | any change of the model |
| `shop.product:*` | whatever has a tag of one row | a change of unknown rows |

A primary key is percent-encoded, so that a tag fits into every field and command; the parts of a
composite key are joined by `/`.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from django.db import models
from django.db.models.signals import class_prepared
from django.dispatch import receiver

#: Longest tag that a server takes.
TAG_BYTES_MAX = 256

#: Numbers beyond it lose digits in readers of JSON.
_EXACT_MAX = 2**53


def label_of(model):
    """`shop.product`, also of proxies of it."""
    return model._meta.concrete_model._meta.label_lower


@lru_cache(maxsize=None)
def family_of(model):
    """The model, and those whose rows are parts of the same things under the same primary key by
    multi-table inheritance: its parents and its descendants."""
    family = list(descendants_of(model))
    for member in family:
        parents = member._meta.parents.items()
        family.extend(
            parent for parent, link in parents if link and link.primary_key and parent not in family
        )
    return tuple(family)


@lru_cache(maxsize=None)
def descendants_of(model):
    """The model, and those that inherit its columns: a change of its rows changes theirs."""
    family = [model._meta.concrete_model]
    for member in family:
        for relation in member._meta.get_fields(include_hidden=True):
            if relation.concrete or not relation.one_to_one:
                continue
            link = relation.field
            if relation.parent_link and link.primary_key and link.model not in family:
                family.append(link.model)
    return tuple(family)


@receiver(class_prepared)
def _forget(**_):
    """A model that is new may be a descendant."""
    family_of.cache_clear()
    descendants_of.cache_clear()


def pk_of(model, value):
    """A primary key as an event has it: a number as it is, everything else as text.

    `value` may be given in any form that the field understands, as it may be in queries.
    """
    value = _normal(model._meta, value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and -_EXACT_MAX < value < _EXACT_MAX:
        return value
    return _text(value)


def _normal(meta, value):
    if isinstance(value, models.Model):
        value = value.pk
    # Composite primary keys came with Django 5.2.
    fields = getattr(meta, "pk_fields", None) or [meta.pk]
    if isinstance(value, (tuple, list)):
        return tuple(field.to_python(part) for field, part in zip(fields, value))
    return meta.pk.to_python(value)


def _text(value):
    if isinstance(value, tuple):
        return "/".join(_text(part) for part in value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return quote(bytes(value), safe="")
    return quote(str(value), safe="")


def row_tag(model, pk):
    """The tag of a row, by its key as events have it; that of lists where it would be too long."""
    tag = f"{label_of(model)}:{pk}"
    return tag if len(tag) <= TAG_BYTES_MAX else label_of(model)


def any_row_tag(model):
    """What accompanies every tag of a row."""
    return f"{label_of(model)}:*"


def tags_of(*things):
    """Tags of rows (instances), of models (classes: anything that depends on which rows there are),
    and of whatever is named by text.

    Raises `ValueError` for text that is no tag, and for rows that are not saved yet.
    """
    tags = {}
    for thing in things:
        for tag in _tags_of(thing):
            tags[tag] = None
    return list(tags)


def _tags_of(thing):
    if isinstance(thing, models.Model):
        if thing.pk is None:
            raise ValueError(f"{thing!r} is not saved, and has no tag yet")
        return [row_tag(thing, pk_of(thing, thing.pk)), any_row_tag(thing)]
    if isinstance(thing, type) and issubclass(thing, models.Model):
        return [label_of(thing)]
    if isinstance(thing, str):
        return [checked(thing)]
    raise ValueError(f"{thing!r} is neither a model, nor a row, nor a tag")


def checked(tag):
    """A tag that every field and command can carry; `ValueError` for any other."""
    size = len(tag.encode())
    if not 1 <= size <= TAG_BYTES_MAX:
        raise ValueError(f"tag is {size} bytes; 1 to {TAG_BYTES_MAX} are allowed")
    for character in tag:
        if not "!" <= character <= "~" or character == ",":
            raise ValueError(
                f"tag {tag!r} contains {character!r}; visible ASCII but commas is allowed"
            )
    return tag
