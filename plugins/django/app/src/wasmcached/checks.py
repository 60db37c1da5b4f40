"""System checks: every mistake in `WASMCACHED`, with its place, before anything is sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks

from . import conf, signing

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def register():
    """Registers the checks."""
    checks.register(check_settings, "wasmcached")
    checks.register(check_caches, checks.Tags.caches)


def check_settings(app_configs=None, **_):
    """What is wrong with `WASMCACHED`."""
    given = getattr(django_settings, "WASMCACHED", None)
    if given is None:
        hint = 'WASMCACHED = {"URL": "http://127.0.0.1:8081", "SECRET": "whsec_…"}'
        return [
            checks.Warning(
                "WASMCACHED is not set: nothing is announced", hint, id="wasmcached.W001"
            )
        ]
    if not isinstance(given, dict):
        return [_error("E001", f"WASMCACHED is {type(given).__name__}; it must be a dict")]
    found = []
    for key in sorted(set(given) - conf.KEYS):
        found.append(
            _error("E002", f"WASMCACHED has no key {key!r}", f"It has {_names(conf.KEYS)}.")
        )
    found += _check_urls(given) + _check_secrets(given) + _check_numbers(given)
    for key, choices in (("OUTBOX", conf.OUTBOXES), ("TAG_FIELD", conf.TAG_FIELDS)):
        value = given.get(key, choices[0])
        if value not in choices:
            found.append(_error("E005", f"{key} is {value!r}; it must be one of {_names(choices)}"))
    return found + _check_models(given)


def check_caches(app_configs=None, **_):
    """Whether the backend's library is there."""
    used = [name for name, cache in django_settings.CACHES.items() if _is_ours(cache)]
    try:
        import pymemcache  # noqa: F401
    except ImportError:
        hint = 'pip install "wasmcached-django[cache]"'
        return [_error("E007", f"CACHES[{name!r}] needs pymemcache", hint) for name in used]
    return []


def _check_urls(given):
    urls = given.get("URL")
    if not urls:
        return [
            _error("E003", "URL is missing", "The address of the API, as http://127.0.0.1:8081")
        ]
    found = []
    for url in conf.listed(urls):
        try:
            parts = urlsplit(url)
            is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except (ValueError, AttributeError, TypeError):
            parts, is_whole = None, False
        if not is_whole or parts.query or parts.fragment:
            found.append(_error("E003", f"URL is {url!r}; it must be as http://127.0.0.1:8081"))
        elif parts.username:
            found.append(_error("E003", "URL has a user in it; messages are signed instead"))
    return found


def _check_secrets(given):
    secrets = conf.listed(given.get("SECRET"))
    if not secrets:
        return [_error("E004", "SECRET is missing", "echo whsec_$(openssl rand -base64 32)")]
    found = []
    for n, secret in enumerate(secrets):
        try:
            signing.key_of(secret)
        except ValueError as error:
            found.append(_error("E004", f"SECRET[{n}]: {error}", "openssl rand -base64 32"))
    return found


def _check_numbers(given):
    found = []
    for key, least, most in (("BUDGET_MS", 1, 60_000), ("ROWS_MAX", 1, 1000)):
        value = given.get(key, least)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            found.append(_error("E005", f"{key} is {value!r}; {least} to {most} are allowed"))
    source = given.get("SOURCE", "django")
    is_name = isinstance(source, str) and source.replace("-", "").replace("_", "").isalnum()
    if not is_name or len(source) > 100:
        found.append(_error("E005", f"SOURCE is {source!r}; it must be letters, digits, - and _"))
    return found


def _check_models(given):
    known = {config.label.lower() for config in apps.get_app_configs()}
    for model in apps.get_models(include_auto_created=True):
        known.add(model._meta.label_lower)
    found = []
    for key in ("MODELS", "EXCLUDE"):
        value = given.get(key) or ()
        if isinstance(value, str):
            found.append(_error("E006", f"{key} is text; it must be a list"))
            continue
        for name in value:
            # The defaults may name apps that are not installed.
            if name.lower() not in known and name not in conf.EXCLUDED:
                found.append(_error("E006", f"{key} names {name!r}, which is no app and no model"))
    return found


def _is_ours(cache):
    return str(cache.get("BACKEND", "")).startswith("wasmcached.")


def _names(names):
    return ", ".join(sorted(names))


def _error(number, message, hint=None):
    return checks.Error(message, hint, obj="WASMCACHED", id=f"wasmcached.{number}")
