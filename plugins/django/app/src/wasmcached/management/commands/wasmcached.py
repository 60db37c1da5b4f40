"""`manage.py wasmcached`: whether it works, and what to do by hand.

check                          is every server there, and does it know this application?
send MODEL [PK…]               say that rows, or a whole model, were changed
invalidate --model M | --all   say that everything of models was changed
backfill --since TIME          say what was changed since then, by its column of times
relay [--once]                 send what the outbox in the database still has
"""

from __future__ import annotations

import time
from datetime import datetime

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from ... import conf, diagnosis, messages, names, outbox, resending, transport
from ...changes import UPDATE, Change, whole

#: Columns that `backfill` takes for the time of the last change.
TIMES = ("updated_at", "modified_at", "updated", "modified", "changed_at", "last_modified")

#: Rows of a model beyond which `backfill` names it as a whole.
ROWS_MAX = 10_000

#: Between two looks of the relay at an empty outbox.
PAUSE_S = 0.5


class Command(BaseCommand):
    help = "Examine and drive the announcements to wasmcached"

    def add_arguments(self, parser):
        commands = parser.add_subparsers(dest="action", required=True)
        commands.add_parser("check", help="is every server there, and does it know us?")
        send = commands.add_parser("send", help="say that rows, or a whole model, were changed")
        send.add_argument("model")
        send.add_argument("pk", nargs="*")
        send.add_argument("--op", default=UPDATE, choices=("create", "update", "delete"))
        invalidate = commands.add_parser("invalidate", help="say that all of models was changed")
        which = invalidate.add_mutually_exclusive_group(required=True)
        which.add_argument("--model", action="append")
        which.add_argument("--all", action="store_true")
        backfill = commands.add_parser("backfill", help="say what was changed since a time")
        backfill.add_argument("--since", required=True, help="2026-01-02 or 2026-01-02T03:04:05")
        backfill.add_argument("--database", default="default")
        relay = commands.add_parser("relay", help="send what the outbox still has")
        relay.add_argument("--database", default="default")
        relay.add_argument("--once", action="store_true", help="end when each was tried once")

    def handle(self, *args, action, **options):
        if not conf.current().is_on:
            raise CommandError("WASMCACHED names no server: URL is missing")
        getattr(self, f"do_{action}")(**options)

    def do_check(self, **_):
        is_good = True
        for url in conf.current().urls:
            for is_well, text in diagnosis.examine(url):
                is_good &= is_well
                style = self.style.SUCCESS if is_well else self.style.ERROR
                self.stdout.write(style(("ok: " if is_well else "wrong: ") + text))
        if not is_good:
            raise CommandError("not everything works")

    def do_send(self, model, pk, op, **_):
        model = self._model(model)
        label = names.label_of(model)
        if not pk:
            self._post([whole(label, "default")])
            return
        keys = [names.pk_of(model, key) for key in pk]
        self._post([Change(label, key, op).as_json() for key in keys])

    def do_invalidate(self, model, **_):
        chosen = [self._model(name) for name in model or ()] or self._tracked()
        self._post([whole(names.label_of(one), "default") for one in chosen])

    def do_backfill(self, since, database, **_):
        moment = self._moment(since)
        events, without = [], []
        for model in self._tracked():
            fields = {field.name for field in model._meta.concrete_fields}
            column = next((name for name in TIMES if name in fields), None)
            label = names.label_of(model)
            if column is None:
                without.append(label)
                continue
            rows = model._base_manager.using(database).filter(**{f"{column}__gte": moment})
            keys = list(rows.values_list("pk", flat=True)[: ROWS_MAX + 1])
            if len(keys) > ROWS_MAX:
                events.append(whole(label, database))
                continue
            for key in keys:
                pk = names.pk_of(model, key)
                events.append(Change(label, pk, UPDATE, db=database).as_json())
        if without:
            # Nobody knows which of their rows were changed.
            self.stdout.write(f"without a column of times, named as wholes: {', '.join(without)}")
            events += [whole(label, database) for label in without]
        self._post(events)

    def do_relay(self, database, once, **_):
        while True:
            done, waiting = outbox.relay(database)
            if once:
                self.stdout.write(f"{done} sent, {waiting} wait")
                return
            if not done:
                # Nobody else may look at a connection that is kept open for hours.
                connections[database].close_if_unusable_or_obsolete()
                time.sleep(PAUSE_S)

    def _post(self, events):
        if not events:
            self.stdout.write("nothing to say")
            return
        failed = 0
        for message in messages.compose(events):
            for url in conf.current().urls:
                try:
                    transport.post(url, conf.current(), message, resending.ATTEMPT_S)
                except transport.Undelivered as error:
                    failed += 1
                    self.stderr.write(self.style.ERROR(str(error)))
        if failed:
            raise CommandError(f"{failed} messages were not acknowledged")
        self.stdout.write(self.style.SUCCESS(f"{len(events)} changes are acknowledged"))

    def _model(self, name):
        try:
            return apps.get_model(name)
        except (LookupError, ValueError):
            raise CommandError(f"{name!r} is no model; it must be as shop.product") from None

    def _tracked(self):
        models = apps.get_models(include_auto_created=True)
        return [model for model in models if conf.tracks(model) and not model._meta.proxy]

    def _moment(self, text):
        try:
            moment = parse_datetime(text)
            day = parse_date(text) if moment is None else None
        except ValueError as error:
            raise CommandError(f"--since: {error}") from error
        if moment is None and day is None:
            raise CommandError(f"--since is {text!r}; it must be as 2026-01-02T03:04:05")
        if moment is None:
            moment = datetime(day.year, day.month, day.day)
        return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
