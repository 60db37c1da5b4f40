"""`manage.py wasmcached`, the system checks, and what they say."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core import checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from harness import request
from receiver import receiver
from shop.models import Label, Product
from wasmcached.checks import check_caches, check_settings
from wasmcached.testing import recorded_events


def using(**given):
    return override_settings(WASMCACHED={**settings.WASMCACHED, **given})


def run(capsys, *arguments):
    call_command("wasmcached", *arguments)
    return capsys.readouterr().out


def test_check_says_that_all_is_well(server, capsys):
    def told():
        return request(server.url("api", "/v1/events")).json()["events"]

    before = told()
    with using(URL=server.url("api", "")):
        out = run(capsys, "check")
    assert "is wasmcached 0." in out and "takes events of the source 'shop'" in out
    assert "wrong" not in out
    assert told() == before, "nothing was done"


@pytest.mark.parametrize(
    "given, cause",
    [
        ({"SECRET": "whsec_" + "B" * 32}, "SECRET is none of the source's `secrets`"),
        ({"SOURCE": "other"}, "source `other` is not configured; add it as [[sources]]"),
        ({"URL": "http://127.0.0.1:9"}, "is the server running"),
    ],
)
def test_check_names_the_cause(server, capsys, given, cause):
    with using(**{"URL": server.url("api", ""), **given}), pytest.raises(CommandError):
        call_command("wasmcached", "check")
    assert cause in capsys.readouterr().out


def test_check_knows_what_is_no_wasmcached(capsys):
    with receiver() as other, using(URL=other.url), pytest.raises(CommandError):
        call_command("wasmcached", "check")
    assert "is no API of wasmcached" in capsys.readouterr().out


def test_check_tells_a_wrong_clock(server, capsys, monkeypatch):
    import time

    now_s = time.time()
    for module in ("transport", "diagnosis"):
        monkeypatch.setattr(f"wasmcached.{module}.time.time", lambda: now_s - 1000)
    with using(URL=server.url("api", "")), pytest.raises(CommandError):
        call_command("wasmcached", "check")
    assert "one of the two clocks is wrong" in capsys.readouterr().out


def test_rows_and_models_are_announced_by_hand(capsys):
    with receiver() as shop, using(URL=shop.url):
        run(capsys, "send", "shop.product", "5", "6", "--op", "delete")
        run(capsys, "send", "shop.product")
        run(capsys, "invalidate", "--model", "shop.label")
        run(capsys, "invalidate", "--all")
    rows = [(event["model"], event["pk"], event["op"]) for event in shop.events]
    assert rows[:4] == [
        ("shop.product", 5, "delete"),
        ("shop.product", 6, "delete"),
        ("shop.product", None, "bulk"),
        ("shop.label", None, "bulk"),
    ]
    models = [model for model, _, _ in rows[4:]]
    assert len(models) == len(set(models)) and "shop.product_labels" in models
    assert "shop.secret" not in models and "wasmcached.note" not in models


def test_backfill_says_what_was_changed_since(capsys):
    with recorded_events():
        old, new = (Product.objects.create(name=name) for name in ("old", "new"))
        past = timezone.now() - timedelta(days=3)
        Product.objects.filter(pk=old.pk).update(updated_at=past)
    since = (timezone.now() - timedelta(days=1)).isoformat()
    with receiver() as shop, using(URL=shop.url):
        out = run(capsys, "backfill", "--since", since)
    products = [event["pk"] for event in shop.events if event["model"] == "shop.product"]
    assert products == [new.pk]
    assert "without a column of times" in out and "shop.label" in out


def test_what_is_not_acknowledged_is_told(capsys):
    with receiver() as shop, using(URL=shop.url):
        shop.status = 503
        with pytest.raises(CommandError, match="1 messages were not acknowledged"):
            call_command("wasmcached", "send", "shop.label")
    assert "answered 503" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["send", "shop.none"], "is no model"),
        (["send", "none"], "is no model"),
        (["backfill", "--since", "yesterday"], "it must be as"),
        (["backfill", "--since", "2026-13-01"], "month"),
    ],
)
def test_wrong_arguments_are_refused(arguments, reason):
    with pytest.raises(CommandError, match=reason):
        call_command("wasmcached", *arguments)


@pytest.mark.parametrize(
    "given, number, words",
    [
        ({"SECRETS": []}, "E002", "no key 'SECRETS'"),
        ({"URL": ""}, "E003", "URL is missing"),
        ({"URL": "cache:8081"}, "E003", "URL is 'cache:8081'"),
        ({"URL": ["http://a", "ftp://b"]}, "E003", "URL is 'ftp://b'"),
        ({"URL": 5}, "E003", "URL is 5"),
        ({"SECRET": ""}, "E004", "SECRET is missing"),
        ({"SECRET": ["whsec_hunter2"]}, "E004", "SECRET[0]: secret is"),
        ({"OUTBOX": "redis"}, "E005", "OUTBOX is 'redis'; it must be one of db, memory"),
        ({"TAG_FIELD": "xkey"}, "E005", "TAG_FIELD is 'xkey'"),
        ({"BUDGET_MS": 0}, "E005", "BUDGET_MS is 0; 1 to 60000 are allowed"),
        ({"ROWS_MAX": True}, "E005", "ROWS_MAX is True; 1 to 1000 are allowed"),
        ({"SOURCE": "a/b"}, "E005", "SOURCE is 'a/b'"),
        ({"EXCLUDE": ["shop.none"]}, "E006", "EXCLUDE names 'shop.none'"),
        ({"MODELS": "shop"}, "E006", "MODELS is text; it must be a list"),
    ],
)
def test_every_mistake_in_the_settings_is_found(given, number, words):
    with using(**given):
        [found] = check_settings()
    assert found.id == f"wasmcached.{number}" and words in found.msg
    assert "hunter2" not in str(found)


def test_right_settings_have_no_mistakes():
    assert check_settings() == [] and check_caches() == []
    assert checks.run_checks(tags=["wasmcached"]) == []


def test_without_settings_nothing_is_announced_and_that_is_said():
    with override_settings(WASMCACHED=None):
        assert check_settings()[0].id == "wasmcached.W001"
        Label.objects.create(name="a")
        with pytest.raises(CommandError):
            call_command("wasmcached", "check")
