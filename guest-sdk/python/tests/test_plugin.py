"""The decorator, and how hooks are asked."""

import pytest
from wasmcached_plugin import (
    Event,
    Key,
    Storage,
    UndeclaredInput,
    cache,
    cookie,
    hard_key,
    hard_tag,
    header,
    hooks,
    log,
    plugin,
    put,
    query_param,
)
from wasmcached_plugin.testing import (
    UnclearInput,
    actions,
    cached,
    configured,
    event,
    get,
    item_storage,
    key,
    response,
    storage,
)


@plugin(
    name="shop",
    key_epoch=3,
    inputs=[header("Accept-Language"), cookie("tier"), query_param("page")],
    item_prefixes=["frag:"],
)
class Shop:
    currency = "EUR"

    def configure(self, config):
        for name, value in config.items():
            if name != "currency":
                raise ValueError(f"no setting {name}")
            self.currency = value

    def cache_key(self, request):
        if request.path == "/undeclared":
            return Key.exactly(str(request.cookie("session")))
        made = Key.of(request).keep_query().with_("lang", request.header("accept-language") or "-")
        made = made.with_("tier", request.cookie("tier") or "-")
        return made.with_("page", request.query_param("page") or "-").with_("in", self.currency)

    def on_store(self, key, request, response):
        return Storage.keep().tag(key).tags(response.header_list("x-models"))

    def on_item(self, key, flags, body_size):
        return Storage.keep().tag(f"{key}:{flags}:{body_size}")

    def on_event(self, event):
        if event.text("after.lines.0.sku"):
            yield hard_tag(event.text("after.lines.0.sku"))


def test_declared_inputs_are_seen_whatever_the_case_of_fields():
    request = get("https://s/a?x=1&page=2").header("accept-LANGUAGE", "de").cookie("tier", "gold")
    assert key(Shop, request) == "http://s/a|lang=de|tier=gold|page=2|in=EUR"
    assert key(Shop, get("https://s")) == "http://s/|lang=-|tier=-|page=-|in=EUR"


def test_a_plugin_sees_of_a_request_what_the_server_would_show_it():
    request = get("https://s/?page=%32&x=1&x=2").header("accept-language", "de")
    request = request.header("Accept-Language", "en").header("cookie", "a=1; a=2; tier= gold ")
    assert key(Shop, request) == "http://s/|lang=de,%20en|tier=gold|page=%2532|in=EUR"
    cookies = get("https://s/").cookie("a", "1").cookie("b", "2").to_request((header("cookie"),))
    assert cookies.header("Cookie") == "a=1; b=2"


@pytest.mark.parametrize(
    "request_",
    [
        get("https://s/?page=1&page=2"),
        get("https://s/?p%61ge=1"),
        get("https://s/").cookie("tier", "a").cookie("tier", "b"),
        get("https://s/").header("cookie", "tier=a").cookie("tier", "a"),
        get("https://s/").header("cookie", "tier"),
    ],
)
def test_what_the_server_would_not_ask_a_plugin_about_raises_in_tests(request_):
    with pytest.raises(UnclearInput, match="policy-input-unclear"):
        key(Shop, request_)


def test_reading_what_is_not_declared_raises_in_tests():
    request = get("https://s/undeclared").cookie("session", "1")
    with pytest.raises(UndeclaredInput) as refused:
        key(Shop, request)
    words = 'cookie "session" is not declared; add cookie("session") to inputs'
    assert str(refused.value) == words


def test_settings_reach_the_plugin_and_one_without_any_refuses_them():
    assert "in=USD" in str(key(configured(Shop, {"currency": "USD"}), get("https://s/")))
    with pytest.raises(ValueError, match="no setting colour"):
        configured(Shop, {"colour": "red"})
    with pytest.raises(ValueError, match="unknown setting `colour`; there are none"):
        configured(Eventful, {"colour": "red"})


def test_the_decorator_keeps_what_the_server_is_told():
    info = hooks.info_of(Shop)
    assert (info.name, info.version, info.key_epoch, info.pure) == ("shop", "0.1.0", 3, True)
    assert info.inputs == (header("accept-language"), cookie("tier"), query_param("page"))


def test_pages_and_items_are_tagged_by_what_is_seen_of_them():
    answered = response(200).header("X-Models", "a, b").header("x-models", ",c ")
    stored = storage(Shop, get("https://s/"), answered)
    assert stored.all_tags == ("http://s/|lang=-|tier=-|page=-|in=EUR", "a", "b", "c")
    assert answered.to_response().header("x-MODELS") == "a, b"
    assert item_storage(Shop, "frag:1", 2, 3).all_tags == ("frag:1:2:3",)


def test_payloads_are_looked_up_by_path():
    bought = event("shop.order").id(5).field("after.lines", [{"sku": 17}]).changed("lines")
    assert actions(Shop, bought) == [hard_tag("17")]
    seen = bought.operation("created").to_event()
    assert (seen.object_id, seen.operation) == ("5", "created")
    assert seen.changed("lines") and not seen.changed("total")
    assert seen.field("after.missing") is None and seen.field("after.lines.1") is None
    assert seen.text("after.lines") is None
    assert actions(Shop, event("shop.order")) == []


def test_numbers_and_truth_values_are_text_as_json_has_them():
    big = 2**64
    seen = event("m").field("a.big", big).field("a.yes", True).field("a.half", 0.5).to_event()
    assert [seen.text(f"a.{name}") for name in ("big", "yes", "half")] == [str(big), "true", "0.5"]


