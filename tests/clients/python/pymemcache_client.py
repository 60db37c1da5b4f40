"""What an application does through pymemcache, with the settings that Django uses."""

import sys

from checks import check, server
from pymemcache import serde
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError


def single(client):
    check(client.get("absent"), None, "a miss")
    check(client.get("absent", default=7), 7, "a miss with a default")
    # noreply=False: the server's answer is what is tested.
    check(client.set("text", "héllo", noreply=False), True, "set")
    check(client.get("text"), "héllo", "text")
    client.set("object", {"a": [1, 2]}, noreply=False)
    check(client.get("object"), {"a": [1, 2]}, "an object, pickled by its flags")
    client.set("large", b"x" * 1_000_000, noreply=False)
    check(len(client.get("large")), 1_000_000, "a large value")
    check(client.add("text", "again", noreply=False), False, "add of a present key")
    check(client.replace("absent", 1, noreply=False), False, "replace of an absent key")
    client.set("raw", b"b", noreply=False)
    check(client.append("raw", b"c", noreply=False), True, "append")
    check(client.prepend("raw", b"a", noreply=False), True, "prepend")
    check(client.get("raw"), b"abc", "the whole")
    client.set("count", 9, noreply=False)
    check(client.incr("count", 3), 12, "incr")
    check(client.decr("count", 20), 0, "decr stops at zero")
    check(client.incr("absent", 1), None, "incr of an absent key")
    check(client.touch("text", 100, noreply=False), True, "touch")


def compare_and_swap(client):
    client.set("cas", b"one", noreply=False)
    value, token = client.gets("cas")
    check(value, b"one", "gets")
    check(client.cas("cas", b"two", token, noreply=False), True, "cas")
    check(client.cas("cas", b"three", token, noreply=False), False, "cas with an old token")
    check(client.cas("absent", b"x", token, noreply=False), None, "cas of an absent key")


def many(client):
    values = {f"key{n}": f"value{n}" for n in range(200)}
    check(client.set_many(values, noreply=False), [], "set_many")
    check(client.get_many(list(values) + ["absent"]), values, "get_many")
    check(client.delete_many(list(values), noreply=False), True, "delete_many")
    check(client.get_many(list(values)), {}, "get_many of deleted keys")


def administration(client):
    check(client.delete("absent", noreply=False), False, "delete of an absent key")
    if not client.version():
        sys.exit("version is empty")
    stats = client.stats()
    if stats.get(b"curr_items") is None:
        sys.exit(f"stats without curr_items: {stats!r}")
    # Noreply leaves nothing behind that the next command would read.
    client.set("quiet", b"1", noreply=True)
    check(client.get("quiet"), b"1", "a value stored without a reply")
    try:
        client.get("k" * 251)
        sys.exit("a key of 251 bytes was sent")
    except MemcacheClientError:
        pass
    check(client.flush_all(noreply=False), True, "flush_all")
    check(client.get("quiet"), None, "a value after flush_all")


def main():
    address = server()
    client = Client(address, serde=serde.pickle_serde, timeout=30)
    for part in (single, compare_and_swap, many, administration):
        part(client)
    client.close()
    hashed = HashClient([address], serde=serde.pickle_serde, use_pooling=True, timeout=30)
    many(hashed)
    hashed.close()


main()
