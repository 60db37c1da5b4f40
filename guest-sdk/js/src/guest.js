/**
 * The component's side: what the contract calls, answered by the plugin.
 *
 * Only the module that the builder writes imports this, inside the component. Whatever a hook
 * throws becomes an error of the contract, `Type: message`.
 */

import contractCache from 'wasmcached:plugin/cache@0.1.1';
import contractLog from 'wasmcached:plugin/log@0.1.1';

import { Entry, LookUpRefused, source } from './cache.js';
import { stopClock } from './clock.js';
import { consoleOf } from './console.js';
import { Event } from './event.js';
import { runtime } from './log.js';
import { Configured } from './plugin.js';
import { placeOf } from './place.js';
import { Request, Response } from './request.js';

runtime.isGuest = true;
runtime.write = (level, message) => contractLog.log(level, message.replace(/\p{Surrogate}/gu, '?'));

/** A refusal of the contract is thrown as its text, or with it. */
function looked(look) {
  try {
    return look();
  } catch (error) {
    throw new LookUpRefused(String(error?.payload ?? error?.message ?? error));
  }
}

source.get = (key) => {
  const found = looked(() => contractCache.get(key));
  if (found === null || found === undefined) return null;
  const { value, flags, ttlS, ageS } = found;
  return new Entry({ value: Uint8Array.from(value), flags, ttlS: ttlS ?? null, ageS });
};
source.tags = (key) => looked(() => contractCache.tags(key));

globalThis.console = consoleOf((level, line) => runtime.write(level, line));

let served = null;
let configured = null;

/** Takes the plugin that the exports answer for, and the clock from it. */
export function serve(plugin) {
  served = plugin;
  stopClock();
}

/** What a result's error is made of is a thrown text. */
function asked(hook, ask) {
  try {
    return ask();
  } catch (error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    runtime.write('error', `${placeOf(error, served.definition[hook])}: ${text}`);
    throw text.replace(/\p{Surrogate}/gu, '?');
  }
}

function answered(hook, ask) {
  if (configured === null) throw 'the plugin was not configured before its first call';
  return asked(hook, () => ask(configured));
}

const requestOf = (req) => new Request(req, served.manifest.inputs, req.inputs);

const contractStorage = ({ allTags, ...times }) => ({ ...times, tags: allTags });

/** Exports `lifecycle`. */
export const lifecycle = {
  configure(config) {
    if (configured !== null) throw 'the plugin is configured already';
    configured = asked('configure', () => new Configured(served, Object.fromEntries(config)));
  },
  describe: () => served.manifest,
};

/** Exports `keyer`. */
export const keyer = {
  cacheKey: (req) => answered('cacheKey', (plugin) => plugin.cacheKey(requestOf(req)).toContract()),
};

/** Exports `tagger`. */
export const tagger = {
  onStore: (key, req, resp) =>
    answered('onStore', (plugin) =>
      contractStorage(plugin.onStore(key, requestOf(req), new Response(resp))),
    ),
  onItem: (key, flags, bodySize) =>
    answered('onItem', (plugin) => contractStorage(plugin.onItem(key, flags, bodySize))),
};

/** Exports `invalidator`. */
export const invalidator = {
  onEvent: (ev) => answered('onEvent', (plugin) => plugin.onEvent(new Event(ev))),
};
