// Which page shows what, and what a saved product makes wrong.
import { Key, Storage, hardTag, header, plugin } from 'wasmcached-plugin';

export default plugin({
  name: 'shop',
  keyEpoch: 1,
  inputs: [header('accept-language')],

  cacheKey(request) {
    // One page per language, whatever the campaign.
    const language = (request.header('accept-language') ?? 'en').slice(0, 2).toLowerCase();
    return Key.of(request).dropQuery('utm_*').sortQuery().with('lang', language);
  },

  onStore(key, request, response) {
    const slug = /^\/products\/([^/]+)/.exec(request.path)?.[1];
    if (slug === undefined) return Storage.keep();
    return Storage.keep().tags(['model:shop.product', `product:${slug}`]);
  },

  onEvent(event) {
    if (event.model !== 'shop.product') return [];
    const slugs = ['before.slug', 'after.slug'].map((path) => event.text(path));
    const known = new Set(slugs.filter((slug) => slug !== null));
    if (known.size === 0) throw new Error(`${event.model} ${event.objectId}: no slug`);
    return [...known].map((slug) => hardTag(`product:${slug}`));
  },
});
