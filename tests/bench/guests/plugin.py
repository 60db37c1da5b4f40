"""A key of its inputs, as authors write them."""

from wasmcached_plugin import Key, header, plugin

NAMES = ["x-1", "x-2", "x-3", "x-4", "x-5", "x-6"]


@plugin(name="keys", inputs=[header(name) for name in NAMES])
class Keys:
    def cache_key(self, request):
        key = Key.of(request)
        for name in NAMES:
            value = request.header(name)
            if value is not None:
                key = key.with_(name, value)
        return key
