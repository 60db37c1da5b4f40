"""What signals say of a write, beyond that it happened: fields, and values before and after.

That a row was written is learnt by `hooks` also without signals; both become one change.
Receivers are connected to the announced models alone: Django deletes rows of models without
receivers faster.
"""

from __future__ import annotations

import logging
from functools import partial, wraps

from django.apps import apps
from django.db import DatabaseError
from django.db.models.signals import m2m_changed, post_delete, post_save

from . import conf, names, recorder, snapshots
from .changes import CREATE, DELETE, UPDATE, Change

logger = logging.getLogger("wasmcached")

#: Rows of one side of a many-to-many relation that are named when it is cleared.
_CLEARED = "_wasmcached_cleared"


def connect():
    """Connects the receivers."""
    for model in apps.get_models(include_auto_created=True):
        # Tests turn announcements on later.
        if not conf.covers(model):
            continue
        label = model._meta.label_lower
        if not model._meta.auto_created:
            post_save.connect(_saved, model, weak=False, dispatch_uid=f"wasmcached.save.{label}")
            post_delete.connect(
                _deleted, model, weak=False, dispatch_uid=f"wasmcached.delete.{label}"
            )
        for field in model._meta.local_many_to_many:
            through = field.remote_field.through
            uid = f"wasmcached.m2m.{label}.{field.name}"
            receiver = partial(_related, field)
            m2m_changed.connect(receiver, through, weak=False, dispatch_uid=uid)


def _harmless(receiver):
    """A receiver that fails is logged: that the row was written is told all the same."""

    @wraps(receiver)
    def receive(*arguments, **keywords):
        try:
            receiver(*arguments, **keywords)
        except DatabaseError:
            # The transaction is broken; whoever is in it has to know.
            raise
        except Exception:
            logger.exception("what is known of a write is not told")

    return receive


@_harmless
def _saved(*, instance, created, using, **_):
    # Those that an update has written are learnt from its statement.
    fields = None if created else ()
    before = {} if created else snapshots.before(instance)
    op = CREATE if created else UPDATE
    _record(instance, op, using, fields, before, snapshots.now(instance))
    snapshots.take(instance)


@_harmless
def _deleted(*, instance, using, **_):
    before = snapshots.before(instance) or snapshots.now(instance)
    _record(instance, DELETE, using, None, before, {})


@_harmless
def _related(field, *, instance, action, reverse, model, pk_set, using, **_):
    """Rows were related, or no longer: both sides show it."""
    if action not in ("pre_clear", "post_add", "post_remove", "post_clear"):
        return
    if action == "pre_clear":
        setattr(instance, _CLEARED, _related_keys(instance, field, reverse, using))
        return
    if action == "post_clear":
        pk_set = instance.__dict__.pop(_CLEARED, ())
    _record(instance, UPDATE, using, [_name_of(field, reverse)], {}, {})
    if conf.tracks(model):
        for pk in pk_set or ():
            _record_row(model, pk, UPDATE, using, [_name_of(field, not reverse)], {}, {})


def _related_keys(instance, field, reverse, using):
    """The other side's keys; one more than are named row by row is enough to name the model."""
    name = field.remote_field.get_accessor_name() if reverse else field.name
    if name is None:
        return ()
    rows = getattr(instance, name).using(using).order_by()
    return list(rows.values_list("pk", flat=True)[: conf.current().rows_max + 1])


def _name_of(field, reverse):
    return field.remote_field.name if reverse else field.name


def _record(instance, op, using, fields, before, after):
    if not conf.current().is_on or instance.pk is None:
        return
    _record_row(type(instance), instance.pk, op, using, fields, before, after)


def _record_row(model, pk, op, using, fields, before, after):
    pk = names.pk_of(model, pk)
    for member in names.family_of(model):
        if conf.tracks(member):
            label = names.label_of(member)
            recorder.record(using, Change(label, pk, op, fields, before, after, using))
