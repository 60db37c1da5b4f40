"""Without settings the app is installed and does nothing, but for tests of applications."""

import subprocess
import sys

SCRIPT = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["wasmcached", "shop"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
from django.core.management import call_command
from wasmcached import delivery
from wasmcached.testing import recorded_events
call_command("migrate", run_syncdb=True, verbosity=0)
from shop.models import Product
delivery.send = None
Product.objects.create(name="a")
with recorded_events() as events:
    Product.objects.create(name="b", slug="b")
assert events[0]["after"]["slug"] == "b", events
"""


def test_an_application_without_settings_can_be_tested_and_sends_nothing():
    done = subprocess.run([sys.executable, "-B", "-c", SCRIPT], env=environment(), text=True)
    assert done.returncode == 0


def environment():
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DJANGO_SETTINGS_MODULE": ""}
