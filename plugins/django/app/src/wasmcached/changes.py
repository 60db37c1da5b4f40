"""What a transaction changed: rows with what is known of each, or whole models.

Invariants:
- Nothing is dropped: too many rows become their whole model.
- Of several changes of a row the first `before` and the last `after` remain.
"""

from __future__ import annotations

import json

from django.core.serializers.json import DjangoJSONEncoder

CREATE, UPDATE, DELETE, BULK = "create", "update", "delete", "bulk"

#: Longest text that an event carries of a field; a longer one is not told.
TEXT_MAX = 1000


class Change:
    """A changed row. `fields` are the names of those that may have changed; `None`: any."""

    __slots__ = ("model", "pk", "op", "fields", "before", "after", "db")

    def __init__(self, model, pk, op, fields=None, before=None, after=None, db="default"):
        self.model = model
        self.pk = pk
        self.op = op
        self.fields = None if fields is None else frozenset(fields)
        self.before = before or {}
        self.after = after or {}
        self.db = db

    def followed_by(self, later):
        """Both as one change of the row."""
        if self.fields is None or later.fields is None:
            fields = None
        else:
            fields = self.fields | later.fields
        return Change(
            self.model,
            self.pk,
            _op_of(self.op, later.op),
            fields,
            {**later.before, **self.before},
            {**self.after, **later.after} if later.op != DELETE else {},
            later.db,
        )

    def as_json(self):
        """The change as events have it."""
        change = {"model": self.model, "pk": self.pk, "op": self.op}
        if self.fields:
            change["changed"] = sorted(self.fields)
        if self.before:
            change["before"] = self.before
        if self.after:
            change["after"] = self.after
        change["db"] = self.db
        return change


def whole(model, db):
    """A change of unknown rows of a model, as events have it."""
    return {"model": model, "pk": None, "op": BULK, "db": db}


def _op_of(first, last):
    if last == DELETE:
        return DELETE
    if first == CREATE:
        return CREATE
    # Deleted and made anew: whoever reads along sees another row under the same key.
    return UPDATE


class Changes:
    """Changes of one connection, in the order of their first mention."""

    def __init__(self, rows_max):
        self._rows_max = rows_max
        # {(model, db): {pk: Change}}, or None in the place of the rows for the whole model
        self._models = {}

    def __bool__(self):
        return bool(self._models)

    @property
    def models(self):
        """The labels of all models."""
        return {model for model, _ in self._models}

    def add(self, change):
        """Adds the change of a row."""
        rows = self._models.setdefault((change.model, change.db), {})
        if rows is None:
            return
        earlier = rows.get(change.pk)
        rows[change.pk] = change if earlier is None else earlier.followed_by(change)
        if len(rows) > self._rows_max:
            self.add_whole(change.model, change.db)

    def add_whole(self, model, db):
        """Adds a change of unknown rows."""
        self._models[model, db] = None

    def add_all(self, later):
        """Adds those of a later part of the same transaction."""
        for (model, db), rows in later._models.items():
            if rows is None:
                self.add_whole(model, db)
            else:
                for change in rows.values():
                    self.add(change)

    def as_json(self):
        """All of them as events have them."""
        events = []
        for (model, db), rows in self._models.items():
            if rows is None:
                events.append(whole(model, db))
            else:
                events.extend(change.as_json() for change in rows.values())
        return events


def jsonable(value):
    """A field's value as JSON has it, and whether it is one to be told."""
    if value is None or isinstance(value, int):
        return value, True
    if type(value) is str:
        return value, len(value) <= TEXT_MAX
    if isinstance(value, (bytes, bytearray, memoryview)):
        return None, False
    try:
        # What is no number, JSON has no word for.
        text = json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError):
        return None, False
    return json.loads(text), len(text) <= TEXT_MAX
