"""wasmcached for Django: what is saved is announced, and nothing older is served afterwards.

    INSTALLED_APPS += ["wasmcached"]
    WASMCACHED = {"URL": "http://cache:8081", "SOURCE": "shop", "SECRET": "whsec_…"}
    CACHES = {"default": {"BACKEND": "wasmcached.Cache", "LOCATION": "cache:11211"}}

The first two lines announce every write of the ORM; the third is the cache's backend.

Map: `names` (tags), `changes` (what a transaction changed), `recorder` (which of it was committed),
`signals` and `hooks` (where it is learnt), `delivery`, `transport`, `signing`, `resending` and
`outbox` (how it reaches the servers), `cache` and `leases` (the backend), `reads` and `middleware`
(what a page shows), `checks`, `testing`, and the command `manage.py wasmcached`.
"""

from .cache import Cache
from .names import tags_of
from .recorder import changed

__all__ = ["Cache", "changed", "tags_of"]
__version__ = "0.1.0"
