"""Settings of the tests' project."""

import os
import tempfile

# A file, because threads of asynchronous applications have connections of their own; in memory,
# where there is such a file system.
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_FOLDER = tempfile.TemporaryDirectory(prefix="wasmcached-django-", dir=_MEMORY)
_DATABASE = os.environ.get("TEST_DATABASE") or _FOLDER.name + "/db.sqlite3"

SECRET_KEY = "only for tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.sessions", "wasmcached", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _DATABASE}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["*"]
MIDDLEWARE = ["wasmcached.middleware.TagsMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# What is logged is looked at by tests, and not shown besides.
LOGGING = {
    "version": 1,
    "handlers": {"none": {"class": "logging.NullHandler"}},
    "loggers": {"wasmcached": {"handlers": ["none"]}},
}

#: The secret of the published example of Standard Webhooks.
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
WASMCACHED = {
    "URL": "http://127.0.0.1:9",
    "SOURCE": "shop",
    "SECRET": SECRET,
    "EXCLUDE": ["sessions", "contenttypes", "shop.secret"],
    # Patience, because a test may share its core.
    "BUDGET_MS": 10_000,
}
