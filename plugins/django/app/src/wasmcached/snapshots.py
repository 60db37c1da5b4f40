"""Foreign keys and unique fields of rows as they were loaded: what they were before a change.

Only these: they are what lists and addresses depend on, and events stay small. What an instance was
loaded with is what is told; another process may have changed the row since, and has told so itself.
"""

from __future__ import annotations

from functools import lru_cache

from django.db.models import AutoField, ForeignKey
from django.db.models.expressions import BaseExpression

from . import conf
from .changes import jsonable

_ATTRIBUTE = "_wasmcached_loaded"


def take(instance, names=None):
    """Remembers an instance as it is now, or some of its fields; deferred ones are left out."""
    if not conf.tracks(type(instance)):
        return
    values = _values(instance)
    if names is not None:
        some = {field: value for field, value in values.items() if _is_one_of(field, names)}
        values = {**(getattr(instance._state, _ATTRIBUTE, None) or {}), **some}
    setattr(instance._state, _ATTRIBUTE, values)


def before(instance):
    """The fields of an instance as it was loaded; empty if it was not."""
    return _told(getattr(instance._state, _ATTRIBUTE, None) or {})


def now(instance):
    """The fields of an instance as they are."""
    return _told(_values(instance))


def _is_one_of(field, names):
    return field.name in names or field.attname in names


def _values(instance):
    loaded = instance.__dict__
    # Deferred ones are not in there, and expressions are no values.
    return {
        field: loaded[field.attname]
        for field in _fields_of(type(instance))
        if field.attname in loaded and not isinstance(loaded[field.attname], BaseExpression)
    }


def _told(values):
    told = {}
    for field, value in values.items():
        value, is_told = jsonable(value)
        if is_told:
            told[field.name] = value
    return told


@lru_cache(maxsize=None)
def _fields_of(model):
    # A number that the database has chosen says nothing that `pk` doesn't.
    return [
        field
        for field in model._meta.concrete_fields
        if isinstance(field, ForeignKey) or (field.unique and not isinstance(field, AutoField))
    ]
