"""Messages between members."""

from django.conf import settings
from django.db import models
from project.events import announce


class Message(models.Model):
    """A message to a member, who is named as the fragments name members."""

    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, to_field="username", on_delete=models.CASCADE
    )
    subject = models.CharField(max_length=100)
    read = models.BooleanField(default=False)

    def save(self, *arguments, **options):
        is_new = self._state.adding
        super().save(*arguments, **options)
        who = {"recipient": self.recipient_id}
        if is_new:
            announce("mail.message", self.pk, "create", after=who)
        else:
            announce("mail.message", self.pk, before=who, after=who, changed=["read"])
