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
import { utf8 } from './utf8.js';

/**
 * A declared cookie or query parameter that can be read in two ways: the server asks the origin and
 * stores nothing, so the plugin would not be asked.
 */
export class UnclearInput extends Error {
  name = 'UnclearInput';
}

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

  /** What a plugin with these inputs sees of it; throws `UnclearInput`. */
  toRequest(inputs) {
    return new Request(this.#parts, inputs, inputs.map((input) => this.#valueOf(input)));
  }

  #valueOf({ tag, val: wanted }) {
    if (tag === 'header') {
      const lines = this.#lines(wanted);
      return lines.length > 0 ? lines.join(', ') : null;
    }
    const found = tag === 'cookie' ? this.#cookies(wanted) : this.#params(wanted);
    if (found.length > 1 || found[0] === null) {
      throw new UnclearInput(
        `${tag} "${wanted}" occurs more than once or is spelt oddly; the server does not ask the ` +
          'plugin about such a request (policy-input-unclear)',
      );
    }
    return found[0] ?? null;
  }

  #lines(wanted) {
    const { headers, cookies } = this.#parts;
    const lines = headers.filter(([name]) => name === wanted).map(([, value]) => value);
    const pairs = cookies.map(([name, value]) => `${name}=${value}`);
    return wanted === 'cookie' && pairs.length > 0 ? [...lines, pairs.join('; ')] : lines;
  }

  #cookies(wanted) {
    const pairs = this.#lines('cookie').join(';').split(';').map(pairOf);
    const found = pairs.filter(([name]) => name.trim() === wanted);
    return found.map(([, value]) => value?.trim() ?? null);
  }

  #params(wanted) {
    const pairs = (this.#parts.query ?? '').split('&').map(pairOf);
    const found = pairs.filter(([name]) => decoded(name) === decoded(wanted));
    return found.map(([name, value]) => (name === wanted ? value ?? '' : null));
  }
}

function pairOf(text) {
  const [name] = text.split('=', 1);
  return [name, name.length < text.length ? text.slice(name.length + 1) : undefined];
}

/** The bytes of a part of a query as forms encode it, a character each. */
function decoded(text) {
  const bytes = String.fromCharCode(...utf8(text.replaceAll('+', ' ')));
  return bytes.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(`0x${hex}`));
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

/** Marks the text of a BigInt, for which JSON has numbers and JavaScript's JSON has nothing. */
const BIG = '\ue000BigInt:';
const MARKED = new RegExp(`"${BIG}(-?\\d+)"`, 'g');

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

  /** With a value in the payload: `.field('after.trek', 'everest')`. A BigInt is a number there. */
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
    const marked = (_, value) => (typeof value === 'bigint' ? `${BIG}${value}` : value);
    const payload = JSON.stringify(this.#payload, marked).replace(MARKED, '$1');
    return new Event({ ...this.#parts, payload });
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
