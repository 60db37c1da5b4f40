"""Where Django is hooked: the one place that replaces methods of its classes.

| method | why |
|---|---|
| `SQL*Compiler.execute_sql`, `SQLUpdateCompiler.execute_returning_sql` | writes without signals |
| `SQLCompiler.get_from_clause` and `.execute_sql` | which tables a page shows |
| `RawQuerySet.iterator` | pages whose tables nobody knows |
| `Model.from_db`, `.refresh_from_db` | foreign keys and unique fields as they were loaded |
| `Model.save_base` | tables and signals of one `save()` are one message |
| `BaseDatabaseWrapper.commit`, `.run_and_clear_commit_hooks` | before and after a commit |

Every replacement calls the original, and what goes wrong here is logged: a write counts as one of
its whole model then, and a page as one that is not to be kept. Installed once per process.
"""

from __future__ import annotations

import logging
from functools import wraps

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.db.models.query import RawQuerySet
from django.db.models.sql import compiler as sql

from . import conf, names, reads, recorder, snapshots, writes

logger = logging.getLogger("wasmcached")

_installed = []

#: Set on a compiler whose statement is noted.
_IS_NOTED = "_wasmcached_is_noted"


def install():
    """Hooks into Django; once."""
    if _installed:
        return
    for owner, name, replacement in (
        (sql.SQLInsertCompiler, "execute_sql", _insert),
        (sql.SQLUpdateCompiler, "execute_sql", _update),
        (sql.SQLUpdateCompiler, "execute_returning_sql", _update),
        (sql.SQLDeleteCompiler, "execute_sql", _delete),
        (sql.SQLCompiler, "get_from_clause", _from_clause),
        (sql.SQLCompiler, "execute_sql", _select),
        (RawQuerySet, "iterator", _raw),
        (Model, "save_base", _save_base),
        (Model, "refresh_from_db", _refresh),
        (BaseDatabaseWrapper, "commit", _commit),
        (BaseDatabaseWrapper, "run_and_clear_commit_hooks", _after_commit),
    ):
        original = getattr(owner, name, None)
        # `execute_returning_sql` came with Django 6.0.
        if original is not None:
            # The delete compiler inherits its method, and gets one of its own.
            setattr(owner, name, replacement(original))
            _installed.append((owner, name))
    from_db = Model.from_db.__func__
    Model.from_db = classmethod(_from_db(from_db))


def _writing(compiler, original, arguments, keywords, note):
    """Carries out a statement that writes, and notes what it wrote."""
    model = compiler.query.get_meta().concrete_model
    if not conf.tracks(model) or getattr(compiler, _IS_NOTED, False):
        return original(compiler, *arguments, **keywords)
    # One of an update's methods calls the other.
    setattr(compiler, _IS_NOTED, True)
    using = compiler.connection.alias

    def note_anyhow():
        try:
            note()
        except Exception:
            logger.exception("rows of %s are not told; naming the model", model._meta.label)
            recorder.record_whole(using, names.label_of(model))

    try:
        with recorder.unit(using), writes.unless_nothing_done(note_anyhow) as statement:
            result = original(compiler, *arguments, **keywords)
            statement.has_done_nothing = writes.is_without_rows(compiler, result)
            return result
    finally:
        setattr(compiler, _IS_NOTED, False)


def _note_read(note, *arguments):
    """Notes what a page reads."""
    if not reads.is_gathering():
        return
    try:
        note(*arguments)
    except Exception:
        logger.exception("what a page shows is not known; it is not to be kept")
        reads.give_up()


def _insert(original):
    @wraps(original)
    def execute_sql(compiler, *arguments, **keywords):
        rows = []

        def run(*arguments, **keywords):
            rows.extend(original(*arguments, **keywords) or [])
            return rows

        def note():
            writes.note_insert(compiler, rows)

        return _writing(compiler, run, arguments, keywords, note)

    return execute_sql


def _known(keys_of, query):
    try:
        return keys_of(query)
    except Exception:
        logger.exception("the rows of a statement are not known; naming the model")
        return None


def _update(original):
    @wraps(original)
    def execute_sql(compiler, *arguments, **keywords):
        # Before: Django rewrites the condition of an update of several tables.
        keys = _known(writes.keys_of_update, compiler.query)

        def note():
            writes.note_updated(compiler, keys)

        return _writing(compiler, original, arguments, keywords, note)

    return execute_sql


def _delete(original):
    @wraps(original)
    def execute_sql(compiler, *arguments, **keywords):
        keys = _known(writes.keys_of, compiler.query)

        def note():
            writes.note_deleted(compiler, keys)

        return _writing(compiler, original, arguments, keywords, note)

    return execute_sql


def _from_clause(original):
    @wraps(original)
    def get_from_clause(compiler):
        clause = original(compiler)
        # Only now is it known which joins are used; Django forgets it again.
        _note_read(reads.note_tables, compiler)
        return clause

    return get_from_clause


def _select(original):
    @wraps(original)
    def execute_sql(compiler, *arguments, **keywords):
        result = original(compiler, *arguments, **keywords)
        _note_read(reads.note_result, compiler, result)
        return result

    return execute_sql


def _raw(original):
    @wraps(original)
    def iterator(rows):
        reads.give_up()
        return original(rows)

    return iterator


def _save_base(original):
    @wraps(original)
    def save_base(instance, raw=False, force_insert=False, force_update=False, using=None, **rest):
        using = using or router.db_for_write(type(instance), instance=instance)
        save = original.__get__(instance)
        arguments = {"raw": raw, "force_insert": force_insert, "force_update": force_update}
        if not conf.tracks(type(instance)):
            return save(using=using, **arguments, **rest)
        with recorder.unit(using):
            return save(using=using, **arguments, **rest)

    return save_base


def _refresh(original):
    @wraps(original)
    def refresh_from_db(instance, using=None, fields=None, **keywords):
        original(instance, using=using, fields=fields, **keywords)
        # Also called for a deferred field; others may have been changed meanwhile.
        snapshots.take(instance, fields)

    return refresh_from_db


def _from_db(original):
    @wraps(original)
    def from_db(model, *arguments, **keywords):
        instance = original(model, *arguments, **keywords)
        snapshots.take(instance)
        _note_read(reads.note_instance, instance)
        return instance

    return from_db


def _commit(original):
    @wraps(original)
    def commit(connection):
        recorder.before_commit(connection)
        return original(connection)

    return commit


def _after_commit(original):
    @wraps(original)
    def run_and_clear_commit_hooks(connection):
        recorder.after_commit(connection)
        return original(connection)

    return run_and_clear_commit_hooks
