/**
 * What a plugin wants done about an event, as the contract has it.
 *
 * Values only; the server does them all at once, or none of them if one is not allowed. Hard: gone
 * at once. Soft: pages may be served stale while one request refreshes them; items are gone.
 *
 * @typedef {{ tag: 'invalidate' | 'put' | 'refresh', val: any }} Action
 */

import { known, number, shown, text, texts } from './checks.js';
import { utf8 } from './utf8.js';

const invalidate = (mode, target) => ({ tag: 'invalidate', val: { target, mode } });

/** Everything that carries the tag is gone. @returns {Action} */
export const hardTag = (tag) => invalidate('hard', { tag: 'tag', val: text('tag', tag) });

/** Everything that carries the tag is stale. @returns {Action} */
export const softTag = (tag) => invalidate('soft', { tag: 'tag', val: text('tag', tag) });

/** The entry of this key is gone, with all its variants. @returns {Action} */
export const hardKey = (key) => invalidate('hard', { tag: 'key', val: text('key', key) });

/** The entry of this key is stale. @returns {Action} */
export const softKey = (key) => invalidate('soft', { tag: 'key', val: text('key', key) });

/**
 * The pages of this URL are gone, whatever their keys: `http://host/path?query`.
 * @returns {Action}
 */
export const hardUrl = (url) => invalidate('hard', { tag: 'url', val: text('url', url) });

/** The pages of this URL are stale. @returns {Action} */
export const softUrl = (url) => invalidate('soft', { tag: 'url', val: text('url', url) });

/** Every entry whose key begins so is gone. @returns {Action} */
export const hardPrefix = (prefix) =>
  invalidate('hard', { tag: 'key-prefix', val: notEmpty(prefix, 'hardEverything()') });

/** Every entry whose key begins so is stale. @returns {Action} */
export const softPrefix = (prefix) =>
  invalidate('soft', { tag: 'key-prefix', val: notEmpty(prefix, 'softEverything()') });

function notEmpty(prefix, everything) {
  if (text('prefix', prefix) !== '') return prefix;
  throw new RangeError(`prefix is empty, which every key begins with; ${everything} says that`);
}

/** Everything is gone; the operator must have allowed it. @returns {Action} */
export const hardEverything = () => invalidate('hard', { tag: 'everything' });

/** Everything is stale; the operator must have allowed it. @returns {Action} */
export const softEverything = () => invalidate('soft', { tag: 'everything' });

/**
 * The value is written under this key, for so many seconds or for ever. A text is written as UTF-8.
 * Only where the application numbers its events (`data.seq`, rising) and this one has a higher
 * number than all that came before it; otherwise the key is gone.
 *
 * @param {string} key
 * @param {string | Uint8Array} value
 * @param {{ ttlS?: number | null, tags?: Iterable<string> }} [options]
 * @returns {Action}
 */
export function put(key, value, options = {}) {
  const { ttlS = null, tags = [] } = known('put', options, ['ttlS', 'tags']);
  const bytes = typeof value === 'string' ? utf8(text('value', value)) : value;
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(`value is ${shown(value)}; bytes or a text are wanted`);
  }
  const ttl = ttlS === null ? null : number('ttlS', ttlS);
  const val = { key: text('key', key), value: bytes, ttlS: ttl, tags: texts('tags', tags) };
  return { tag: 'put', val };
}

/** The page of this URL is fetched anew. @returns {Action} */
export const refresh = (url) => ({ tag: 'refresh', val: text('url', url) });
