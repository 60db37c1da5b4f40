"""The application of the matrix: the models of the app's own tests, and pages that show them."""

import json
import threading

from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpResponse
from django.urls import path
from django.views.decorators.cache import cache_control

from shop import models


def model_of(name):
    """The model of a page's address."""
    try:
        return {model.__name__.lower(): model for model in vars(models).values() if _is(model)}[
            name
        ]
    except KeyError:
        raise Http404 from None


def key_of(row):
    """A row's key as addresses have it."""
    return json.dumps(row.pk, cls=Encoder, separators=(",", ":"))


class Encoder(DjangoJSONEncoder):
    """Bytes too."""

    def default(self, value):
        return value.hex() if isinstance(value, bytes) else super().default(value)


class Gate:
    """Where a page waits between reading its rows and answering, if a test wants it to."""

    def __init__(self):
        self.has_read, self.may_answer = threading.Event(), threading.Event()


#: The gate of the next list that is asked for.
gates = []


@cache_control(max_age=600)
def listing(request, name):
    """All rows of a model, with what is related to them."""
    rows = model_of(name)._base_manager.order_by("pk")
    text = json.dumps([shown(row) for row in rows])
    if gates:
        gate = gates.pop()
        gate.has_read.set()
        gate.may_answer.wait(30)
    return HttpResponse(text)


@cache_control(max_age=600)
def row(request, name, key):
    """One row, found by its key."""
    model = model_of(name)
    value = json.loads(key)
    if model is models.Digest:
        value = bytes.fromhex(value)
    found = model._base_manager.filter(
        pk=tuple(value) if isinstance(value, list) else value
    ).first()
    return HttpResponse(json.dumps(shown(found)) if found else "none")


def shown(row):
    """A row as text: its fields, and the names of what it is related to."""
    fields = {
        field.attname: str(getattr(row, field.attname)) for field in row._meta.concrete_fields
    }
    for name in ("labels", "products"):
        if hasattr(row, name):
            fields[name] = sorted(getattr(row, name).values_list("name", flat=True))
    return fields


def _is(model):
    return isinstance(model, type) and issubclass(model, models.models.Model)


urlpatterns = [path("<name>/", listing), path("<name>/<path:key>/", row)]
