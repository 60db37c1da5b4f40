"""A Django project in memory, emptied after each test; events are recorded where a test asks."""

import os

import django
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402

from wasmcached.testing import recorded_events  # noqa: E402

from harness import Server, source  # noqa: E402

setup_test_environment()


@pytest.fixture(scope="session", autouse=True)
def tables():
    call_command("migrate", run_syncdb=True, verbosity=0)


@pytest.fixture(autouse=True)
def emptied(tables):
    yield
    call_command("flush", interactive=False, verbosity=0)


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
