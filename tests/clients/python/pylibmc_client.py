"""What an application does through pylibmc (libmemcached): ADDRESS text|binary [USER PASSWORD]."""

import sys

import pylibmc
from checks import check


def single(client):
    check(client.get("absent"), None, "a miss")
    check(client.set("text", "héllo"), True, "set")
    check(client.get("text"), "héllo", "text")
    check(client.set("object", {"a": [1, 2]}), True, "set of an object")
    check(client.get("object"), {"a": [1, 2]}, "an object, pickled by its flags")
    check(client.add("text", "again"), False, "add of a present key")
    # In text it is not stored, in binary not found.
    try:
        check(client.replace("absent", "x"), False, "replace of an absent key")
    except pylibmc.NotFound:
        print("replace of an absent key: as expected")
    check(client.set("raw", b"b"), True, "set of bytes")
    check(client.append("raw", b"c"), True, "append")
    check(client.prepend("raw", b"a"), True, "prepend")
    check(client.get("raw"), b"abc", "the whole")
    check(client.set("count", 9), True, "set of a number")
    check(client.incr("count", 3), 12, "incr")
    check(client.decr("count", 20), 0, "decr stops at zero")
    check(client.touch("text", 100), True, "touch")
    check(client.touch("absent", 100), False, "touch of an absent key")
    check(client.set("packed", "x" * 500_000, min_compress_len=100), True, "compressed value")
    check(client.get("packed") == "x" * 500_000, True, "what was compressed")
    try:
        client.incr("absent")
        sys.exit("incr of an absent key was no error")
    except pylibmc.NotFound:
        print("incr of an absent key: as expected")


def compare_and_swap(client):
    client.behaviors["cas"] = True
    client.set("cas", "one")
    value, unique = client.gets("cas")
    check(value, "one", "gets")
    check(client.cas("cas", "two", unique), True, "cas")
    check(client.cas("cas", "three", unique), False, "cas with an old unique")


def many(client):
    values = {f"key{n}": f"value{n}" for n in range(200)}
    check(client.set_multi(values), [], "set_multi")
    check(client.get_multi([*values, "absent"]), values, "get_multi")
    check(client.delete_multi(list(values)), True, "delete_multi")
    check(client.get_multi(list(values)), {}, "get_multi of deleted keys")


def main():
    address, protocol, *user = sys.argv[1:]
    login = dict(zip(("username", "password"), user))
    client = pylibmc.Client([address], binary=protocol == "binary", **login)
    for part in (single, compare_and_swap, many):
        part(client)
    check(client.delete("text"), True, "delete")
    check(client.delete("text"), False, "delete of an absent key")
    check(client.flush_all(), True, "flush_all")
    check(client.get("raw"), None, "a value after flush_all")
    if user:
        impostor = pylibmc.Client([address], binary=True, username=user[0], password="wrong")
        try:
            impostor.set("stolen", "x")
            sys.exit("a wrong password was accepted")
        except pylibmc.Error:
            print("a wrong password: refused")


main()
