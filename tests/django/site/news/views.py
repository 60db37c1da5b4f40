"""Articles for anonymous readers and members."""

from datetime import datetime, timedelta, timezone

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_POST
from django.views.decorators.vary import vary_on_cookie
from news.models import Article
from project.slow import slowly_built

FOUNDED = datetime(2026, 1, 1, tzinfo=timezone.utc)


@cache_page(600)
@vary_on_cookie
def front_page(request):
    newest = Article.objects.latest("pk").title
    return HttpResponse(f"news for {_name(request)}: {newest}, built {slowly_built()}")


@cache_control(private=True, max_age=600)
def account(request):
    return HttpResponse(f"account of {_name(request)}, built {slowly_built()}")


@never_cache
def live(request):
    return HttpResponse(f"live, built {slowly_built()}")


def _etag(request, slug):
    article = get_object_or_404(Article, slug=slug)
    return f'"{slug}-{article.edition}"'


def _edited(request, slug):
    return FOUNDED + timedelta(seconds=get_object_or_404(Article, slug=slug).edition)


@cache_control(public=True, max_age=600)
@condition(etag_func=_etag, last_modified_func=_edited)
def article(request, slug):
    shown = get_object_or_404(Article, slug=slug)
    return HttpResponse(f"{shown.title}, built {slowly_built()}")


@csrf_exempt
@require_POST
def edit(request, slug):
    edited = get_object_or_404(Article, slug=slug)
    edited.title, edited.edition = request.POST["title"], edited.edition + 1
    edited.save()
    return HttpResponse("edited")


def _name(request):
    return request.user.username or "everybody"
