"""Two databases, an application, and a real server in front of it."""

import os
import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

HERE = Path(__file__).parent
APP = HERE.parents[2] / "plugins/django/app"
sys.path[:0] = [str(HERE), str(HERE.parent), str(APP / "src"), str(APP / "tests")]

import django  # noqa: E402
import pytest  # noqa: E402
from django.conf import settings  # noqa: E402

from harness import SECRET, Postgres, Server, site, source  # noqa: E402


@pytest.fixture(scope="session")
def django_project(tmp_path_factory):
    """Django with both databases and their tables."""
    with Postgres.start() as postgres:
        path = tmp_path_factory.mktemp("sqlite") / "db.sqlite3"
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
        sqlite["OPTIONS"] = {"timeout": 30}
        databases = {"sqlite": sqlite, "postgres": postgres.database("matrix")}
        for database in databases.values():
            database["CONN_MAX_AGE"] = None
        os.environ.pop("DJANGO_SETTINGS_MODULE", None)
        settings.configure(
            SECRET_KEY="only for tests",
            ALLOWED_HOSTS=["*"],
            DATABASES={"default": {}, **databases},
            DATABASE_ROUTERS=["routing.Router"],
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            INSTALLED_APPS=["wasmcached", "shop"],
            # The second says how long answers are; those that end with the connection are not kept.
            MIDDLEWARE=[
                "wasmcached.middleware.TagsMiddleware",
                "django.middleware.common.CommonMiddleware",
            ],
            ROOT_URLCONF="project",
            USE_TZ=True,
            # Patience, because two suites may share a core: the test asks whether what is read
            # after a call is fresh, not how fast the machine is.
            WASMCACHED={"URL": "http://127.0.0.1:9", "SECRET": SECRET, "BUDGET_MS": 30_000},
        )
        django.setup()
        from django.core.management import call_command
        from django.db import connections
        from routing import Router

        for alias in databases:
            Router.database = alias
            call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
        with connections["sqlite"].cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("PRAGMA synchronous = OFF")
        yield
        connections.close_all()


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *arguments):
        pass


@pytest.fixture(scope="session")
def origin(django_project):
    """The application's address."""
    from django.core.wsgi import get_wsgi_application

    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)

    def serve():
        from django.db import connections

        server.serve_forever(0.05)
        connections.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def server(origin):
    """A server that the application tells, in front of it."""
    from django.test import override_settings

    with Server.start(site(origin) + source("django")) as server:
        told = {**settings.WASMCACHED, "URL": server.url("api", "")}
        with override_settings(WASMCACHED=told):
            yield server
