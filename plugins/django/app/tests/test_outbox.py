"""The outbox in the database: committed together with the change, sent after it, numbered."""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings

from harness import request
from receiver import receiver
from shop.models import Label, Place
from wasmcached import outbox
from wasmcached.models import Counter, Note
from wasmcached.testing import recorded_events


class Rollback(Exception):
    pass


@pytest.fixture
def shop(monkeypatch):
    monkeypatch.setattr(outbox, "REST_S", 0)
    with receiver() as shop:
        given = {**settings.WASMCACHED, "URL": shop.url, "OUTBOX": "db"}
        with override_settings(WASMCACHED=given):
            yield shop


def numbers(shop):
    return [body["data"]["seq"] for _, _, body in shop.received]


def test_what_was_acknowledged_is_gone(shop):
    Label.objects.create(name="a")
    assert len(shop.events) == 1 and not Note.objects.exists()


def test_every_commit_has_the_next_number_and_a_rollback_has_none(shop):
    Label.objects.create(name="a")
    for _ in range(3):
        with pytest.raises(Rollback), transaction.atomic():
            Label.objects.create(name="b")
            raise Rollback
    with transaction.atomic():
        Label.objects.create(name="c")
        with pytest.raises(Rollback), transaction.atomic():
            Place.objects.create(name="p")
            raise Rollback
    Label.objects.filter(name="a").update(name="d")
    assert numbers(shop) == [1, 2, 3]
    assert Counter.objects.get().number == 3
    assert {event["model"] for event in shop.events} == {"shop.label"}


def test_a_save_in_autocommit_mode_is_noted_with_all_that_is_known(shop):
    shop.status = 503
    Place.objects.create(name="p")
    [note] = Note.objects.all()
    assert '"op":"create"' in note.body and note.number == 1


def test_a_note_is_committed_or_rolled_back_together_with_its_change(shop, monkeypatch):
    def fail(row):
        raise KeyboardInterrupt("the process ends")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "send", fail)
        with pytest.raises(KeyboardInterrupt):
            Label.objects.create(name="a")
    assert Label.objects.count() == Note.objects.count() == 1
    with connection.schema_editor() as editor:
        editor.delete_model(Note)
    try:
        with pytest.raises(Exception, match="wasmcached_note"):
            Label.objects.create(name="b")
        assert Label.objects.count() == 1, "what can't be noted is not committed"
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Note)


def test_what_a_process_committed_before_it_was_killed_is_sent_by_the_relay(shop):
    script = """
import django, os, signal
django.setup()
from django.conf import settings
from django.test import override_settings
from wasmcached import outbox
given = {**settings.WASMCACHED, "OUTBOX": "db", "URL": os.environ["TEST_URL"]}
override_settings(WASMCACHED=given).enable()
outbox.send = lambda row: os.kill(os.getpid(), signal.SIGKILL)
from shop.models import Label
Label.objects.create(name="a")
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "TEST_URL": shop.url,
    }
    killed = subprocess.run([sys.executable, "-B", "-c", script], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert Label.objects.count() == 1 and shop.received == []
    call_command("wasmcached", "relay", "--once")
    assert [event["model"] for event in shop.events] == ["shop.label"] and numbers(shop) == [1]


def test_the_relay_sends_what_waits_in_its_order(shop, capsys):
    shop.status = 503
    for name in "abc":
        Label.objects.create(name=name)
    shop.received.clear()
    call_command("wasmcached", "relay", "--once")
    assert capsys.readouterr().out == "0 sent, 3 wait\n" and numbers(shop) == [1]
    shop.status = 200
    shop.received.clear()
    call_command("wasmcached", "relay", "--once")
    assert capsys.readouterr().out == "3 sent, 0 wait\n" and numbers(shop) == [1, 2, 3]


def test_a_note_waits_for_those_servers_alone_that_have_not_acknowledged_it(shop):
    with receiver() as other:
        given = {**settings.WASMCACHED, "URL": [shop.url, other.url], "OUTBOX": "db"}
        with override_settings(WASMCACHED=given):
            other.status = 503
            Label.objects.create(name="a")
            assert Note.objects.get().servers == other.url
            other.status = 200
            assert outbox.relay("default") == (1, 0)
            assert len(shop.received) == 1 and len(other.events) == 1


def test_very_many_changes_are_one_message_of_models(shop, monkeypatch):
    monkeypatch.setattr("wasmcached.messages.CHANGES_MAX", 3)
    with transaction.atomic():
        for name in "abcd":
            Label.objects.create(name=name)
    [event] = shop.events
    assert (event["model"], event["pk"]) == ("shop.label", None)


def test_recorded_events_are_not_sent(shop):
    with recorded_events() as events:
        Label.objects.create(name="a")
    assert len(events) == 1 and shop.received == [] and not Note.objects.exists()


def test_a_real_server_takes_numbered_messages(server):
    given = {**settings.WASMCACHED, "URL": server.url("api", ""), "OUTBOX": "db"}
    with override_settings(WASMCACHED=given):
        Label.objects.create(name="a")
    assert not Note.objects.exists()
    assert request(server.url("api", "/v1/events")).json()["events"][0]["outcome"] == "applied"
