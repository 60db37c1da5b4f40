"""A team that moves: fills Django's DatabaseCache, and reads the same through PyMemcacheCache.

    django_table.py write DATABASE [TIME_ZONE]     makes the table in a SQLite file and fills it
    django_table.py read HOST:PORT                 reads every value by Django's memcached backend
"""

import os
import sys
import time

import django
from django.conf import settings

LARGE = 100_000

VALUES = {
    "text": "héllo",
    "empty": "",
    "large-text": "é" * LARGE,
    "bytes": b"\x00\xff raw",
    "large-bytes": b"x" * LARGE,
    "zero": 0,
    "small": 200,
    "number": 70_000,
    "negative": -5,
    "huge": 2**62,
    "beyond": -(2**100),
    "true": True,
    "float": 1.5,
    "list": [1, "two", {"three": None}],
    "ключ": "a key beyond ASCII",
}


# Of both backends.
NAMES = {"KEY_PREFIX": "shop", "VERSION": 3}


def write():
    file, *zone = sys.argv[2:]
    if zone:
        # As Django does for a settings module; not for what is configured by hand.
        os.environ["TZ"] = zone[0]
        time.tzset()
    table = {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "cache table",
        "OPTIONS": {"MAX_ENTRIES": 10_000},
    }
    settings.configure(
        CACHES={"default": {**table, **NAMES}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": file}},
        USE_TZ=not zone,
        TIME_ZONE=zone[0] if zone else "UTC",
    )
    django.setup()
    from django.core.cache import cache
    from django.core.management import call_command
    from django.db import connection

    call_command("createcachetable", verbosity=0)
    for key, value in VALUES.items():
        cache.set(key, value, timeout=3600)
    cache.set("for ever", "memcached takes no spaces", timeout=None)
    cache.set("never", "expires", timeout=None)
    for number in range(250):
        cache.set(f"many-{number}", number, timeout=3600)
    cache.set("over", "expired", timeout=3600)
    # Its row stays: Django culls only when the table is full.
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE \"cache table\" SET expires = '2001-01-01 00:00:00' WHERE cache_key = %s",
            [cache.make_key("over")],
        )
        cursor.execute(
            "INSERT INTO \"cache table\" VALUES ('damaged', '***', '2099-01-01 00:00:00')"
        )


def read():
    backend = "django.core.cache.backends.memcached.PyMemcacheCache"
    settings.configure(
        CACHES={"default": {"BACKEND": backend, "LOCATION": sys.argv[2], **NAMES}}
    )
    django.setup()
    from checks import check
    from django.core.cache import cache

    for key, value in VALUES.items():
        check(cache.get(key), value, key)
        check(type(cache.get(key)), type(value), f"type of {key}")
    check(cache.get("never"), "expires", "a key that never expires")
    check(cache.get("over"), None, "an expired key")
    found = cache.get_many([f"many-{number}" for number in range(250)])
    check(sorted(found.values()), list(range(250)), "many")
    check(cache.incr("small", 5), 205, "a counter goes on")
    check(cache.add("text", "other"), False, "add of what was taken over")


{"write": write, "read": read}[sys.argv[1]]()
