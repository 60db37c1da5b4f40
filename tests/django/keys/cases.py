"""Cases for the comparison of keys: every awkward value, with every locality, by a fixed seed."""

import random

TEXTS = [
    "", "ada", "a:b", "a b", "é", "日本", "😀", "1:a,", "-,", "%41", "a/b?c#d", ";", "=&", "~_.-",
    "None", "x" * 300,
]
FIELDS = ["Cookie", "Accept-Language", "Accept-Encoding", "X-Requested-With", "Authorization"]
VALUES = [None, "", "gzip, deflate, br", "sessionid=1; csrftoken=2", "de", "-,", "4:gzip,"]
QUERIES = ["", "b=2&a=1", "q=a+b%20c", "q=%C3%A9", "a[]=1&a[]=2", "next=http://x/?y=1", "a;b"]
LOCALITIES = [("en-us", "UTC"), ("fr", "Europe/Paris"), (None, "UTC"), ("de", None), (None, None)]
ORIGINS = ["http://ex.org", "https://ex.org", "http://ex.org:8000", "https://[::1]:8443"]


def cases(count=60):
    """The same every time, as JSON has it."""
    choose = random.Random(15)
    return {
        "fragments": [_fragment(choose) for _ in range(count)],
        "pages": [_page(choose) for _ in range(count)],
    }


def _cache(choose):
    return {"cache_prefix": choose.choice(["", "shop"]), "version": choose.choice([1, 12])}


def _fragment(choose):
    values = [*TEXTS, 7, -1]
    return {
        **_cache(choose),
        "name": choose.choice(["sidebar", "message-count", "a.b"]),
        "vary_on": choose.choices(values, k=choose.randrange(4)),
    }


def _page(choose):
    language, time_zone = choose.choice(LOCALITIES)
    headers = choose.sample(FIELDS, k=choose.randrange(4))
    return {
        **_cache(choose),
        "method": choose.choice(["GET", "HEAD"]),
        "origin": choose.choice(ORIGINS),
        "path": "/" + "/".join(choose.choices(TEXTS, k=choose.randrange(4))),
        "query": choose.choice(QUERIES),
        "headers": {name: choose.choice(VALUES) for name in headers},
        "key_prefix": choose.choice(["", "site"]),
        "language": language,
        "time_zone": time_zone,
    }
