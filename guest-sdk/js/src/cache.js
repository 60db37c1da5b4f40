/**
 * What is in the server's memory now: read-only, for `onStore`, `onItem` and `onEvent`.
 *
 *     onEvent(event) {
 *       const found = cache.get('queue:list');
 *       if (found === null) return [hardKey('queue:list')];
 *       return [put('queue:list', `${found.text()}${event.text('after.text')}`)];
 *     }
 *
 * What a call has looked at counts for its answer: what it stores or puts gets the entries' tags,
 * and a value that it puts is no newer than the oldest of them. So an invalidation of one of these
 * tags, or of everything, refuses or ends what was computed; one by key, prefix, URL or site does
 * so only until the value is written.
 *
 * In tests there is what `testing.withCached` has put there, and nothing else. Not here: how many
 * look-ups a call has, and how large a value may be; the server refuses more, and says so.
 */

import { known, number, shown, text, texts } from './checks.js';

/** A cached thing: an item, or a page that has no variants and no content coding. */
export class Entry {
  /** `value`: a text, or bytes as a `Uint8Array`. */
  constructor(parts) {
    const names = ['value', 'flags', 'ttlS', 'ageS', 'tags'];
    const { value, flags = 0, ttlS = null, ageS = 0, tags = [] } = known('an entry', parts, names);
    if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
      throw new TypeError(`value is ${shown(value)}; a text or a Uint8Array is wanted`);
    }
    /** Its bytes. @type {Uint8Array} */
    this.value = typeof value === 'string' ? bytesOf(text('value', value)) : value;
    /** The client's own 32 bits; 0 of a page. */
    this.flags = number('flags', flags, 2 ** 32 - 1);
    /** Whole seconds until it is gone; null: only eviction or an invalidation ends it. */
    this.ttlS = ttlS === null ? null : number('ttlS', ttlS);
    /** Whole seconds since it was stored. */
    this.ageS = number('ageS', ageS);
    Object.defineProperty(this, 'tags', { value: texts('tags', tags) });
  }

  /** The value as text, if it is UTF-8. */
  text() {
    let escaped = '';
    for (const byte of this.value) escaped += `%${byte.toString(16).padStart(2, '0')}`;
    return decodeURIComponent(escaped);
  }
}

/** A look-up in `cacheKey`, one too many in a call, or of a value that is too large. */
export class LookUpRefused extends Error {
  name = 'LookUpRefused';
}

/** Where entries come from; `guest` changes it inside a component, `testing` beside a test. */
export const source = {
  cached: new Map(),
  isKeying: false,
  get: (key) => looked(key) ?? null,
  tags: (key) => [...(looked(key)?.tags ?? [])],
};

/** What is fresh in memory under a key, or null; and its tags, none also without an entry. */
export const cache = {
  /** @param {string} key @returns {Entry | null} */
  get: (key) => source.get(text('key', key)),
  /** @param {string} key @returns {string[]} */
  tags: (key) => source.tags(text('key', key)),
};

function looked(key) {
  if (source.isKeying) {
    throw new LookUpRefused('look-ups are for onStore, onItem and onEvent');
  }
  return source.cached.get(key);
}

/** QuickJS has no TextEncoder. */
function bytesOf(value) {
  const encoded = encodeURIComponent(value).matchAll(/%([0-9A-F]{2})|([^%])/g);
  return Uint8Array.from(encoded, ([, hex, plain]) =>
    hex === undefined ? plain.charCodeAt(0) : Number.parseInt(hex, 16),
  );
}
