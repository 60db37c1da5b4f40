"""The setting `WASMCACHED`, read once and checked by `checks`.

| key | meaning |
|---|---|
| `URL` | the API's address of the server, or a list of several: each is told everything |
| `SOURCE` | the name of this application in the servers' `[[sources]]`; `django` |
| `SECRET` | its secret (`whsec_…`), or a list while it is rotated: everything is signed by each |
| `MODELS` | apps or models (`shop`, `blog.post`) that are announced; all |
| `EXCLUDE` | those that are not; sessions, the admin's log, migrations, content types |
| `OUTBOX` | where what could not be sent at once waits: `memory` or `db` |
| `BUDGET_MS` | how long a request may wait for the servers after a commit; 300 |
| `ROWS_MAX` | rows of a model in one transaction beyond which the whole model is named; 500 |
| `TAG_FIELD` | the field of answers that the middleware writes: `Surrogate-Key` or `Cache-Groups` |
| `DEBUG` | whether answers say what they were tagged with, and what was announced |

Without `URL` nothing is recorded and nothing sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings as django_settings
from django.core.signals import setting_changed

EXCLUDED = ("sessions", "admin.logentry", "migrations", "contenttypes")
OUTBOXES = ("memory", "db")
TAG_FIELDS = ("Surrogate-Key", "Cache-Groups")
KEYS = frozenset(
    ["URL", "SOURCE", "SECRET", "MODELS", "EXCLUDE", "OUTBOX", "BUDGET_MS", "ROWS_MAX"]
    + ["TAG_FIELD", "DEBUG"]
)

#: This app's own rows are never announced: announcing them would write more of them.
OWN_APP = "wasmcached"


@dataclass(frozen=True)
class Settings:
    """`WASMCACHED` with its defaults; `checks` says what is wrong with its values."""

    urls: tuple
    source: str
    secrets: tuple
    models: frozenset | None
    exclude: frozenset
    outbox: str
    budget_ms: int
    rows_max: int
    tag_field: str
    debug: bool

    @property
    def is_on(self):
        """Whether there is anybody to tell."""
        return bool(self.urls)


@lru_cache(maxsize=None)
def tracks(model):
    """Whether changes of a model are announced."""
    return current().is_on and covers(model)


def covers(model):
    """Whether changes of a model are announced where there is somebody to tell."""
    settings = current()
    meta = model._meta.concrete_model._meta
    names = {meta.app_label, meta.label_lower}
    if meta.app_label == OWN_APP or names & settings.exclude:
        return False
    return settings.models is None or bool(names & settings.models)


@lru_cache(maxsize=1)
def current():
    """The settings as they are now."""
    given = getattr(django_settings, "WASMCACHED", None) or {}
    models = given.get("MODELS")
    return Settings(
        urls=tuple(str(url).rstrip("/") for url in listed(given.get("URL"))),
        source=given.get("SOURCE", "django"),
        secrets=listed(given.get("SECRET")),
        models=None if models is None else _labels(models),
        exclude=_labels(given.get("EXCLUDE", EXCLUDED)),
        outbox=given.get("OUTBOX", "memory"),
        budget_ms=given.get("BUDGET_MS", 300),
        rows_max=given.get("ROWS_MAX", 500),
        tag_field=given.get("TAG_FIELD", TAG_FIELDS[0]),
        debug=bool(given.get("DEBUG", False)),
    )


def listed(value):
    """One or several of something, as a tuple."""
    if value is None or value == "":
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _labels(names):
    return frozenset(name.lower() for name in names)


def _forget(*, setting, **_):
    if setting == "WASMCACHED":
        current.cache_clear()
        tracks.cache_clear()


# Tests override settings.
setting_changed.connect(_forget, dispatch_uid="wasmcached.conf")
