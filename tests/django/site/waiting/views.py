"""A list that is slow to read, kept under one key."""

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from project.slow import slowly_built
from waiting.models import Item, names

KEY = "queue"
#: The first remedy against an old list.
LIFETIME_S = getattr(settings, "QUEUE_LIFETIME_S", 300)


@never_cache
def queue(request):
    shown = cache.get(KEY)
    if shown is None:
        slowly_built()
        shown = names()
        cache.set(KEY, shown, LIFETIME_S)
    # What a plugin wrote is bytes: nobody told it how this library marks text.
    return HttpResponse(shown, content_type="application/json")


@csrf_exempt
@require_POST
def add(request):
    Item.objects.create(name=request.POST["name"])
    _changed(request)
    return HttpResponse("added")


@csrf_exempt
@require_POST
def remove(request):
    Item.objects.filter(name=request.POST["name"]).first().delete()
    _changed(request)
    return HttpResponse("removed")


def _changed(request):
    """The second remedy in every view, where nobody tells the cache."""
    if "forget" in request.GET:
        cache.delete(KEY)
