"""What an asynchronous application does through emcache, in text."""

import asyncio

import emcache
from checks import check, server


async def refused(operation, error, what):
    """The operation raises this error."""
    try:
        await operation
    except error:
        print(f"{what}: as expected")
        return
    raise SystemExit(f"{what}: no {error.__name__}")


async def main():
    host, port = server()
    address = emcache.MemcachedHostAddress(host, port)
    client = await emcache.create_client([address], timeout=30.0)
    check(await client.get(b"absent"), None, "a miss")
    await client.set(b"text", b"hello", flags=7)
    item = await client.get(b"text", return_flags=True)
    check((item.value, item.flags), (b"hello", 7), "value and flags")
    await refused(client.add(b"text", b"x"), emcache.NotStoredStorageCommandError, "add")
    await refused(client.replace(b"absent", b"x"), emcache.NotStoredStorageCommandError, "replace")
    await client.append(b"text", b"!")
    await client.prepend(b"text", b">")
    item = await client.gets(b"text")
    check(item.value, b">hello!", "append and prepend")
    await client.cas(b"text", b"swapped", item.cas)
    stale = client.cas(b"text", b"again", item.cas)
    await refused(stale, emcache.StorageCommandError, "cas with an old unique")
    await client.set(b"count", b"9")
    check(await client.increment(b"count", 3), 12, "increment")
    check(await client.decrement(b"count", 20), 0, "decrement")
    await refused(client.increment(b"absent", 1), emcache.NotFoundCommandError, "increment")
    await client.touch(b"text", 100)
    check((await client.gat(100, b"text")).value, b"swapped", "gat")
    keys = [b"key%d" % number for number in range(200)]
    await asyncio.gather(*(client.set(key, key.upper()) for key in keys))
    found = await client.get_many([*keys, b"absent"])
    check({key: item.value for key, item in found.items()}, {k: k.upper() for k in keys}, "many")
    await client.delete(b"text")
    await refused(client.delete(b"text"), emcache.NotFoundCommandError, "delete")
    await client.verbosity(address, 0)
    check((await client.version(address))[:4], "1.6.", "version")
    check("curr_items" in await client.stats(address), True, "stats")
    await client.flush_all(address)
    check(await client.get(b"count"), None, "a value after flush_all")
    await client.close()


asyncio.run(main())
