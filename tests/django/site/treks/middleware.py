"""Stores pages where a web server in front finds them: under `PREFIX-URI` in memcached.

`$memcached_key "/your-site-name-$uri"` is nginx's half of it.
"""

import re

from django.conf import settings
from django.core.cache import caches

LIFETIME_S = 3600


def raw_key(key, key_prefix, version):
    """The `KEY_FUNCTION` of the cache `pages`: the web server knows of no versions."""
    return f"{key_prefix}{key}"


class StorePages:
    """Stores every answer to GET that says nothing against it, but for ignored addresses."""

    def __init__(self, get_response):
        self._get_response = get_response
        self._ignored = [re.compile(pattern) for pattern in settings.PAGES_IGNORED]

    def __call__(self, request):
        response = self._get_response(request)
        if self._is_for_everybody(request, response):
            caches["pages"].set(request.path, response.content.decode(), LIFETIME_S)
        return response

    def _is_for_everybody(self, request, response):
        # Pages are kept without their query.
        return (
            request.method == "GET"
            and not request.GET
            and response.status_code == 200
            and not response.cookies
            and "private" not in response.get("Cache-Control", "")
            and not any(pattern.match(request.path) for pattern in self._ignored)
        )
