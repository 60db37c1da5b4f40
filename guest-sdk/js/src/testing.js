/**
 * Requests and events for the tests of a plugin, and its answers to them. No server is needed.
 *
 *     test('languages are told apart', () => {
 *       const german = get('https://s/a').header('accept-language', 'de');
 *       assert.equal(key(shop, german), 'http://s/a|lang=de');
 *     });
 *
 * A plugin under test gets what the server would give it: only the inputs that it declared, and no
 * look-ups for a key. The server's limits are not here; `wasmcached plugin check` knows them.
 */

import { Entry, source } from './cache.js';
import { Event } from './event.js';
import { Configured } from './plugin.js';
import { Request, Response } from './request.js';

/** A request with everything that a client sent. Each method returns a changed copy. */
class TestRequest {
  #parts;

  constructor(parts) {
    this.#parts = parts;
  }

  /** With another method. */
  method(method) {
    return new TestRequest({ ...this.#parts, method });
  }

  /** With a request field. */
  header(name, value) {
    const headers = [...this.#parts.headers, [name.toLowerCase(), value]];
    return new TestRequest({ ...this.#parts, headers });
  }

  /** With a cookie. */
  cookie(name, value) {
    return new TestRequest({ ...this.#parts, cookies: [...this.#parts.cookies, [name, value]] });
  }

  /** What a plugin with these inputs sees of it. */
  toRequest(inputs) {
    const { query, headers, cookies } = this.#parts;
    const params = (query ?? '').split('&').map((param) => {
      const [name] = param.split('=', 1);
      return [name, param.slice(name.length + 1)];
    });
    const sent = { header: headers, cookie: cookies, 'query-param': params };
    const valueOf = ({ tag, val }) => sent[tag].find(([name]) => name === val)?.[1] ?? null;
    return new Request(this.#parts, inputs, inputs.map(valueOf));
  }
}

/** A GET of this URL: `https://host/path?query`. @param {string} url */
export function get(url) {
  const parts = /^[a-z]+:\/\/([^/?]+)([^?]*)(?:\?(.*))?$/.exec(url);
  if (parts === null) throw new TypeError(`"${url}" is no URL with a host`);
  const [, host, path, query = null] = parts;
  const sent = { method: 'GET', host, path: path || '/', query, headers: [], cookies: [] };
  return new TestRequest(sent);
}

/** A response that is about to be stored. Each method returns a changed copy. */
class TestResponse {
  #parts;

  constructor(parts) {
    this.#parts = parts;
  }

  /** With a response field. */
  header(name, value) {
    const headers = [...this.#parts.headers, [name.toLowerCase(), value]];
    return new TestResponse({ ...this.#parts, headers });
  }

  /** What the plugin sees. */
  toResponse() {
    return new Response(this.#parts);
  }
}

/** A response with this status. */
export function response(status = 200) {
  return new TestResponse({ status, headers: [], bodySize: null });
}

/** A change of an object. Each method returns a changed copy. */
class TestEvent {
  #parts;
  #payload;

  constructor(parts, payload) {
    this.#parts = parts;
    this.#payload = payload;
  }

  /** With the object's primary key. */
  id(id) {
    return this.#with({ objectId: String(id) });
  }

  /** With another operation: `created`, `updated`, `deleted` or `other`. */
  operation(operation) {
    return this.#with({ operation });
  }

  /** With the name of a changed field. */
  changed(field) {
    return this.#with({ changedFields: [...this.#parts.changedFields, field] });
  }

  /** With a value in the payload: `.field('after.trek', 'everest')`. */
  field(path, value) {
    const payload = structuredClone(this.#payload);
    const names = path.split('.');
    const last = names.pop();
    let place = payload;
    for (const name of names) {
      if (place[name] === null || typeof place[name] !== 'object') place[name] = {};
      place = place[name];
    }
    place[last] = value;
    return new TestEvent(this.#parts, payload);
  }

  /** What the plugin sees. */
  toEvent() {
    return new Event({ ...this.#parts, payload: JSON.stringify(this.#payload) });
  }

  #with(changes) {
    return new TestEvent({ ...this.#parts, ...changes }, this.#payload);
  }
}

/** An update of this model. @param {string} model */
export function event(model) {
  const parts = { id: 'test-1', source: 'test', model, operation: 'updated', objectId: null };
  return new TestEvent({ ...parts, changedFields: [], occurredAt: '' }, {});
}

/** The plugin with these settings; throws what it refuses them with. */
export function configured(plugin, config) {
  return new Configured(plugin, config);
}

/** The text of the plugin's key of the request; throws what the plugin throws. */
export function key(plugin, request) {
  const made = configuredOf(plugin);
  return keyOf(made, request.toRequest(made.plugin.manifest.inputs));
}

function keyOf(made, request) {
  source.isKeying = true;
  try {
    return made.cacheKey(request).toString();
  } finally {
    source.isKeying = false;
  }
}

/**
 * Has look-ups find entries while `ask` runs, and returns what it returns:
 *
 *     withCached({ 'queue:list': { value: 'a', tags: ['queue'] } }, () => actions(queue, added))
 *
 * @param {Record<string, { value: string | Uint8Array, flags?: number, ttlS?: number | null,
 *   ageS?: number, tags?: string[] }>} entries
 */
export function withCached(entries, ask) {
  const before = source.cached;
  const made = Object.entries(entries).map(([key, entry]) => [key, new Entry(entry)]);
  source.cached = new Map([...before, ...made]);
  try {
    return ask();
  } finally {
    source.cached = before;
  }
}

/** What the plugin says about storing the response under its own key of the request. */
export function storage(plugin, request, given = response()) {
  const made = configuredOf(plugin);
  const seen = request.toRequest(made.plugin.manifest.inputs);
  return made.onStore(keyOf(made, seen), seen, given.toResponse());
}

/** What the plugin says about storing a memcached item. */
export function itemStorage(plugin, key, flags = 0, bodySize = 0) {
  return configuredOf(plugin).onItem(key, flags, bodySize);
}

/** What the plugin does about the event. */
export function actions(plugin, event) {
  return configuredOf(plugin).onEvent(event.toEvent());
}

function configuredOf(plugin) {
  return plugin instanceof Configured ? plugin : new Configured(plugin, {});
}
