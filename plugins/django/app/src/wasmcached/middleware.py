"""Middleware that tags answers with what they show, so that they are dropped when it changes.

    MIDDLEWARE = ["wasmcached.middleware.TagsMiddleware", ...]

First in the list: what other middleware reads counts too. Only answers to GET and HEAD are tagged.
What is read while a streaming answer is being sent comes too late for its fields, so shared caches
are told not to keep such an answer.
"""

from __future__ import annotations

from contextlib import contextmanager

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from . import conf, delivery, reads

#: Tags on one answer: a server keeps 64, of which a plugin may add some.
TAGS_MAX = 48

#: The field that tells caches in front of the application, and not browsers (RFC 9213).
_TARGETED = "CDN-Cache-Control"

DEBUG_FIELD = "X-Wasmcached-Debug"


class TagsMiddleware:
    """Writes the field that `TAG_FIELD` names; for synchronous and asynchronous applications."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request):
        if self._is_async:
            return self._answer_later(request)
        with _watched() as seen:
            response = self.get_response(request)
        return _tagged(request, response, *seen)

    async def _answer_later(self, request):
        with _watched() as seen:
            response = await self.get_response(request)
        return _tagged(request, response, *seen)


@contextmanager
def _watched():
    with reads.gathered() as read, delivery.logged() as delivered:
        yield read, delivered


def _tagged(request, response, read, delivered):
    settings = conf.current()
    tags = read.tags(TAGS_MAX)
    if settings.is_on and request.method in ("GET", "HEAD"):
        if not read.is_complete or len(tags) > TAGS_MAX or _reads_on(response, tags):
            response.headers[_TARGETED] = "no-store"
        elif tags:
            _add(response, settings.tag_field, tags)
    if settings.debug:
        response.headers[DEBUG_FIELD] = _debug(tags, delivered)
    return response


def _add(response, field, tags):
    """Adds tags to those that the view has written itself."""
    if field == "Cache-Groups":
        # Strings of a structured list (RFC 9651, section 3.3.3); tags of ours need no escapes.
        value, separator = ", ".join(f'"{tag}"' for tag in tags), ", "
    else:
        value, separator = " ".join(tags), " "
    before = response.headers.get(field)
    response.headers[field] = f"{before}{separator}{value}" if before else value


def _debug(tags, delivered):
    told = "; ".join(f"{message} to {url}: {outcome}" for message, url, outcome in delivered)
    return f"tags: {' '.join(tags) or 'none'}" + (f"; told: {told}" if told else "")


def _reads_on(response, tags):
    """Whether rows may be read while the answer is sent; a file has none."""
    is_file = getattr(response, "file_to_stream", None) is not None
    return getattr(response, "streaming", False) and (bool(tags) or not is_file)
