"""What an application does through python-memcached, in text."""

import memcache
from checks import check, server


def main():
    host, port = server()
    client = memcache.Client([f"{host}:{port}"], cache_cas=True, socket_timeout=30)
    check(client.get("absent"), None, "a miss")
    check(client.set("text", "héllo"), True, "set")
    check(client.get("text"), "héllo", "text")
    check(client.set("object", {"a": [1, 2]}), True, "set of an object")
    check(client.get("object"), {"a": [1, 2]}, "an object, pickled by its flags")
    check(client.set("number", 41), True, "set of a number")
    check(client.get("number"), 41, "a number by its flags")
    check(client.incr("number"), 42, "incr")
    check(client.decr("number", 2), 40, "decr")
    check(client.add("text", "again"), False, "add of a present key")
    check(client.replace("absent", "x"), False, "replace of an absent key")
    check(client.append("text", "!"), True, "append")
    check(client.prepend("text", ">"), True, "prepend")
    check(client.get("text"), ">héllo!", "the whole")
    check(client.gets("text"), ">héllo!", "gets")
    check(client.cas("text", "swapped"), True, "cas")
    check(client.cas("text", "again"), False, "cas with an old unique")
    check(client.touch("text", 100), 1, "touch")
    values = {f"key{n}": f"value{n}" for n in range(200)}
    check(client.set_multi(values), [], "set_multi")
    check(client.get_multi([*values, "absent"]), values, "get_multi")
    check(client.delete_multi(list(values)), 1, "delete_multi")
    check(client.get_multi(list(values)), {}, "get_multi of deleted keys")
    large = "x" * 900_000
    check(client.set("large", large), True, "set of a large value")
    check(client.get("large") == large, True, "a large value")
    stats = client.get_stats()
    check(len(stats), 1, "get_stats")
    check("curr_items" in stats[0][1], True, "curr_items in get_stats")
    client.flush_all()
    check(client.get("text"), None, "a value after flush_all")
    client.disconnect_all()


main()
