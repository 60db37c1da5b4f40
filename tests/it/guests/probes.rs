//! What is added to the templates, so that every part of the contract is crossed: settings, items,
//! new values, look-ups, a key that fails, an input that was not declared, and a key of Django's.

/// Pairs of a text that the template has once, and what stands there instead.
pub(super) const PYTHON: [(&str, &str); 4] = [
    (
        "import Key, Storage, hard_tag, header, plugin\n",
        "import Key, Storage, cache, hard_prefix, hard_tag, header, log, plugin, put, refresh\n\
         from wasmcached_plugin.django import Release, make_template_fragment_key\n\
         import logging\n\
         import time\n",
    ),
    ("@plugin(name=\"shop\", ", "@plugin(name=\"shop\", item_prefixes=[\"frag:\"], "),
    (
        "        # One page per language, whatever the campaign.\n",
        r#"        if request.path == "/fails/":
            raise RuntimeError("no key")
        if request.path == "/clock/":
            return Key.exactly(str(time.time()))
        if request.path == "/prints/":
            print("printed", "/prints/")
            logging.warning("logged")
        if request.path == "/refused/":
            return Key.exactly(5)
        if request.path == "/nothing/":
            return None
        if request.path == "/looks/":
            return Key.exactly(str(cache.get("any")))
        if request.path == "/undeclared/":
            return Key.exactly(f"saw:{request.cookie('session')}")
        if request.path == "/bypass/":
            return Key.bypass()
        if request.path == "/fragment/":
            return Key.exactly(make_template_fragment_key(Release("6.1"), "menu", ["é"]))
"#,
    ),
    (
        "    def on_event(self, event):\n",
        r#"    def configure(self, config):
        self.ttl_s = int(config["ttl_s"])

    def on_item(self, key, flags, body_size):
        return Storage.keep().ttl(self.ttl_s).tag(f"item:{flags}:{body_size}")

    def on_event(self, event):
        if event.model == "shop.banner":
            size = event.text("after.size")
            log.info(f"banner {event.operation} {event.text('after.text')} {size}")
            text = event.text("after.text")
            banner = put("banner", text, ttl_s=self.ttl_s, tags=["banners"])
            return [banner, hard_prefix("frag:"), refresh(event.text("after.url"))]
        if event.model == "shop.copy":
            source = event.text("after.from")
            found, tags, nothing = cache.get(source), cache.tags(source), cache.get("nothing")
            known = f" {found.flags} {found.ttl_s is None} {','.join(tags)} {nothing is None}"
            return [put("copy", found.value + known.encode())]
"#,
    ),
];

/// The same for JavaScript.
pub(super) const JAVASCRIPT: [(&str, &str); 4] = [
    (
        "import { Key, Storage, hardTag, header, plugin } from",
        "import { Release, makeTemplateFragmentKey } from 'wasmcached-plugin/django';\n\
         import { Key, Storage, cache, hardPrefix, hardTag, header, log, plugin, put, refresh } \
         from",
    ),
    ("  name: 'shop',\n", "  name: 'shop',\n  itemPrefixes: ['frag:'],\n"),
    (
        "    // One page per language, whatever the campaign.\n",
        r"    if (request.path === '/fails/') throw new RangeError('no key');
    if (request.path === '/clock/') return Key.exactly(String(Date.now()));
    if (request.path === '/prints/') {
      console.log('printed', '/prints/', { a: [1] });
      console.assert(false, 'asserted');
    }
    if (request.path === '/refused/') return Key.exactly(5);
    if (request.path === '/nothing/') return undefined;
    if (request.path === '/looks/') return Key.exactly(String(cache.get('any')));
    if (request.path === '/undeclared/') return Key.exactly(`saw:${request.cookie('session')}`);
    if (request.path === '/bypass/') return Key.bypass();
    if (request.path === '/fragment/') {
      return Key.exactly(makeTemplateFragmentKey(new Release('6.1'), 'menu', ['é']));
    }
",
    ),
    (
        "  onEvent(event) {\n",
        r"  configure(config) {
    this.ttlS = Number(config.ttl_s);
  },

  onItem(key, flags, bodySize) {
    return Storage.keep().ttl(this.ttlS).tag(`item:${flags}:${bodySize}`);
  },

  onEvent(event) {
    if (event.model === 'shop.banner') {
      const size = event.text('after.size');
      log.info(`banner ${event.operation} ${event.text('after.text')} ${size}`);
      const text = event.text('after.text');
      const banner = put('banner', text, { ttlS: this.ttlS, tags: ['banners'] });
      return [banner, hardPrefix('frag:'), refresh(event.text('after.url'))];
    }
    if (event.model === 'shop.copy') {
      const source = event.text('after.from');
      const [found, tags, nothing] = [cache.get(source), cache.tags(source), cache.get('nothing')];
      const truth = (is) => (is ? 'True' : 'False');
      const [forEver, none] = [truth(found.ttlS === null), truth(nothing === null)];
      const known = `${found.flags} ${forEver} ${tags} ${none}`;
      return [put('copy', `${found.text()} ${known}`)];
    }
",
    ),
];
