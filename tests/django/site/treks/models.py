"""Treks and their photos."""

from django.db import models
from project.events import announce


class Trek(models.Model):
    """A trek, known by its slug."""

    slug = models.SlugField(primary_key=True)
    name = models.CharField(max_length=100)


class Photo(models.Model):
    """A photo of a trek."""

    trek = models.ForeignKey(Trek, on_delete=models.CASCADE)
    title = models.CharField(max_length=100)

    def save(self, *arguments, **options):
        before = Photo.objects.filter(pk=self.pk).values("trek").first()
        super().save(*arguments, **options)
        after = {"trek": self.trek_id}
        if before:
            announce("treks.photo", self.pk, before=before, after=after)
        else:
            announce("treks.photo", self.pk, "create", after=after)
