"""Writers and readers at the same time: nothing older than what a call has returned for is read,
and the outbox counts without gaps."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.db.models import F
from django.test import override_settings

from harness import request
from routing import DATABASES, Router

WRITES, READERS = 120, 3
COMMITS, WRITERS = 15, 6


class Rollback(Exception):
    """Nothing of it happened."""


def by_save(row):
    row.price += 1
    row.save()


def by_update(row):
    type(row).objects.filter(name=row.name).update(price=F("price") + 1)


def in_a_transaction(row):
    with transaction.atomic(using=Router.database):
        by_update(row)
        with transaction.atomic(using=Router.database):
            by_update(row)


@pytest.mark.parametrize("database", DATABASES)
def test_no_reader_sees_less_than_what_a_write_has_returned_for(server, database):
    from shop.models import Product
    from test_matrix import empty

    Router.database = database
    empty(database)
    row = Product.objects.create(name="a", slug="a")
    pages = ["/product/", f"/product/{row.pk}/"]
    known, is_over, hits = [0], threading.Event(), []

    def keep_reading(page):
        count = 0
        while not is_over.is_set() or not count:
            least = known[0]
            answer = request(server.url("pages", page))
            price = int(answer.text.partition('"price": "')[2].partition('"')[0])
            assert price >= least, f"{page}: {price} after {least}: {answer.fields}"
            hits.append("hit" in answer.fields["cache-status"])
            count += 1

    with ThreadPoolExecutor() as threads:
        readers = [threads.submit(keep_reading, pages[n % 2]) for n in range(READERS)]
        try:
            for n in range(WRITES):
                [by_save, by_update, in_a_transaction][n % 3](row)
                row.refresh_from_db()
                known[0] = row.price
        finally:
            is_over.set()
        for reader in readers:
            reader.result()
    assert not all(hits)
    for _ in range(2):
        last = request(server.url("pages", pages[0])).fields["cache-status"]
    assert "hit" in last, "the pages are cached"


def test_the_outbox_counts_without_gaps_whoever_commits_and_rolls_back(server):
    from receiver import receiver
    from shop.models import Label
    from test_matrix import empty
    from wasmcached.models import Counter, Note

    Router.database = "postgres"
    empty("postgres")

    def keep_writing(writer):
        try:
            for n in range(COMMITS):
                try:
                    with transaction.atomic(using="postgres"):
                        Label.objects.create(name=f"{writer} {n}")
                        if n % 3 == 0:
                            raise Rollback
                except Rollback:
                    pass
        finally:
            connections.close_all()

    with receiver() as shop:
        given = {**settings.WASMCACHED, "URL": shop.url, "OUTBOX": "db"}
        with override_settings(WASMCACHED=given), ThreadPoolExecutor(WRITERS) as threads:
            for writer in [threads.submit(keep_writing, n) for n in range(WRITERS)]:
                writer.result()
        numbers = [body["data"]["seq"] for _, _, body in shop.received]
        rows = {event["pk"] for event in shop.events}
    assert sorted(numbers) == list(range(1, WRITERS * COMMITS * 2 // 3 + 1))
    assert rows == set(Label.objects.values_list("pk", flat=True))
    assert not Note.objects.exists() and Counter.objects.get().number == len(numbers)
