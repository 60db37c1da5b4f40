/**
 * Write plugins for wasmcached: how pages are keyed, how entries are tagged, and what an event
 * makes wrong.
 *
 * A module's default export is what `plugin({...})` returns, with any of these hooks:
 *
 * - `cacheKey(request)` returns a `Key`: the key of a page. On an exception the server asks the
 *   origin and stores nothing.
 * - `onStore(key, request, response)` returns a `Storage`: tags and lifetime of a page that is
 *   about to be stored. On an exception the client is answered and nothing is stored.
 * - `onItem(key, flags, bodySize)` returns a `Storage`: the same for a memcached item whose key
 *   begins with one of `itemPrefixes`.
 * - `onEvent(event)` returns actions: what is wrong now; it may be a generator. On an exception the
 *   server tries again, and then purges the tag `model:<model>` and whatever the plugin has stored.
 * - `configure(config)` takes the operator's settings, an object of texts. Without it there are
 *   none, and the first one is refused.
 *
 * Invariants: a plugin reads the request data that it declared and nothing else; reading anything
 * else throws in native tests and is `null` in the server. State kept on `this` is a cache at best:
 * an instance is configured once and may be thrown away at any time.
 *
 * Not here: limits (the server checks whatever a plugin returns).
 */

export {
  hardEverything,
  hardKey,
  hardPrefix,
  hardTag,
  hardUrl,
  put,
  refresh,
  softEverything,
  softKey,
  softPrefix,
  softTag,
  softUrl,
} from './action.js';
export { Entry, LookUpRefused, cache } from './cache.js';
export { Event } from './event.js';
export { Key } from './key.js';
export { log } from './log.js';
export { matches } from './pattern.js';
export { plugin } from './plugin.js';
export { Request, Response, UndeclaredInput, cookie, header, queryParam } from './request.js';
export { Storage } from './storage.js';
