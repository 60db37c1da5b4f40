"""A member's box, with a count of unread messages that takes its time."""

from django.contrib.auth.decorators import login_required
from django.core.cache import cache, caches
from django.core.cache.utils import make_template_fragment_key
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from mail.models import Message
from project.slow import slowly_built


class Unread:
    """A member's unread messages, counted when the template asks."""

    def __init__(self, member):
        self._member = member

    def __str__(self):
        count = Message.objects.filter(recipient=self._member, read=False).count()
        return f"{count} unread, built {slowly_built()}"


@never_cache
@login_required
def box(request):
    return render(request, "mail/box.html", {"unread": Unread(request.user)})


@csrf_exempt
@require_POST
@login_required
def read_all(request):
    """Reads every message; where nobody tells the cache, the view has to find the fragment."""
    for message in Message.objects.filter(recipient=request.user, read=False):
        message.read = True
        message.save(update_fields=["read"])
    if "forget" in request.GET:
        cache.delete(make_template_fragment_key("message-count", [request.user.username]))
    return HttpResponse("read")


@never_cache
def backends(request):
    """What each of the configured caches still has of what was just stored in all of them."""
    for name in caches.settings:
        caches[name].set("where", name)
    return JsonResponse({name: caches[name].get("where") for name in caches.settings})
