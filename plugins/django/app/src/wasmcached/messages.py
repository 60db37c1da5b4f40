"""Messages: changes as the bodies that servers take, each within the servers' limits."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from . import conf
from .changes import whole

#: Changes in one message; a server takes 1000.
CHANGES_MAX = 1000

#: Bytes of one message's changes; a server takes 1 MiB, and thin ones are read sooner.
BYTES_MAX = 512 * 1024


@dataclass(frozen=True)
class Message:
    """A message: the same id and body however often it is sent."""

    id: str
    body: bytes

    @property
    def models(self):
        """The models that it speaks of, with the databases that they are in."""
        events = json.loads(self.body)["data"]["events"]
        return {(event["model"], event.get("db")) for event in events}


def compose(events):
    """The messages that say these changes; one unless they are very many."""
    return [message(part) for part in parts_of(events)]


def message(events, number=None):
    """One message; `number` is its place among those of the source, where they are numbered."""
    data = {"source": conf.current().source, "events": events}
    if number is not None:
        data["seq"] = number
    now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
    body = {"type": "model.changed", "timestamp": now, "data": data}
    return Message(f"msg_{uuid.uuid4().hex}", _json(body))


def coarser(refused):
    """The same in fewer words: the models as wholes. For what a server finds too large, or can't
    read. The id is another one, because the body is."""
    events = [whole(model, db) for model, db in sorted(refused.models, key=str)]
    data = json.loads(refused.body)["data"]
    return replace(message(events, data.get("seq")), id=f"{refused.id}_whole")


def parts_of(events):
    """Changes in groups that are small enough for a message each."""
    parts, size = [[]], 0
    for event in events:
        bytes_of_it = len(_json(event))
        if bytes_of_it > BYTES_MAX:
            event = {name: event[name] for name in ("model", "pk", "op", "db")}
            bytes_of_it = len(_json(event))
        if len(parts[-1]) == CHANGES_MAX or size + bytes_of_it > BYTES_MAX:
            parts.append([])
            size = 0
        parts[-1].append(event)
        size += bytes_of_it
    return [part for part in parts if part]


def _json(value):
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # Half a character, which a database may have let through, is no text.
    return text.encode(errors="replace")
