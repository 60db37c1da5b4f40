"""The line that is named for an exception."""

import json

from wasmcached_plugin import Storage, hooks, plugin
from wasmcached_plugin._place import place_of
from wasmcached_plugin.testing import get


def caught(do):
    try:
        do()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def line_of(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


def test_a_refused_value_is_named_where_the_plugin_gave_it():
    refused = lambda: Storage.keep().ttl(1.5)  # noqa: E731
    assert place_of(caught(refused)) == line_of(refused)
    parsed = lambda: json.loads("{bad")  # noqa: E731
    assert place_of(caught(parsed)) == line_of(parsed)


@plugin(name="textual")
class Textual:
    def cache_key(self, request):
        return request.path


def test_a_wrong_answer_is_named_by_the_hook_that_gave_it():
    request = get("https://s/a").to_request(())
    error = caught(lambda: hooks.cache_key(Textual(), request))
    error.__traceback__ = error.__traceback__.tb_next.tb_next
    assert place_of(error, Textual.cache_key) == line_of(Textual.cache_key)
    assert place_of(error) == "?"
