"""Which changes were committed, and what is told of them: one message per transaction.

Invariants:
- What is rolled back, whole or to a savepoint, is not told: parts live in the connection's own list
  of callbacks (`on_commit`), from which Django drops what was rolled back.
- A transaction's parts are told together, as the first thing after its commit: another callback
  that fails does not keep them from being told.
- Nothing that goes wrong here reaches the application, but for what `OUTBOX = "db"` promises: a
  change that can't be noted is not committed.

Not here: where changes are learnt (`hooks`, `signals`) and how they are sent (`delivery`).
"""

from __future__ import annotations

import logging
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, models, transaction

from . import conf, delivery, names, outbox
from .changes import UPDATE, Change, Changes

logger = logging.getLogger("wasmcached")


class Part(Changes):
    """Changes within one savepoint; a callback of the connection that they were made on."""

    is_told = False
    #: Whether what follows goes to another part.
    is_closed = False
    #: The row of the outbox that has them, if any.
    note = None

    def __call__(self):
        """Called by Django after the commit; by then they have been told, unless only a test
        pretends to commit."""
        if not self.is_told:
            tell([self])


class _Unit:
    """Statements in autocommit mode that belong together."""

    def __init__(self):
        self.depth = 0
        self.part = None


def record(using, change):
    """Notes the change of a row that was just written on a connection."""
    _note(using, lambda part: part.add(change))


def record_whole(using, label):
    """Notes that unknown rows of a model were just written on a connection."""
    _note(using, lambda part: part.add_whole(label, using))


def changed(*things, using=DEFAULT_DB_ALIAS):
    """Says that rows (instances) or models (classes) were changed behind the ORM's back, as by
    SQL of your own. Told after the commit of the present transaction, if there is one."""
    if not conf.current().is_on:
        return
    for thing in things:
        if isinstance(thing, models.Model):
            pk = names.pk_of(thing, thing.pk)
            for model in names.family_of(type(thing)):
                record(using, Change(names.label_of(model), pk, UPDATE, db=using))
        else:
            for model in names.descendants_of(thing):
                record_whole(using, names.label_of(model))


@contextmanager
def unit(using):
    """What is written in here on a connection is told at once, also in autocommit mode."""
    connection = connections[using]
    if connection.in_atomic_block or not conf.current().is_on:
        yield
    elif conf.current().outbox == "db" and connection.get_autocommit():
        # The note has to be committed together with what it is about.
        with transaction.atomic(using=using, savepoint=False):
            yield
    else:
        gathering = _unit_of(connection)
        gathering.depth += 1
        try:
            yield
        finally:
            gathering.depth -= 1
            part, is_over = gathering.part, gathering.depth == 0
            if is_over and part:
                gathering.part = None
                # Also after an exception: in autocommit mode what was written stays.
                tell([part])


def survivors(connection):
    """The parts of a connection's transaction that were not rolled back, in their order."""
    callbacks = (entry[1] for entry in connection.run_on_commit)
    return [part for part in callbacks if isinstance(part, Part) and not part.is_told]


def pending_labels():
    """The models that were changed in transactions of this thread that are not committed yet."""
    labels = set()
    for connection in connections.all(initialized_only=True):
        for part in survivors(connection):
            labels |= part.models
    return labels


def before_commit(connection):
    """Notes in the outbox what is about to be committed."""
    if conf.current().outbox != "db":
        return
    parts = [part for part in survivors(connection) if part.note is None]
    if not parts:
        return
    try:
        note = outbox.note(connection.alias, _merged(parts))
    except DatabaseError:
        # Not noted, not committed: Django rolls back.
        raise
    except Exception:
        logger.exception("changes of %s are not noted", sorted(_merged(parts).models))
        return
    for part in parts:
        part.note = note


def after_commit(connection):
    """Tells what was committed."""
    parts = survivors(connection)
    if parts:
        tell(parts)


def tell(parts):
    """Sends parts of one transaction, or hands them to whoever does it later."""
    for part in parts:
        part.is_told = True
    notes = {part.note.pk: part.note for part in parts if part.note is not None}
    try:
        if notes:
            for note in notes.values():
                outbox.send(note)
        else:
            delivery.deliver(_merged(parts).as_json())
    except Exception:
        logger.exception("changes of %s are not told", sorted(_merged(parts).models))


def _note(using, add):
    connection = connections[using]
    if connection.in_atomic_block:
        add(_open_part(connection))
        return
    if not connection.get_autocommit():
        # Transactions by hand: Django runs this list when autocommit is turned on again.
        part = _part()
        add(part)
        connection.run_on_commit.append((set(), part, True))
        return
    gathering = _unit_of(connection)
    if gathering.depth:
        gathering.part = gathering.part or _part()
        add(gathering.part)
        return
    part = _part()
    add(part)
    tell([part])


def _open_part(connection):
    """The part that the present savepoint adds to: the newest callback, if it is one of the same
    savepoints, else a new one."""
    if connection.run_on_commit:
        savepoints, part = connection.run_on_commit[-1][:2]
        is_open = isinstance(part, Part) and not (part.is_told or part.is_closed or part.note)
        if is_open and savepoints == set(connection.savepoint_ids):
            return part
    part = _part()
    transaction.on_commit(part, using=connection.alias, robust=True)
    return part


def _part():
    return Part(conf.current().rows_max)


def _unit_of(connection):
    if not hasattr(connection, "_wasmcached_unit"):
        connection._wasmcached_unit = _Unit()
    return connection._wasmcached_unit


def _merged(parts):
    merged = _part()
    for part in parts:
        merged.add_all(part)
    return merged
