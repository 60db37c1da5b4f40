"""One message per commit, and none of what was rolled back."""

import pytest
from django.db import IntegrityError, transaction
from django.test import TestCase, TransactionTestCase

from shop.models import Category, Label
from wasmcached import delivery
from wasmcached.testing import recorded_events


class Rollback(Exception):
    pass


@pytest.fixture
def messages(monkeypatch):
    """The events of each message."""
    sent = []
    monkeypatch.setattr(delivery, "deliver", sent.append)
    return sent


def names(events):
    return [(event["model"], event["op"]) for event in events]


def test_a_transaction_is_one_message_after_its_end(messages):
    with transaction.atomic():
        label = Label.objects.create(name="a")
        with transaction.atomic():
            label.name = "b"
            label.save()
        Category.objects.create(name="c", slug="c")
        assert messages == []
    [events] = messages
    assert names(events) == [("shop.label", "create"), ("shop.category", "create")]


def test_a_save_in_autocommit_mode_is_one_message(messages):
    Category.objects.create(name="c", slug="c")
    [events] = messages
    assert names(events) == [("shop.category", "create")] and events[0]["after"] == {"slug": "c"}


def test_a_rollback_is_not_told(messages):
    with pytest.raises(Rollback), transaction.atomic():
        Label.objects.create(name="a")
        raise Rollback
    with transaction.atomic():
        Label.objects.create(name="a")
        transaction.set_rollback(True)
    assert messages == [] and not Label.objects.exists()


def test_a_rollback_to_a_savepoint_is_not_told_and_the_rest_is(messages):
    with transaction.atomic():
        Label.objects.create(name="a")
        with pytest.raises(Rollback), transaction.atomic():
            Category.objects.create(name="c", slug="c")
            with transaction.atomic():
                Category.objects.create(name="d", slug="d")
            raise Rollback
        Label.objects.create(name="b")
    [events] = messages
    assert names(events) == [("shop.label", "create")] * 2


def test_a_row_that_was_changed_on_both_sides_of_a_savepoint_is_told_once(messages):
    with transaction.atomic():
        category = Category.objects.create(name="c", slug="a")
        with transaction.atomic():
            category.slug = "b"
            category.save()
        category.delete()
    [[event]] = messages
    assert event["op"] == "delete" and event["pk"] and event["before"]["slug"] == "a"


def test_what_failed_is_not_told(messages):
    Category.objects.create(name="c", slug="c")
    messages.clear()
    with pytest.raises(IntegrityError):
        Category.objects.create(name="c", slug="c")
    with pytest.raises(IntegrityError), transaction.atomic():
        Category.objects.create(name="c", slug="c")
    assert messages == []


def test_a_callback_of_somebody_else_that_fails_keeps_nothing_from_being_told(messages):
    def fail():
        assert messages, "told first"
        raise Rollback

    with pytest.raises(Rollback), transaction.atomic():
        transaction.on_commit(fail)
        Label.objects.create(name="a")
    assert len(messages) == 1


def test_a_receiver_that_fails_after_the_write_does_not_hide_it(messages):
    from django.db.models.signals import post_save

    def fail(**_):
        raise Rollback

    post_save.connect(fail, Label)
    try:
        with pytest.raises(Rollback):
            Label.objects.create(name="a")
    finally:
        post_save.disconnect(fail, Label)
    assert Label.objects.exists() and len(messages) == 1


def test_transactions_by_hand_are_told_after_them(messages):
    transaction.set_autocommit(False)
    try:
        Label.objects.create(name="a")
        transaction.rollback()
        Label.objects.create(name="b")
        transaction.commit()
        assert messages == []
    finally:
        transaction.set_autocommit(True)
    assert [names(events) for events in messages] == [[("shop.label", "create")]]


def test_a_failing_delivery_is_no_failing_save(monkeypatch):
    def fail(events):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(delivery, "deliver", fail)
    Label.objects.create(name="a")
    with transaction.atomic():
        Label.objects.create(name="b")
    assert Label.objects.count() == 2


class RecordedInTestCase(TestCase):
    """Its transaction never ends; what tests of applications do."""

    def test_events_are_recorded(self):
        Label.objects.create(name="before")
        with recorded_events() as events:
            Label.objects.create(name="a")
            with self.assertRaises(Rollback), transaction.atomic():
                Category.objects.create(name="c", slug="c")
                raise Rollback
        assert names(events) == [("shop.label", "create")]
        assert Label.objects.count() == 2

    def test_events_are_recorded_where_commits_are_pretended(self):
        with recorded_events() as events:
            with self.captureOnCommitCallbacks(execute=True):
                Label.objects.create(name="a")
            assert names(events) == [("shop.label", "create")]


class RecordedInTransactionTestCase(TransactionTestCase):
    def test_events_are_recorded(self):
        with recorded_events() as events:
            Label.objects.create(name="a")
            assert names(events) == [("shop.label", "create")]
