"""Articles."""

from django.db import models
from project.events import announce


class Article(models.Model):
    """An article; `edition` grows with every change."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=100)
    edition = models.PositiveIntegerField(default=1)

    def save(self, *arguments, **options):
        super().save(*arguments, **options)
        known = {"slug": self.slug}
        announce("news.article", self.pk, before=known, after=known, changed=["title"])
