"""A Django project in memory, emptied after each test; events are recorded where a test asks."""

import os

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from django.dispatch import receiver  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from wasmcached import resending  # noqa: E402
from wasmcached.testing import recorded_events  # noqa: E402

from harness import Server, source  # noqa: E402

setup_test_environment()


@receiver(connection_created)
def carelessly(*, connection, **_):
    """Nobody needs this database after a crash."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = OFF")
        cursor.execute("PRAGMA journal_mode = MEMORY")


@pytest.fixture(scope="session", autouse=True)
def tables():
    call_command("migrate", run_syncdb=True, verbosity=0)
    yield
    # What tests wrote for nobody need not be waited for.
    resending._resenders.clear()


@pytest.fixture(autouse=True)
def emptied(tables):
    yield
    names = [name for name in connection.introspection.table_names() if "migrations" not in name]
    with transaction.atomic(), connection.cursor() as cursor:
        for name in [*names, "sqlite_sequence"]:
            cursor.execute(f'DELETE FROM "{name}"')


@pytest.fixture
def events():
    """What is announced during the test."""
    with recorded_events() as events:
        yield events


@pytest.fixture(scope="session")
def server():
    """A real server that knows the source `shop`."""
    from django.conf import settings

    with Server.start(source("shop", secrets=[settings.SECRET])) as server:
        yield server
