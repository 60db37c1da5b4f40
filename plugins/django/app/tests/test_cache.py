"""The backend, against a real server."""

import asyncio
import threading

import pytest
from django.conf import settings
from django.core.cache import CacheHandler
from django.db import transaction
from django.test import override_settings

from harness import Server, request, source
from shop.models import Category, Label
from wasmcached import tags_of


# The backend's own would make a miss of what a busy machine answers late.
TIMES = {"connect_timeout": 30, "timeout": 30}


def opened(*servers):
    """A cache on these servers, as a thread of an application has it."""
    backend = {
        "BACKEND": "wasmcached.Cache",
        "LOCATION": [server.address("memcached") for server in servers],
        "OPTIONS": TIMES,
    }
    return CacheHandler({"default": backend})["default"]


@pytest.fixture
def cache(server):
    cache = opened(server)
    cache.clear()
    return cache


@pytest.fixture(autouse=True)
def told(server):
    """Events go to the server."""
    given = {**settings.WASMCACHED, "URL": server.url("api", ""), "BUDGET_MS": 10_000}
    with override_settings(WASMCACHED=given):
        yield


def invalidate(server, *tags):
    body = b'{"tags":[%s]}' % b",".join(b'"%s"' % tag.encode() for tag in tags)
    answer = request(
        server.url("api", "/v1/invalidate"), "POST", body, {"content-type": "application/json"}
    )
    assert answer.status == 200, answer.text


@pytest.mark.parametrize("value", [b"", "", 0, 1, True, None, 1.5, "é", b"\x00", {"a": [1]}, ()])
def test_a_value_comes_back_as_it_was(cache, value):
    for key, store in (
        ("set", lambda key: cache.set(key, value)),
        ("tagged", lambda key: cache.set(key, value, tags=["t"])),
        ("add", lambda key: cache.add(key, value, tags=["t"])),
        ("many", lambda key: cache.set_many({key: value}, tags=["t"])),
        ("or", lambda key: cache.get_or_set(key, lambda: value, tags=["t"])),
    ):
        store(key)
        found = cache.get(key, "missing")
        assert found == value and type(found) is type(value), key
        assert cache.get_many([key]) == {key: value}
        assert cache.get_or_set(key, "other") == value


def test_what_is_tagged_ends_with_its_tag(server, cache):
    tagged = {
        "set": lambda: cache.set("set", 1, tags=["a", "b"]),
        "add": lambda: cache.add("add", 1, tags=["b"]),
        "many": lambda: cache.set_many({"many": 1}, tags=["b", "c"]),
        "or": lambda: cache.get_or_set("or", lambda: 1, tags=["b"]),
        "later": lambda: cache.get_or_set("later", lambda: 1, tags=lambda value: ["b"]),
    }
    for store in tagged.values():
        store()
    cache.set("other", 1, tags=["d"])
    assert len(cache.get_many([*tagged, "other"])) == 6
    invalidate(server, "b")
    assert cache.get_many([*tagged, "other"]) == {"other": 1}


def test_a_saved_row_ends_what_is_tagged_with_it_or_its_model(server, cache):
    invalidate(server, "unrelated")
    label, other = Label.objects.create(name="a"), Label.objects.create(name="b")
    cache.set("row", 1, tags=[label])
    cache.set("other", 1, tags=[other])
    cache.set("list", 1, tags=[Label])
    cache.set("elsewhere", 1, tags=[Category])
    label.save()
    assert cache.get_many(["row", "other", "list", "elsewhere"]) == {"other": 1, "elsewhere": 1}
    Label.objects.filter(name="b").update(name="c")
    assert cache.get_many(["other", "elsewhere"]) == {"elsewhere": 1}


def test_what_was_computed_from_older_data_is_returned_but_not_kept(server, cache):
    def compute():
        invalidate(server, "t")
        return "old"

    assert cache.get_or_set("k", compute, tags=["t"]) == "old"
    assert cache.get("k") is None
    assert cache.get_or_set("k", "new", tags=["t"]) == "new"
    assert cache.get("k") == "new"


def test_a_value_whose_row_was_saved_while_it_was_computed_is_not_kept(cache):
    label = Label.objects.create(name="old")

    def compute():
        name = Label.objects.get(pk=label.pk).name
        thread = threading.Thread(target=cache_of_another_thread)
        thread.start()
        thread.join()
        return name

    def cache_of_another_thread():
        from wasmcached import delivery

        delivery.deliver([{"model": "shop.label", "pk": label.pk, "op": "update", "db": "default"}])

    assert cache.get_or_set("k", compute, tags=[label]) == "old"
    assert cache.get("k") is None


def test_two_who_compute_at_once_both_get_values_and_one_is_kept(server, cache):
    def compute():
        assert opened(server).get("k") is None, "a lease is no value"
        assert opened(server).get_many(["k"]) == {}
        assert "k" not in cache
        return opened(server).get_or_set("k", "inner")

    assert cache.get_or_set("k", compute) == "inner"
    assert cache.get("k") == "inner"


