"""Every way to write, in every kind of transaction, on every database: what is read after the
call is what was written, and what was rolled back is not told to anybody.

`README.md` has the table of results. What was found must be in it; with `MATRIX_WRITE=1` it is
written instead.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connections, transaction
from django.test import override_settings

from harness import LIMIT_S, request
from routing import DATABASES, Router

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
TRANSACTIONS = ("autocommit", "atomic", "savepoint", "rollback")

#: {(name of the path, database, transaction): what was found}
results = {}


@pytest.mark.parametrize("database", DATABASES)
def test_what_is_read_after_a_write_is_what_was_written(server, origin, database):
    from paths import PATHS

    found = {}
    for name, prepare in PATHS.items():
        for kind in TRANSACTIONS:
            found[name, database, kind] = cell(server, origin, database, prepare, kind)
    results.update(found)
    wrong = {cell: result for cell, result in found.items() if result not in ("fresh", "silent")}
    assert not wrong


def test_a_write_that_is_not_told_is_seen_to_be_stale(server, origin):
    from paths import PATHS

    for name, prepare in PATHS.items():
        result = cell(server, origin, "sqlite", prepare, "untold")
        assert result.startswith("stale: "), f"{name}: {result}"


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("kind", ["autocommit", "atomic"])
def test_a_page_that_was_being_made_during_a_write_is_not_served_after_it(server, database, kind):
    import project
    from shop.models import Product

    Router.database = database
    empty(database)
    row = Product.objects.create(name="old")
    row.name = "new"
    gate = project.Gate()
    project.gates.append(gate)
    with ThreadPoolExecutor() as threads:
        earlier = threads.submit(read, server, "/product/")
        assert gate.has_read.wait(LIMIT_S)
        IN_TRANSACTION[kind](database, row.save)
        later = threads.submit(read, server, "/product/")
        gate.may_answer.set()
        assert '"new"' in later.result() and '"old"' in earlier.result()
    assert '"new"' in read(server, "/product/")


def test_the_table_of_results_is_what_was_found(server):
    assert len(results) >= 35 * len(DATABASES) * len(TRANSACTIONS), "the tests before this one"
    head, _, rest = README.read_text().partition(BEGIN)
    old, _, tail = rest.partition(END)
    if os.environ.get("MATRIX_WRITE") == "1":
        README.write_text(f"{head}{BEGIN}{table()}{END}{tail}")
        return
    # An older Django knows fewer ways.
    assert set(table().splitlines()) <= set(old.splitlines())


def cell(server, origin, database, prepare, kind):
    """Carries out one write; `fresh`, `silent` (nothing told, pages kept), or what is wrong."""
    Router.database = database
    empty(database)
    write, models = prepare()
    pages = addresses(models)
    stale = [page for page in pages if read(server, page) != read_directly(origin, page)]
    if stale:
        return f"stale before: {stale}"
    kept = [page for page in pages if "hit" in status(server, page)]
    if len(kept) != len(pages):
        return f"not cached: {sorted(set(pages) - set(kept))}"
    before = told(server)
    IN_TRANSACTION[kind](database, write)
    pages = sorted({*pages, *addresses(models)})
    stale = [page for page in pages if read(server, page) != read_directly(origin, page)]
    if stale:
        return f"stale: {stale}"
    if kind != "rollback":
        return "fresh" if told(server) > before else "not told"
    if told(server) != before:
        return "told"
    ended = [page for page in kept if "hit" not in status(server, page)]
    return f"ended: {ended}" if ended else "silent"


def autocommit(database, write):
    write()


def atomic(database, write):
    with transaction.atomic(using=database):
        write()


def savepoint(database, write):
    from shop.models import Country

    with transaction.atomic(using=database):
        with transaction.atomic(using=database):
            write()
        with transaction.atomic(using=database):
            Country.objects.create(name="not told")
            transaction.set_rollback(True, using=database)


def rollback(database, write):
    with transaction.atomic(using=database):
        write()
        transaction.set_rollback(True, using=database)


def untold(database, write):
    with override_settings(WASMCACHED=None):
        write()


IN_TRANSACTION = {
    "autocommit": autocommit,
    "atomic": atomic,
    "savepoint": savepoint,
    "rollback": rollback,
    "untold": untold,
}


def addresses(models):
    """The pages of these models: their lists, and one for each row."""
    from project import key_of

    found = []
    for model in models:
        name = model.__name__.lower()
        found.append(f"/{name}/")
        for row in model._base_manager.all():
            found.append(f"/{name}/{quote(key_of(row), safe='')}/")
    return found


def read(server, page):
    answer = request(server.url("pages", page))
    assert answer.status == 200, answer
    return answer.text


def read_directly(origin, page):
    answer = request(origin + page)
    assert answer.status == 200, answer
    return answer.text


def status(server, page):
    return request(server.url("pages", page)).fields["cache-status"]


def told(server):
    """The number of the last message that the server has taken."""
    [newest] = request(server.url("api", "/v1/events?limit=1")).json()["events"]
    return int(newest["sequence"])


def empty(database):
    """Empties all tables, and what is cached of them."""
    connection = connections[database]
    tables = [name for name in connection.introspection.table_names() if name.startswith("shop_")]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            names = ", ".join(f'"{name}"' for name in tables)
            cursor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")
        else:
            cursor.execute("PRAGMA foreign_keys = OFF")
            for name in tables:
                cursor.execute(f'DELETE FROM "{name}"')
            cursor.execute("PRAGMA foreign_keys = ON")
    import wasmcached
    from django.apps import apps

    wasmcached.changed(*apps.get_app_config("shop").get_models(), using=database)


def table():
    """The results in Markdown."""
    lines = [
        "| write | " + " | ".join(TRANSACTIONS) + " |",
        "|---" * (len(TRANSACTIONS) + 1) + "|",
    ]
    for name in dict.fromkeys(name for name, _, _ in results):
        cells = []
        for kind in TRANSACTIONS:
            by_database = {results[name, database, kind] for database in DATABASES}
            cells.append(" / ".join(sorted(by_database)))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
