"""What an application does through meta-memcache, which speaks meta commands alone."""

import os

from checks import check, server
from meta_memcache import CacheClient, Key, ServerAddress, connection_pool_factory_builder
from meta_memcache.configuration import LeasePolicy, RecachePolicy, StalePolicy


def main():
    host, port = server()
    pool = connection_pool_factory_builder(connection_timeout=30, recv_timeout=30)
    address = ServerAddress(host=host, port=port)
    client = CacheClient.cache_client_from_servers(
        servers=[address], connection_pool_factory_fn=pool
    )
    check(client.get(key=Key("absent")), None, "a miss")
    check(client.set(key=Key("text"), value="héllo", ttl=1000), True, "set")
    check(client.get(key=Key("text")), "héllo", "text")
    check(client.set(key=Key("object"), value={"a": [1, 2]}, ttl=1000), True, "set of an object")
    check(client.get(key=Key("object")), {"a": [1, 2]}, "an object, pickled by its flags")
    unicode_key = Key("schlüssel mit leerzeichen")
    check(client.set(key=unicode_key, value=1, ttl=1000), True, "set of a key in base64")
    check(client.get(key=unicode_key), 1, "a key in base64")

    value, unique = client.get_cas(key=Key("text"))
    check(value, "héllo", "get with its unique")
    if os.environ.get("WASMCACHED_TESTS_DATABASE"):
        # The protocol's uniques have 64 bits. This client takes more than 32 for none, and above a
        # database they begin at 2**40: should it learn to, the other branch is for all servers.
        check(unique, None, "a unique of more than 32 bits")
        check(client.set(key=Key("text"), value="two", ttl=1000), True, "set without a unique")
    else:
        swap = {"key": Key("text"), "ttl": 1000, "cas_token": unique}
        check(client.set(value="two", **swap), True, "set with its unique")
        check(client.set(value="three", **swap), False, "set with an old unique")

    check(client.delta_initialize(Key("n"), delta=1, initial_value=9, initial_ttl=1000), True, "N")
    check(client.delta_and_get(key=Key("n"), delta=3), 12, "count up")
    check(client.delta_and_get(key=Key("n"), delta=-20), 0, "count down")
    check(client.touch(key=Key("text"), ttl=2000), True, "touch")

    keys = [Key(f"key{number}") for number in range(50)]
    for key in keys:
        client.set(key=key, value=key.key, ttl=1000)
    check(client.multi_get([*keys, Key("absent")])[keys[7]], "key7", "one of many")

    lease = LeasePolicy(ttl=30)
    check(client.get_or_lease(key=Key("leased"), lease_policy=lease), None, "the lease is won")
    check(client.set(key=Key("leased"), value="filled", ttl=1000), True, "the lease is filled")
    leased = client.get_or_lease(key=Key("leased"), lease_policy=lease)
    check(leased, "filled", "what the lease was for")

    stale = StalePolicy(mark_stale_on_deletion_ttl=30)
    check(client.delete(key=Key("text"), stale_policy=stale), True, "delete that leaves it stale")
    recache = RecachePolicy(ttl=30)
    check(client.get(key=Key("text"), recache_policy=recache), None, "the recache is won")
    check(client.get(key=Key("text"), recache_policy=recache), "two", "it is still served stale")
    check(client.delete(key=Key("text")), True, "delete")
    check(client.delete(key=Key("text")), False, "delete of an absent key")


main()
