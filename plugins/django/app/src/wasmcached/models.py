"""Rows of the outbox: messages that were committed together with what they are about."""

from django.db import models


class Counter(models.Model):
    """The number of a source's last message; changed in the transaction of the message, so that a
    rollback leaves no gap."""

    source = models.CharField(max_length=100, primary_key=True)
    number = models.PositiveBigIntegerField(default=0)


class Note(models.Model):
    """A message that some servers have not acknowledged yet."""

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=100)
    number = models.PositiveBigIntegerField()
    message = models.CharField(max_length=100)
    body = models.TextField()
    #: Addresses of servers, separated by spaces.
    servers = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "number"], name="wasmcached_note_number")
        ]
        verbose_name = "note of the outbox"
        verbose_name_plural = "notes of the outbox"

    def __str__(self):
        return f"{self.source} {self.number}"
