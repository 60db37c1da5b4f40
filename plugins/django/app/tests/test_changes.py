"""Changes of a row become one, and what is told of values is what JSON can say."""

import datetime
import decimal
import uuid

from wasmcached import messages
from wasmcached.changes import CREATE, DELETE, UPDATE, Change, Changes, jsonable


def row(op, pk=1, fields=None, before=None, after=None):
    return Change("shop.product", pk, op, fields, before, after)


def merged(*changes):
    found = Changes(rows_max=10)
    for change in changes:
        found.add(change)
    return found.as_json()


def test_the_first_before_and_the_last_after_remain():
    [event] = merged(
        row(UPDATE, fields=["a"], before={"a": 1, "b": 1}, after={"a": 2, "b": 1}),
        row(UPDATE, fields=["b"], before={"a": 2, "b": 1}, after={"a": 2, "b": 3}),
    )
    assert event["before"] == {"a": 1, "b": 1} and event["after"] == {"a": 2, "b": 3}
    assert event["changed"] == ["a", "b"]


def test_any_field_and_some_fields_are_any():
    [event] = merged(row(UPDATE, fields=["a"]), row(UPDATE, fields=None))
    assert "changed" not in event


def test_what_became_of_a_row_in_the_end_is_told():
    for ops, expected in (
        ([CREATE, UPDATE], CREATE),
        ([UPDATE, DELETE], DELETE),
        ([CREATE, DELETE], DELETE),
        ([DELETE, CREATE], UPDATE),
    ):
        [event] = merged(*(row(op) for op in ops))
        assert event["op"] == expected, ops


def test_a_whole_model_takes_its_rows_in_whichever_comes_first():
    changes = Changes(rows_max=10)
    changes.add(row(UPDATE))
    changes.add_whole("shop.product", "default")
    changes.add(row(UPDATE, pk=2))
    whole = [{"model": "shop.product", "pk": None, "op": "bulk", "db": "default"}]
    assert changes.as_json() == whole
    other = Changes(rows_max=10)
    other.add(row(UPDATE))
    other.add_all(changes)
    assert other.as_json() == whole


def test_databases_are_told_apart():
    first, second = row(UPDATE), row(UPDATE)
    second.db = "other"
    assert [event["db"] for event in merged(first, second)] == ["default", "other"]


def test_values_are_told_as_json_has_them_or_not_at_all():
    key = uuid.UUID(int=5)
    for value, told in (
        (None, None),
        (True, True),
        (5, 5),
        ("\u00e9", "\u00e9"),
        (key, str(key)),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (1.5, 1.5),
    ):
        assert jsonable(value) == (told, True)
    for value in (b"x", float("nan"), float("inf"), object(), "x" * 1001, [object()]):
        assert jsonable(value)[1] is False, value


def test_half_a_character_does_not_keep_a_message_from_being_made():
    [message] = messages.compose([{"model": "m", "pk": "\ud800", "op": "update", "db": "d"}])
    assert b'"pk":"?"' in message.body
