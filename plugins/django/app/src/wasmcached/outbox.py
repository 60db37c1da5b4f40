"""The outbox: what is committed is noted in the same transaction, sent after it, deleted once every
server has acknowledged it.

Invariants:
- A change and its note are committed both or neither, also when the process dies in between.
- Numbers of a source have no gaps and follow the order of commits: they are counted in the
  transaction itself, at its end, so that others wait shortly.
- Sending again is harmless; the relay and a request may send the same note.
"""

from __future__ import annotations

import json
import logging
import time

from django.db.models import F

from . import conf, delivery, messages, resending

logger = logging.getLogger("wasmcached")

#: How long a server that failed is not waited for again by requests. The relay gets through to it.
REST_S = 1.0

_resting_until_s = {}


def note(using, changes):
    """Notes changes that are about to be committed on a connection. Returns the row.

    Very many changes become one message of whole models, because a message has one number.
    """
    from .models import Counter, Note

    source = conf.current().source
    events = changes.as_json()
    if len(messages.parts_of(events)) > 1:
        for model in list(changes.models):
            changes.add_whole(model, using)
        events = changes.as_json()
    counters = Counter.objects.using(using).filter(source=source)
    if not counters.update(number=F("number") + 1):
        Counter.objects.using(using).bulk_create([Counter(source=source)], ignore_conflicts=True)
        counters.update(number=F("number") + 1)
    number = counters.values_list("number", flat=True).get()
    message = messages.message(events, number)
    row = Note(
        source=source,
        number=number,
        message=message.id,
        body=message.body.decode(),
        servers=" ".join(conf.current().urls),
    )
    row.save(using=using, force_insert=True)
    return row


def send(row):
    """Sends a note that was just committed, within the budget; what remains is the relay's."""
    if delivery.is_recording():
        delivery.deliver(json.loads(row.body)["data"]["events"])
        _keep(row, [])
        return
    settings = conf.current()
    deadline = time.monotonic() + settings.budget_ms / 1000
    urls = row.servers.split()
    left = []
    for n, url in enumerate(urls):
        timeout_s = (deadline - time.monotonic()) / (len(urls) - n)
        is_resting = time.monotonic() < _resting_until_s.get(url, 0)
        if is_resting or not delivery.send(url, message_of(row), timeout_s):
            left.append(url)
            if not is_resting:
                _resting_until_s[url] = time.monotonic() + REST_S
    _keep(row, left)


def relay(using, limit=100):
    """Sends the oldest notes, to each server in their order; how many are done and how many wait.

    Outside of transactions, so that nobody waits for a server that doesn't answer. Two relays at
    once do some work twice, which harms nothing.
    """
    from .models import Note

    done, stuck = 0, set()
    for row in Note.objects.using(using).order_by("id")[:limit]:
        left = []
        for url in row.servers.split():
            if url not in conf.current().urls:
                logger.error("%s is no server any more; note %s is not for it", url, row)
            elif url in stuck or not delivery.send(url, message_of(row), resending.ATTEMPT_S):
                stuck.add(url)
                left.append(url)
        _keep(row, left)
        done += not left
    return done, Note.objects.using(using).count()


def message_of(row):
    """The message that a row notes."""
    return messages.Message(row.message, row.body.encode())


def _keep(row, servers):
    # By query: another sender may have deleted it.
    found = type(row).objects.using(row._state.db).filter(pk=row.pk)
    if not servers:
        found.delete()
    elif servers != row.servers.split():
        found.update(servers=" ".join(servers))
