"""Asks the Django on the path for the keys of cases: JSON in, JSON out.

Not here: what the keys are compared with. The file runs as a script, or in an interpreter compiled
to Wasm (`oracle.mjs`), where this machine's is too old for a release.
"""

import io
import json
import sys

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    LANGUAGE_CODE="en-us",
    USE_TZ=True,
)
django.setup()

from django.core.cache.backends.locmem import LocMemCache  # noqa: E402
from django.core.cache.utils import make_template_fragment_key  # noqa: E402
from django.core.handlers.wsgi import WSGIRequest  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.utils import timezone, translation  # noqa: E402
from django.utils.cache import get_cache_key, learn_cache_key  # noqa: E402


def answer(cases):
    """The release, and a key or keys for each case, in order."""
    return {
        "release": django.get_version(),
        "fragments": [fragment_key(case) for case in cases["fragments"]],
        "pages": [page_keys(case) for case in cases["pages"]],
    }


def cache_of(case):
    parameters = {"KEY_PREFIX": case["cache_prefix"], "VERSION": case["version"]}
    cache = LocMemCache("keys", parameters)
    cache.clear()
    return cache


def fragment_key(case):
    return cache_of(case).make_key(make_template_fragment_key(case["name"], case["vary_on"]))


def page_keys(case):
    """The address and both keys, as the middleware stores and finds them."""
    settings.USE_I18N = case["language"] is not None
    settings.USE_TZ = case["time_zone"] is not None
    timezone.activate(case["time_zone"] or "UTC")
    request = request_of(case)
    response = HttpResponse()
    if case["headers"]:
        response["Vary"] = ", ".join(case["headers"])
    cache = cache_of(case)
    with translation.override(case["language"] or "en-us"):
        page = learn_cache_key(request, response, 60, case["key_prefix"], cache)
        assert page == get_cache_key(request, case["key_prefix"], case["method"], cache)
    (header,) = cache._cache
    return {
        "url": request.build_absolute_uri(),
        "header": header,
        "page": cache.make_key(page),
    }


def request_of(case):
    sent = {name: value for name, value in case["headers"].items() if value is not None}
    fields = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in sent.items()}
    scheme, host = case["origin"].split("://")
    environ = {
        "REQUEST_METHOD": case["method"],
        "PATH_INFO": case["path"].encode().decode("latin-1"),
        "QUERY_STRING": case["query"],
        "HTTP_HOST": host,
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
        **fields,
    }
    return WSGIRequest(environ)


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
