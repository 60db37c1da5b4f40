"""What a statement wrote: rows, where their keys are known for certain, else the whole model.

Every write of the ORM ends in one of three compilers, also those that send no signals:
`QuerySet.update`, `bulk_create`, `bulk_update`, raw deletes, `SET_NULL`, the tables of many-to-many
relations. What databases do by themselves (`DB_CASCADE`, `DB_SET_NULL`, `DB_SET_DEFAULT`) follows
from what is deleted.

Not here: SQL that is not the ORM's; `wasmcached.changed` tells of it.
"""

from __future__ import annotations

from contextlib import contextmanager

from django.db import DataError, IntegrityError, NotSupportedError, ProgrammingError
from django.db import Error as AnyDatabaseError
from django.db.models.lookups import Exact, In
from django.db.models.sql.compiler import SQLUpdateCompiler
from django.db.models.sql.where import AND, WhereNode

from . import conf, names, recorder
from .changes import CREATE, DELETE, UPDATE, Change

try:
    from django.db.models.fields.tuple_lookups import TupleExact, TupleIn
except ImportError:  # before Django 5.2
    TupleExact = TupleIn = ()

#: What a database says of a statement that has done nothing.
CERTAINLY_UNDONE = (IntegrityError, ProgrammingError, DataError, NotSupportedError)


class Statement:
    """A statement that is being carried out."""

    has_done_nothing = False


@contextmanager
def unless_nothing_done(note):
    """Notes a write after it, unless it has written no row. A statement that failed in a way that
    leaves open what it has done (a lost connection, in autocommit mode) is noted too; if its
    transaction fails, so is the note."""
    statement = Statement()
    try:
        yield statement
    except CERTAINLY_UNDONE:
        raise
    except AnyDatabaseError:
        note()
        raise
    if not statement.has_done_nothing:
        note()


def is_without_rows(compiler, result):
    """Whether a statement has written no row, by what its compiler returns: a number of rows, or
    the rows of an update. An insert may return none of the rows that it has written."""
    is_update = isinstance(compiler, SQLUpdateCompiler)
    return isinstance(result, int) and result == 0 or is_update and result == []


def note_insert(compiler, rows):
    """Notes rows that were inserted; `rows` are the columns that the database returned of them."""
    query, using = compiler.query, compiler.connection.alias
    model = query.get_meta().concrete_model
    keys = [_key_of_inserted(compiler, n, instance, rows) for n, instance in enumerate(query.objs)]
    if getattr(query, "on_conflict", None) is not None or None in keys:
        _note_whole(using, model)
        return
    for key in keys:
        _note_row(using, model, key, CREATE, None)


def note_updated(compiler, keys):
    """Notes rows that were updated; `None` for unknown ones."""
    fields = [field.name for field, _, _ in compiler.query.values]
    _note_rows(compiler, keys, UPDATE, fields)


def note_deleted(compiler, keys):
    """Notes rows that were deleted, and what the database deletes or changes with them."""
    _note_rows(compiler, keys, DELETE, None)
    for related in done_by_database(compiler.query.get_meta().concrete_model):
        _note_whole(compiler.connection.alias, related)


def keys_of_update(query):
    """As `keys_of`; unknown where keys themselves are changed."""
    if any(field.primary_key for field, _, _ in query.values):
        return None
    return keys_of(query)


def keys_of(query):
    """The primary keys that a condition allows at most, as the condition has them; `None`: any."""
    return _keys_of_node(query, query.where)


def done_by_database(model, seen=None):
    """Models whose rows a database changes by itself when rows of `model` are deleted."""
    seen = set() if seen is None else seen
    for relation in model._meta.get_fields(include_hidden=True):
        # DB_CASCADE and its kin (Django 6.1) name the operation of the database.
        operation = getattr(getattr(relation, "on_delete", None), "operation", None)
        if operation is None or not relation.auto_created:
            continue
        related = relation.related_model._meta.concrete_model
        if related not in seen:
            seen.add(related)
            if operation == "CASCADE":
                done_by_database(related, seen)
    return seen


def _keys_of_node(query, node):
    if node.negated or node.connector != AND:
        return None
    for child in node.children:
        keys = _keys_of_node(query, child) if isinstance(child, WhereNode) else _keys(query, child)
        if keys is not None:
            return keys
    return None


def _keys(query, lookup):
    value = getattr(lookup, "rhs", None)
    if hasattr(value, "as_sql") or hasattr(value, "resolve_expression"):
        return None
    if isinstance(lookup, (Exact, TupleExact)) and _is_key(query, lookup.lhs):
        return [value]
    if isinstance(lookup, (In, TupleIn)) and _is_key(query, lookup.lhs):
        values = list(value)
        is_plain = not any(hasattr(value, "resolve_expression") for value in values)
        # A key that is null matches nothing.
        return [value for value in values if value is not None] if is_plain else None
    return None


def _is_key(query, expression):
    """Whether an expression is the primary key of the query's own table."""
    meta = query.get_meta()
    if getattr(expression, "alias", None) not in (meta.db_table, query.base_table):
        return False
    targets = getattr(expression, "targets", None)
    if targets is not None:
        return list(targets) == list(getattr(meta, "pk_fields", ()))
    target = getattr(expression, "target", None)
    return (
        target is not None and target.primary_key and target.model._meta.db_table == meta.db_table
    )


def _key_of_inserted(compiler, n, instance, rows):
    meta = compiler.query.get_meta()
    returned = list(compiler.returning_fields or ())
    if n < len(rows) and meta.pk in returned:
        return rows[n][returned.index(meta.pk)]
    fields = getattr(meta, "pk_fields", None) or [meta.pk]
    key = tuple(getattr(instance, field.attname) for field in fields)
    if any(part is None or hasattr(part, "resolve_expression") for part in key):
        return None
    return key if len(fields) > 1 else key[0]


def _note_rows(compiler, keys, op, fields):
    using = compiler.connection.alias
    model = compiler.query.get_meta().concrete_model
    if keys is None:
        _note_whole(using, model)
    for key in keys or ():
        _note_row(using, model, key, op, fields)


def _note_row(using, model, key, op, fields):
    pk = names.pk_of(model, key)
    for member in names.family_of(model):
        if conf.tracks(member):
            recorder.record(using, Change(names.label_of(member), pk, op, fields, db=using))


def _note_whole(using, model):
    for member in names.descendants_of(model):
        if conf.tracks(member):
            recorder.record_whole(using, names.label_of(member))
