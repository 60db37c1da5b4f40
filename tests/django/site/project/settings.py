"""Settings, from the environment where a deployment chooses; each of these is JSON but the paths.

| variable | |
|---|---|
| `SITE_DATABASE` | the SQLite file |
| `SITE_CACHES` | `CACHES`; the process's memory where it is absent |
| `MEMCACHIER_SERVERS`, `_USERNAME`, `_PASSWORD` | no JSON: the cache of a hosting platform |
| `SITE_MIDDLEWARE` | middleware around the others: `{"first": [], "last": []}` |
| `SITE_SETTINGS` | any further settings |
| `SITE_EVENTS` | who tells the cache of changes: `"nobody"`, `"models"` by themselves, `"app"` |
| `SITE_WEBHOOK` | where to: `{"url": "http://cache:8081", "source": "site", "secret": "..."}` |
"""

import json
import os
from pathlib import Path


def chosen(name, default):
    return json.loads(os.environ[name]) if name in os.environ else default


BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

EVENTS = chosen("SITE_EVENTS", "nobody")
WEBHOOK = chosen("SITE_WEBHOOK", {})

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "pastes",
    "mail",
    "treks",
    "waiting",
    "news",
]
if EVENTS == "app":
    INSTALLED_APPS.append("wasmcached")
    WASMCACHED = {
        "URL": WEBHOOK["url"],
        "SOURCE": WEBHOOK["source"],
        "SECRET": WEBHOOK["secret"],
        # A loaded machine may be slow; what is asserted is freshness, not speed.
        "BUDGET_MS": 10_000,
    }

_around = chosen("SITE_MIDDLEWARE", {})
MIDDLEWARE = [
    *_around.get("first", []),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *_around.get("last", []),
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SITE_DATABASE", BASE_DIR / "site.db"),
        "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
    }
}

if "MEMCACHIER_SERVERS" in os.environ:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.memcached.PyLibMCCache",
            "LOCATION": os.environ["MEMCACHIER_SERVERS"],
            "OPTIONS": {
                "binary": True,
                "username": os.environ["MEMCACHIER_USERNAME"],
                "password": os.environ["MEMCACHIER_PASSWORD"],
            },
        }
    }
else:
    _memory = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CACHES = chosen("SITE_CACHES", _memory)

# Passwords are no matter here, and a slow hash would be the slowest part of a login.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "/login/"
USE_I18N = True
USE_TZ = True
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"

globals().update(chosen("SITE_SETTINGS", {}))
