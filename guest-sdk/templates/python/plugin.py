"""Which page shows what, and what a saved product makes wrong."""

from wasmcached_plugin import Key, Storage, hard_tag, header, plugin


@plugin(name="shop", key_epoch=1, inputs=[header("accept-language")])
class Shop:
    def cache_key(self, request):
        # One page per language, whatever the campaign.
        language = (request.header("accept-language") or "en")[:2].lower()
        return Key.of(request).drop_query("utm_*").sort_query().with_("lang", language)

    def on_store(self, key, request, response):
        if not request.path.startswith("/products/"):
            return Storage.keep()
        slug = request.path.split("/")[2]
        return Storage.keep().tags(["model:shop.product", f"product:{slug}"])

    def on_event(self, event):
        if event.model != "shop.product":
            return []
        slugs = {event.text("before.slug"), event.text("after.slug")} - {None}
        if not slugs:
            raise ValueError(f"{event.model} {event.object_id}: no slug")
        return [hard_tag(f"product:{slug}") for slug in sorted(slugs)]