def of_payload(payload):
    return Event(**event("m")._parts, payload=payload)


@pytest.mark.parametrize(
    "number",
    ["18446744073709551616", "12345678901234567890123", "1.10", "1e2", "1E+2", "-0", "-0.0", "0.1"]
    + ["1234567890.12345678901234567890", "9" * 5000],
)
def test_the_text_of_a_number_has_the_digits_that_were_sent(number):
    seen = of_payload(f'{{"pk": {number}, "list": [{number}]}}')
    assert (seen.text("pk"), seen.text("list.0")) == (number, number)
    assert f"{seen.field('pk')}" == number


def test_numbers_are_still_numbers():
    seen = of_payload('{"price": 1.10, "count": 5, "much": 1e2}')
    assert seen.field("price") * 2 == 2.2 and seen.field("count") + 1 == 6
    assert seen.payload == {"price": 1.1, "count": 5, "much": 100.0}


def test_a_payload_that_is_no_json_is_none():
    broken = of_payload("{")
    assert broken.payload is None and broken.field("a") is None


@plugin(name="eventful")
class Eventful:
    answer = None

    def on_event(self, event):
        return self.answer


@pytest.mark.parametrize("answer", [None, "tag", hard_tag("a"), ["tag"], [None]])
def test_an_answer_that_is_no_list_of_actions_is_an_error(answer):
    made = configured(Eventful, {})
    made.answer = answer
    with pytest.raises(TypeError, match="^on_event returned "):
        actions(made, event("m"))


def test_what_a_generator_returns_in_the_end_is_refused():
    @plugin(name="mixed")
    class Mixed:
        def on_event(self, event):
            if event.text("slug") is None:
                return [hard_tag("pages")]
            yield hard_tag(event.text("slug"))

    assert actions(Mixed, event("m").field("slug", "a")) == [hard_tag("a")]
    with pytest.raises(TypeError, match="'pages'.* only what it yields counts"):
        actions(Mixed, event("m"))


def test_hooks_that_a_plugin_leaves_out_have_the_servers_answers():
    assert key(Eventful, get("https://s/a?b")) == "http://s/a?b"
    assert storage(Eventful, get("https://s/a")) == Storage.keep()


def test_a_key_of_another_type_is_an_error():
    @plugin(name="textual")
    class Textual:
        def cache_key(self, request):
            return request.path

    with pytest.raises(TypeError, match="cache_key returned '/a'; a Key is wanted"):
        key(Textual, get("https://s/a"))


@pytest.mark.parametrize(
    ("given", "body", "words"),
    [
        ({}, {}, "X has no hook; there are cache_key, on_store, on_item, on_event"),
        ({}, {"on_events": print}, "X.on_events is no hook"),
        ({}, {"on_event": print, "cachekey": print}, "X.cachekey is no hook; there are cache_key"),
        ({}, {"on_event": print, "cacheKey": print}, "X.cacheKey is no hook"),
        ({}, {"on_event": print, "onStore": print}, "X.onStore is no hook"),
        ({}, {"on_event": print, "configured": print}, "X.configured is no hook"),
        ({}, {"on_item": print}, "X has on_item and no item_prefixes, so it is never asked"),
        ({"item_prefixes": ["a"]}, {"on_event": print}, "X has item_prefixes and no on_item"),
        ({"inputs": ["cookie"]}, {"on_event": print}, "input 'cookie' is none"),
        ({"item_prefixes": "frag:"}, {"on_item": print}, "item_prefixes are 'frag:'; a list"),
    ],
)
def test_what_can_not_be_a_plugin_is_refused_by_the_decorator(given, body, words):
    with pytest.raises(TypeError) as refused:
        plugin(name="x", **given)(type("X", (), body))
    assert str(refused.value).startswith(words)


def test_a_name_that_can_be_no_file_is_refused():
    with pytest.raises(ValueError, match="name is 'a/b'"):
        plugin(name="a/b")


def test_lines_of_the_log_go_to_standard_error(capsys):
    log.warn("odd")
    assert capsys.readouterr().err == "Warn: odd\n"


def test_a_url_without_a_host_is_no_request():
    with pytest.raises(ValueError, match="'/a' is no URL with a host"):
        get("/a")


@plugin(name="queue")
class Queue:
    def cache_key(self, request):
        return Key.exactly(",".join(cache.tags(request.path)))

    def on_event(self, event):
        found = cache.get("list")
        if found is None:
            return [hard_key("list")]
        return [put("list", found.value + event.text("after.text").encode(), ttl_s=found.ttl_s)]


def test_look_ups_find_what_the_test_has_put_there_and_nothing_later():
    added = event("queue.message").field("after.text", "b")
    with cached("list", cache.Entry(b"a", ttl_s=60), ["queue"]):
        assert actions(Queue, added) == [put("list", b"ab", ttl_s=60)]
        assert cache.tags("list") == ["queue"]
    assert actions(Queue, added) == [hard_key("list")]
    assert cache.tags("list") == []


def test_a_key_that_looks_something_up_raises():
    words = "look-ups are for on_store, on_item and on_event"
    with pytest.raises(cache.LookUpRefused, match=words):
        key(Queue, get("https://s/a"))
    assert cache.get("a") is None
