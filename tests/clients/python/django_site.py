"""A Django site in one file, as an origin: prints its port, serves until it is killed."""

import hashlib
from itertools import count
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.http import condition
from django.views.decorators.vary import vary_on_headers

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    # cache_page of Django itself keeps nothing: what is asked for again shows in the counter.
    CACHES={"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}},
)
django.setup()

built = count(1)


@cache_page(600)
def kept(request):
    return HttpResponse(f"built {next(built)}")


@cache_page(600)
@vary_on_headers("Accept-Language")
def by_language(request):
    return HttpResponse(f"in {request.headers.get('Accept-Language')}, built {next(built)}")


@cache_page(600)
def long(request):
    return HttpResponse("long text " * 1000)


def version(request):
    return hashlib.sha256(b"the text").hexdigest()


@cache_control(no_cache=True)
@condition(etag_func=version)
def validated(request):
    return HttpResponse(f"the text, built {next(built)}")


@cache_page(600)
def session(request):
    request.session["seen"] = request.session.get("seen", 0) + 1
    return HttpResponse(f"seen {request.session['seen']}, built {next(built)}")


@cache_page(600)
def form(request):
    return HttpResponse(f"<input name=csrfmiddlewaretoken value={get_token(request)}>")


@never_cache
def never(request):
    return HttpResponse(f"built {next(built)}")


def posted(request):
    return JsonResponse({"name": request.POST.get("name")})


urlpatterns = [
    path("kept", kept),
    path("language", by_language),
    path("long", long),
    path("validated", validated),
    path("session", session),
    path("form", form),
    path("never", never),
    path("posted", posted),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *arguments):
        pass


if __name__ == "__main__":
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet) as server:
        print(f"port {server.server_port}", flush=True)
        server.serve_forever()