def test_a_computation_that_fails_leaves_nothing(server, cache):
    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        cache.get_or_set("k", fail, tags=["t"])
    assert request(server.url("api", "/v1/cache/:1:k")).status == 404
    with pytest.raises(ValueError):
        cache.get_or_set("k", 1, tags=["no tag"])


def test_a_transaction_that_changed_a_row_neither_reads_nor_stores_what_depends_on_it(cache):
    label = Label.objects.create(name="old")
    cache.set("k", "old", tags=[label])
    cache.set("free", "old", tags=[Category])
    with transaction.atomic():
        assert cache.get_or_set("k", "other", tags=[label]) == "old"
        label.name = "new"
        label.save()
        assert cache.get_or_set("k", lambda: label.name, tags=[label]) == "new"
        assert cache.get_or_set("k", lambda: label.name, tags=lambda name: [label]) == "new"
        assert cache.get("k", tags=[label]) is None
        assert cache.get("free", tags=[Category]) == "old"
        cache.set("k", "new", tags=[label])
        assert cache.add("l", "new", tags=[Label]) is False
        assert cache.set_many({"m": "new"}, tags=[Label]) == ["m"]
        cache.set("untagged", 1)
        assert cache.get("k") == "old", "others do not see it yet"
    assert cache.get_many(["k", "l", "m", "free", "untagged"]) == {"free": "old", "untagged": 1}


def test_a_rollback_leaves_what_was_cached(cache):
    label = Label.objects.create(name="old")
    cache.set("k", "old", tags=[label])
    with pytest.raises(LookupError), transaction.atomic():
        label.save()
        raise LookupError
    assert cache.get("k") == "old"


def test_a_value_that_is_too_large_leaves_none(cache):
    for tags in ((), ["t"]):
        cache.set("k", "small", tags=tags)
        cache.set("k", "x" * (2 << 20), tags=tags)
        assert cache.get("k") is None
        assert len(cache.get_or_set("k", "x" * (2 << 20), tags=tags)) == 2 << 20
        assert cache.get("k") is None


def test_the_connection_is_kept_over_requests_and_replaced_when_the_server_was_restarted():
    settings_of_it = source("shop", secrets=[settings.SECRET])
    with Server.start(f'database = "sqlite://{{dir}}/cache.db"\n{settings_of_it}') as server:
        cache = opened(server)
        cache.set("k", 1)
        [client] = cache._cache.clients.values()
        socket = client.sock
        cache.close()
        assert cache.get("k") == 1 and client.sock is socket
        server.stop()
        server.start_again()
        assert cache.delete("k") is True, "no delete is lost by a connection that is gone"
        assert cache.get("k") is None


def test_a_server_that_is_down_is_a_cache_without_entries():
    with Server.start(source("shop", secrets=[settings.SECRET])) as server:
        cache = opened(server)
        cache.set("k", 1)
        server.kill()
        assert cache.get("k", "none") == "none"
        assert cache.get_or_set("k", lambda: 2, tags=["t"]) == 2
        cache.set("k", 1, tags=["t"])
        assert cache.get_many(["k"]) == {} and cache.delete("k") is False


def test_several_servers_share_the_keys():
    with Server.start() as first, Server.start() as second:
        cache = opened(first, second)
        for n in range(40):
            cache.get_or_set(f"k{n}", n, tags=["t"])
        assert cache.get_many([f"k{n}" for n in range(40)]) == {f"k{n}": n for n in range(40)}
        for server in (first, second):
            invalidate(server, "t")
        assert cache.get_many([f"k{n}" for n in range(40)]) == {}


def test_the_asynchronous_methods_take_tags(server, cache):
    async def use():
        await cache.aset("a", 1, tags=["t"])
        await cache.aadd("b", 2, tags=["t"])
        await cache.aset_many({"c": 3}, tags=["t"])
        assert await cache.aget_or_set("d", lambda: 4, tags=["t"]) == 4
        return [await cache.aget(key) for key in "abcd"]

    assert asyncio.run(use()) == [1, 2, 3, 4]
    invalidate(server, "t")
    assert cache.get_many("abcd") == {}


def test_versions_prefixes_and_times_to_live_are_djangos(cache):
    cache.set("k", 1, version=2, tags=["t"])
    assert cache.get("k") is None and cache.get("k", version=2) == 1
    cache.set("gone", 1, timeout=0, tags=["t"])
    assert cache.get("gone") is None
    cache.set("kept", 1, timeout=None, tags=["t"])
    assert cache.get("kept") == 1
    assert cache.incr("kept") == 2 and cache.touch("kept", 100) and cache.delete("kept")


def test_a_key_that_django_refuses_is_refused(cache):
    for use in (cache.get, lambda key: cache.set(key, 1, tags=["t"])):
        with pytest.raises(Exception, match="memcached"):
            use("a b")
    with pytest.raises(ValueError):
        cache.set("k", 1, tags=["a b"])
    assert tags_of("a:b") == ["a:b"]
