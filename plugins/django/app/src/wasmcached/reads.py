"""Which rows and models a page shows, learnt from the queries that make it.

A query that asks for rows by primary key depends on those rows; one that asks by a unique field and
finds a row, on that row; every other one on all tables that it names. Subqueries count like
queries.

Invariant: a dependence is never narrower than the query. What can't be understood counts as "any
row of these tables".

Not here: SQL by cursors; a view that uses it says so by `reads.note_tags(tags_of(Model))`. What
`raw()` reads is not known, and its page is not to be kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from django.apps import apps
from django.db.models import Model
from django.db.models.lookups import Exact
from django.db.models.sql.where import AND

from . import conf, names, writes

_current = ContextVar("wasmcached_reads", default=None)

#: Set on a compiler whose query asks for one row by a unique field.
_BY_UNIQUE = "_wasmcached_by_unique"


class Reads:
    """What was read."""

    def __init__(self):
        #: {label: set of tags of rows, or None for any row}
        self._models = {}
        self._others = {}
        #: Models whose instances are tagged as they are made.
        self.by_instance = set()
        #: Whether all that was read is in it.
        self.is_complete = True

    def add_model(self, label):
        """Adds all rows of a model, also those that will be."""
        self._models[label] = None

    def add_row(self, model, pk):
        """Adds a row."""
        label = names.label_of(model)
        rows = self._models.setdefault(label, set())
        if rows is not None:
            rows.add(names.row_tag(model, pk))

    def add_tags(self, tags):
        """Adds tags of any kind."""
        self._others.update(dict.fromkeys(tags))

    def has_all_of(self, label):
        """Whether every row of a model is in it already."""
        return self._models.get(label, ()) is None

    def tags(self, tags_max):
        """The tags; models with the most rows are named as wholes until there are few enough."""
        models = dict(self._models)
        while _count(models) + len(self._others) > tags_max and any(models.values()):
            models[max(models, key=lambda label: len(models[label] or ()))] = None
        tags = dict(self._others)
        for label, rows in models.items():
            found = [label] if rows is None else [*sorted(rows), f"{label}:*"]
            tags.update(dict.fromkeys(found))
        return list(tags)


@contextmanager
def gathered():
    """Gathers what is read in here, also in threads that work for it."""
    reads = Reads()
    token = _current.set(reads)
    try:
        yield reads
    finally:
        _current.reset(token)


def is_gathering():
    """Whether anybody wants to know what is read."""
    return _current.get() is not None


def give_up():
    """Something was read that can't be named."""
    reads = _current.get()
    if reads is not None:
        reads.is_complete = False


def note_tags(tags):
    """The page that is being made depends on these tags too."""
    reads = _current.get()
    if reads is not None:
        reads.add_tags(tags)


def note_tables(compiler):
    """Notes a query, or a part of one, whose tables were just put into SQL."""
    reads = _current.get()
    if reads is None:
        return
    query = compiler.query
    labels = _labels(query)
    model = getattr(query, "model", None)
    if model is not None:
        own = names.label_of(model)
        keys = writes.keys_of(query)
        if keys is not None:
            labels.pop(own, None)
            _note_rows(reads, model, keys, labels)
        elif query.default_cols and _is_by_unique(query):
            labels.pop(own, None)
            setattr(compiler, _BY_UNIQUE, model)
    for label in labels:
        reads.add_model(label)


def note_result(compiler, result):
    """Notes what a query by a unique field has found: a row, or that there is none."""
    model = getattr(compiler, _BY_UNIQUE, None)
    reads = _current.get()
    if reads is None or model is None:
        return
    label = names.label_of(model)
    has_row = isinstance(result, list) and any(len(chunk) for chunk in result)
    if has_row and _makes_instances(model):
        reads.by_instance.add(label)
    elif conf.tracks(model):
        reads.add_model(label)


def note_instance(instance):
    """Notes a row that was made into an instance."""
    reads = _current.get()
    if reads is None or not reads.by_instance:
        return
    label = names.label_of(instance)
    if label in reads.by_instance and not reads.has_all_of(label) and conf.tracks(type(instance)):
        reads.add_row(type(instance), names.pk_of(instance, instance.pk))


def _note_rows(reads, model, keys, labels):
    """Rows by their keys, and the parts of them that are in tables of parents."""
    if not conf.tracks(model):
        return
    for key in keys:
        pk = names.pk_of(model, key)
        reads.add_row(model, pk)
        for member in names.family_of(model):
            if names.label_of(member) in labels:
                reads.add_row(member, pk)
    for member in names.family_of(model):
        labels.pop(names.label_of(member), None)


def _labels(query):
    """The announced models whose tables a query names, as keys."""
    labels = {}
    for alias, table in getattr(query, "alias_map", {}).items():
        if query.alias_refcount.get(alias, 0):
            for model in _models_of_table(table.table_name):
                labels[names.label_of(model)] = None
    return labels


def _models_of_table(name):
    return [model for model in _tables().get(name, ()) if conf.tracks(model)]


def _tables():
    # The registry's own list is made anew when models are added, and is the same until then.
    return _tables_of(_Same(apps.get_models(include_auto_created=True)))


class _Same:
    """A list as a key, by its identity."""

    def __init__(self, models):
        self.models = models

    def __hash__(self):
        return id(self.models)

    def __eq__(self, other):
        return self.models is other.models


@lru_cache(maxsize=1)
def _tables_of(same):
    tables = {}
    for model in same.models:
        if not model._meta.proxy:
            tables.setdefault(model._meta.db_table, []).append(model)
    return tables


def _is_by_unique(query):
    where = query.where
    if where.negated or where.connector != AND:
        return False
    meta = query.get_meta()
    for lookup in where.children:
        target = getattr(getattr(lookup, "lhs", None), "target", None)
        is_own = target is not None and target.model._meta.db_table == meta.db_table
        is_value = not hasattr(getattr(lookup, "rhs", None), "resolve_expression")
        if is_own and is_value and isinstance(lookup, Exact) and target.unique:
            return lookup.lhs.alias == query.base_table
    return False


def _makes_instances(model):
    """Whether its instances are made by `Model.from_db`, where they are noted."""
    return model.from_db.__func__ is Model.from_db.__func__


def _count(models):
    return sum(1 if rows is None else len(rows) + 1 for rows in models.values())
