"""Messages arrive whatever the servers do, and saving works meanwhile."""

import threading
from contextlib import contextmanager

from django.conf import settings
from django.db import transaction
from django.test import override_settings

from harness import Server, eventually, request, source
from receiver import receiver
from shop.models import Label, Product
from wasmcached import delivery, messages, resending
from wasmcached.changes import whole


@contextmanager
def telling(*urls, **more):
    """Settings with these servers; ends when nothing waits for them."""
    with override_settings(WASMCACHED={**settings.WASMCACHED, "URL": list(urls), **more}):
        yield


def settled(url):
    assert resending.of(url).wait(30), "messages still wait"


def test_a_message_is_there_when_the_commit_returns():
    with receiver() as shop, telling(shop.url):
        with transaction.atomic():
            label = Label.objects.create(name="a")
            Product.objects.create(name="b")
            assert shop.received == []
        [(_, fields, body)] = shop.received
        assert fields["path"] == "/v1/events/shop"
        assert body["type"] == "model.changed" and body["data"]["source"] == "shop"
        events = body["data"]["events"]
        assert events[0] == {"model": "shop.label", "pk": label.pk, "op": "create", "db": "default"}
        assert [event["model"] for event in events] == ["shop.label", "shop.product"]


def test_a_real_server_takes_it_and_what_depends_on_the_row_is_gone(server):
    with telling(server.url("api", "")):
        key = server.url("api", "/v1/cache/page")
        for tag, is_gone in (("shop.label:{}", True), ("shop.label", True), ("shop.other", False)):
            label = Label.objects.create(name="a")
            tag = tag.format(label.pk)
            assert request(key, "PUT", b"old", {"surrogate-key": tag}).status in (200, 201, 204)
            label.save()
            assert (request(key).status == 404) == is_gone, tag


def test_any_of_several_secrets_is_enough():
    other = "whsec_" + "B" * 32
    with Server.start(source("shop", secrets=[settings.SECRET])) as server:
        with telling(
            server.url("api", ""), SECRET=[other, settings.SECRET]
        ), delivery.logged() as log:
            Label.objects.create(name="a")
            assert log[0][2].endswith(" ms")


def test_saving_works_while_the_server_is_down_and_it_is_told_when_it_is_back():
    with Server.start(source("shop", secrets=[settings.SECRET])) as server:
        url = server.url("api", "")
        with telling(url):
            server.kill()
            label = Label.objects.create(name="a")
            Label.objects.filter(pk=label.pk).update(name="b")
            server.start_again()
            settled(url)
        events = request(server.url("api", "/v1/events")).json()["events"]
        assert len(events) == 2


def test_a_slow_server_costs_the_budget_once():
    with receiver() as shop, telling(shop.url, BUDGET_MS=500):
        shop.gate = threading.Event()
        with delivery.logged() as log:
            for n in range(5):
                Label.objects.create(name=str(n))
        outcomes = [outcome for _, _, outcome in log]
        assert "did not answer within" in outcomes[0] and outcomes[1:] == ["queued"] * 4
        shop.gate.set()
        settled(shop.url)
        assert {event["pk"] for event in shop.events} == {1, 2, 3, 4, 5}


def test_a_message_that_is_sent_again_has_the_same_id_and_body():
    with receiver() as shop, telling(shop.url):
        shop.status = 503
        Label.objects.create(name="a")
        eventually(lambda: len(shop.received) >= 2)
        shop.status = 200
        settled(shop.url)
        assert len(set(shop.ids)) == 1
        assert all(body == shop.received[0][2] for _, _, body in shop.received)


def test_a_refused_secret_is_no_failing_save(server, caplog):
    with telling(server.url("api", ""), SECRET="whsec_" + "B" * 32):
        Label.objects.create(name="a")
        assert "401: no signature matches" in caplog.text
        assert resending.of(server.url("api", "")).is_busy
    settled(server.url("api", ""))


def test_a_wrong_clock_is_no_failing_save(server, caplog, monkeypatch):
    with telling(server.url("api", "")):
        with monkeypatch.context() as patch:
            patch.setattr("wasmcached.transport.time.time", lambda: 1_000_000_000)
            Label.objects.create(name="a")
            assert "webhook-timestamp" in caplog.text
        settled(server.url("api", ""))


def test_what_a_server_finds_too_large_is_said_in_fewer_words():
    with receiver() as shop, telling(shop.url):
        shop.status = lambda body: 413 if len(body["data"]["events"]) > 1 else 200
        with transaction.atomic():
            Label.objects.create(name="a")
            Label.objects.create(name="b")
        assert shop.events == [whole("shop.label", "default")]


def test_very_many_changes_are_several_messages():
    events = [{"model": "shop.label", "pk": n, "op": "update", "db": "d"} for n in range(2500)]
    parts = messages.compose(events)
    assert len(parts) == 3 and all(len(part.body) < 1024 * 1024 for part in parts)
    large = {"model": "m", "pk": 1, "op": "update", "db": "d", "after": {"a": "x" * 10**6}}
    [part] = messages.compose([large])
    assert len(part.body) < 1000 and b'"pk":1' in part.body


def test_every_server_is_told_also_when_another_is_down():
    with receiver() as first, receiver() as third:
        with telling(first.url, "http://127.0.0.1:9", third.url):
            Label.objects.create(name="a")
            assert len(first.events) == len(third.events) == 1


def test_redirects_are_not_followed(caplog):
    with receiver() as shop, telling(shop.url):
        shop.status = 301
        Label.objects.create(name="a")
        assert "answered 301" in caplog.text
        shop.status = 200
        settled(shop.url)


def test_too_many_waiting_messages_become_one_that_names_their_models(monkeypatch):
    monkeypatch.setattr(resending, "WAITING_MAX", 5)
    with receiver() as shop, telling(shop.url):
        shop.status = 503
        for n in range(20):
            Label.objects.create(name=str(n))
        shop.status = 200
        settled(shop.url)
        assert whole("shop.label", "default") in shop.events
        assert len(shop.events) < 10


def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    mine = resending.of("http://fork")
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert resending.of("http://fork") is not mine
