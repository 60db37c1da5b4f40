"""Logging in, for everybody who has a row."""

from django.contrib.auth import get_user_model, login
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST


@never_cache
@csrf_exempt
@require_POST
def log_in(request):
    user = get_user_model().objects.get(username=request.POST["username"])
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(f"hello {user.username}")
