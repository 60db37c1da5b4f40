"""A queue."""

import json

from django.db import models
from project.events import announce


class Item(models.Model):
    """Something that waits."""

    name = models.CharField(max_length=100)

    def save(self, *arguments, **options):
        super().save(*arguments, **options)
        _announce(self.pk, "create")

    def delete(self, *arguments, **options):
        pk = self.pk
        done = super().delete(*arguments, **options)
        _announce(pk, "update")
        return done


def names():
    """The names of everything that waits, in order, as JSON."""
    return json.dumps(list(Item.objects.order_by("pk").values_list("name", flat=True)))


def _announce(pk, op):
    """With the whole list as it is now, for a cache that writes it."""
    announce("waiting.item", pk, op, after={"queue": names()})
