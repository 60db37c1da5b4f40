"""Telling the cache of changes without the app: a signed event per change, after the commit.

Standard Webhooks 1.0. Not here: retries, batches, writes without `save()`; that is what the app is.
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.request
import uuid

from django.conf import settings
from django.db import transaction


def announce(model, pk, op="update", before=None, after=None, changed=()):
    """Sends a change once the transaction is committed; returns when the cache has obeyed."""
    if settings.EVENTS != "models":
        return
    change = {"model": model, "pk": pk, "op": op, "changed": list(changed)}
    change |= {"before": before or {}, "after": after or {}}
    transaction.on_commit(lambda: _post(change))


def _post(change):
    webhook = settings.WEBHOOK
    # Grows from event to event, also over a restart.
    data = {"seq": time.time_ns() // 1000, "events": [change]}
    body = json.dumps({"type": "model.changed", "data": data}).encode()
    number, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    key = base64.b64decode(webhook["secret"].removeprefix("whsec_"))
    signed = f"{number}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    request = urllib.request.Request(
        f"{webhook['url']}/v1/events/{webhook['source']}",
        data=body,
        headers={
            "content-type": "application/json",
            "webhook-id": number,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature}",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200, answer.status
