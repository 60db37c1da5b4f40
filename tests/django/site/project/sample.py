"""Sample rows."""

from django.contrib.auth import get_user_model
from mail.models import Message
from news.models import Article
from treks.models import Photo, Trek
from waiting.models import Item


def make_rows():
    """Members with a message each, two treks with a photo each, a queue and an article."""
    members = get_user_model().objects
    for name in ("ada", "bob"):
        member = members.create_user(name)
        Message.objects.bulk_create([Message(recipient=member, subject=f"welcome, {name}")])
    for slug in ("annapurna", "everest"):
        trek = Trek.objects.create(slug=slug, name=slug.title())
        Photo.objects.bulk_create([Photo(trek=trek, title="base camp")])
    Item.objects.bulk_create([Item(name="first")])
    Article.objects.bulk_create([Article(slug="opening", title="We are open")])
