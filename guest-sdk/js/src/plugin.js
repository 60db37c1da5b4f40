/**
 * What makes an object a plugin, and how its hooks are asked.
 *
 * The server and the tests ask through the same functions, so what a test sees is what the server
 * gets. How they are exported is not here: that is `guest`.
 */

import { number, shown, text, texts } from './checks.js';
import { Key } from './key.js';
import { Storage } from './storage.js';

/** The hooks that a plugin may have. */
export const HOOKS = ['cacheKey', 'onStore', 'onItem', 'onEvent'];

const FACTS = ['name', 'version', 'keyEpoch', 'pure', 'inputs', 'itemPrefixes', 'configure'];
const INPUT_TAGS = ['header', 'cookie', 'query-param'];
const ACTION_TAGS = ['invalidate', 'put', 'refresh'];

/** What `plugin` returns. */
export class Plugin {
  /** Called by `plugin`, which documents the definition. */
  constructor(definition) {
    for (const name of Object.keys(definition)) {
      if (![...FACTS, ...HOOKS].includes(name)) {
        throw new TypeError(`${name} is neither a hook nor known; hooks are ${HOOKS.join(', ')}`);
      }
    }
    const { name, version = '0.1.0', keyEpoch = 0, pure = true } = definition;
    const { inputs = [], itemPrefixes = [] } = definition;
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text('name', name))) {
      throw new TypeError(
        `name is "${name}"; letters, digits, dots, dashes and underscores are wanted`,
      );
    }
    for (const input of inputs) {
      if (!INPUT_TAGS.includes(input?.tag)) {
        const makers = 'header(), cookie() and queryParam()';
        throw new TypeError(`input ${shown(input)} is none; ${makers} make them`);
      }
    }
    /** What the server is told, as the contract has it. */
    this.manifest = {
      name,
      version: text('version', version),
      inputs: [...inputs],
      itemPrefixes: texts('itemPrefixes', itemPrefixes),
      keyEpoch: number('keyEpoch', keyEpoch),
      pure: Boolean(pure),
    };
    this.definition = definition;
    this.#checkHooks();
  }

  /** Whether the plugin has this hook. */
  has(hook) {
    return this.definition[hook] !== undefined;
  }

  #checkHooks() {
    for (const name of [...HOOKS, 'configure']) {
      if (this.has(name) && typeof this.definition[name] !== 'function') {
        throw new TypeError(`${name} is ${shown(this.definition[name])}; a function is wanted`);
      }
    }
    if (!HOOKS.some((hook) => this.has(hook))) {
      throw new TypeError(`the plugin has no hook; there are ${HOOKS.join(', ')}`);
    }
    const hasPrefixes = this.manifest.itemPrefixes.length > 0;
    if (hasPrefixes && !this.has('onItem')) {
      throw new TypeError('the plugin has itemPrefixes and no onItem');
    }
    if (!hasPrefixes && this.has('onItem')) {
      throw new TypeError('the plugin has onItem and no itemPrefixes, so it is never asked');
    }
  }
}

/**
 * Makes a plugin, to be a module's default export.
 *
 * - `name`: what the plugin calls itself, and its file.
 * - `keyEpoch`: raise it when the meaning of keys or tags changes.
 * - `pure: false`: `cacheKey` depends on more than the request, so no answer is remembered.
 * - `inputs`: the request data that the plugin reads.
 * - `itemPrefixes`: the memcached items that `onItem` is asked about.
 *
 * @param {object} definition
 * @param {string} definition.name
 * @param {string} [definition.version]
 * @param {number} [definition.keyEpoch]
 * @param {boolean} [definition.pure]
 * @param {import('./request.js').Input[]} [definition.inputs]
 * @param {string[]} [definition.itemPrefixes]
 * @param {(config: Record<string, string>) => void} [definition.configure]
 * @param {(request: import('./request.js').Request) => Key} [definition.cacheKey]
 * @param {(key: string, request: import('./request.js').Request,
 *   response: import('./request.js').Response) => Storage} [definition.onStore]
 * @param {(key: string, flags: number, bodySize: number) => Storage} [definition.onItem]
 * @param {(event: import('./event.js').Event) =>
 *   Iterable<import('./action.js').Action>} [definition.onEvent]
 */
export function plugin(definition) {
  return new Plugin(definition);
}

/** A plugin with settings, as the server has one per instance. */
export class Configured {
  #self;

  /** Hooks get an object of this instance's own as `this`. */
  constructor(plugin, config) {
    if (!(plugin instanceof Plugin)) {
      throw new TypeError(`${shown(plugin)} is no plugin; plugin({...}) makes one`);
    }
    this.plugin = plugin;
    this.#self = Object.create(plugin.definition);
    const unknown = Object.keys(config)[0];
    if (plugin.has('configure')) {
      const answer = this.#self.configure(config);
      if (typeof answer?.then === 'function') throw notA('configure', answer, 'nothing');
    } else if (unknown !== undefined) {
      throw new TypeError(`unknown setting \`${unknown}\`; there are none`);
    }
  }

  /** The key of a page; its URL where the plugin does not say. */
  cacheKey(request) {
    if (!this.plugin.has('cacheKey')) return Key.of(request);
    const answer = this.#self.cacheKey(request);
    if (!(answer instanceof Key)) throw notA('cacheKey', answer, 'a Key');
    return answer;
  }

  /** What the plugin says about storing a page. */
  onStore(key, request, response) {
    return this.#storage('onStore', [key, request, response]);
  }

  /** What the plugin says about storing an item. */
  onItem(key, flags, bodySize) {
    return this.#storage('onItem', [key, flags, bodySize]);
  }

  /** What the plugin does about an event. */
  onEvent(event) {
    if (!this.plugin.has('onEvent')) return [];
    const answer = this.#self.onEvent(event);
    if (typeof answer === 'string' || typeof answer?.[Symbol.iterator] !== 'function') {
      throw notA('onEvent', answer, 'a list of actions');
    }
    const actions = drained(answer);
    for (const action of actions) {
      if (!ACTION_TAGS.includes(action?.tag)) throw notA('onEvent', action, 'an action');
    }
    return actions;
  }

  #storage(hook, given) {
    if (!this.plugin.has(hook)) return Storage.keep();
    const answer = this.#self[hook](...given);
    if (!(answer instanceof Storage)) throw notA(hook, answer, 'a Storage');
    return answer;
  }
}

/** What there is in it. A spread would not see what a generator returns in the end. */
function drained(answer) {
  const found = [];
  const iterator = answer[Symbol.iterator]();
  let next = iterator.next();
  for (; !next.done; next = iterator.next()) found.push(next.value);
  if (next.value === undefined) return found;
  const only = 'but it has a `yield`, so only what it yields counts; yield these too';
  throw new TypeError(`onEvent returned ${shown(next.value)}, ${only}`);
}

function notA(hook, answer, wanted) {
  return new TypeError(`${hook} returned ${shown(answer)}; ${wanted} is wanted`);
}
