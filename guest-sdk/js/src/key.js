/**
 * The key of a page, as a change to its URL.
 *
 * An unchanged URL is the default key, so that what a plugin does not touch stays where it was.
 * Different requests under one recipe never get one key: values can't forge separators. The length
 * limit is the server's.
 */

import { shown, text } from './checks.js';
import { matches } from './pattern.js';

/**
 * What the key of a request is. Each method returns a changed copy.
 *
 * Shown as `http://host/path?query|name=value|...`; the part before the first bar is the form of
 * the server's default keys.
 */
export class Key {
  #parts;

  /** Not for plugins: they call `of`, `exactly` or `bypass`. */
  constructor(parts) {
    this.#parts = parts;
  }

  /** The request's URL, as a start. Left as it is, it is the default key. */
  static of({ host, path, query }) {
    const url = `http://${host}${path}`;
    return new Key({ url, query, isChanged: false, prefix: '', suffix: '' });
  }

  /**
   * Exactly this text, which may be the key of a memcached item. `with` and `prefix` add to it as
   * to a URL: bars of its own are then percent-encoded. It has no query to change.
   * @param {string} exact
   */
  static exactly(exact) {
    return new Key({ exact: text('key', exact), query: null, prefix: '', suffix: '' });
  }

  /** No key: the origin is asked and nothing is stored. */
  static bypass() {
    return new Key({});
  }

  /**
   * Leaves out the query parameters whose names fit the pattern, such as `utm_*`.
   * @param {string} namePattern
   */
  dropQuery(namePattern) {
    return this.#changeQuery((params) => params.filter((p) => !matches(namePattern, nameOf(p))));
  }

  /**
   * Leaves out the query parameters whose names fit none of the patterns.
   * @param {...string} namePatterns
   */
  keepQuery(...namePatterns) {
    const isKept = (param) => namePatterns.some((pattern) => matches(pattern, nameOf(param)));
    return this.#changeQuery((params) => params.filter(isKept));
  }

  /** Takes query parameters in one order, so that their order makes no variants. */
  sortQuery() {
    return this.#changeQuery((params) => [...params].sort());
  }

  /**
   * Adds a value that tells variants of the page apart.
   *
   * @param {string} name
   * @param {string | number | boolean} value
   */
  with(name, value) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      // As text it would be a value like any other, which a client can send.
      throw new TypeError(`${name} is ${shown(value)}; name a value for requests without one`);
    }
    const written = `|${escape(text('name', name))}=${escape(text(name, String(value)))}`;
    return this.#change({ suffix: this.#parts.suffix + written });
  }

  /** Begins the key with this text, so that one prefix names them all. @param {string} prefix */
  prefix(prefix) {
    return this.#change({ prefix: text('prefix', prefix) + this.#parts.prefix });
  }

  /** What the contract wants. */
  toContract() {
    const { exact, isChanged, prefix, suffix } = this.#parts;
    if (this.#isBypass) return { tag: 'bypass' };
    const isDefault = exact === undefined && !isChanged && prefix === '' && suffix === '';
    return isDefault ? { tag: 'default' } : { tag: 'custom', val: this.toString() };
  }

  /** The key's text; `(bypass)` where there is none. */
  toString() {
    if (this.#isBypass) return '(bypass)';
    const { exact, url, query, prefix, suffix } = this.#parts;
    const whole = query === null ? exact ?? url : `${url}?${query}`;
    if (prefix === '' && suffix === '') return whole;
    // A bar in the start itself would look like one of ours.
    return `${prefix}${whole.replaceAll('|', '%7C')}${suffix}`;
  }

  #changeQuery(change) {
    const { exact, query } = this.#parts;
    if (exact !== undefined) {
      // Left alone, it would keep what the plugin meant to be without.
      throw new TypeError(`"${this}" is an exact key, which has no query; use Key.of`);
    }
    if (query === null || query === undefined) return this;
    const before = query.split('&').filter((param) => param !== '');
    const after = change(before);
    if (after.length === before.length && after.every((param, i) => param === before[i])) {
      return this;
    }
    return this.#change({ query: after.length > 0 ? after.join('&') : null, isChanged: true });
  }

  #change(changes) {
    return this.#isBypass ? this : new Key({ ...this.#parts, ...changes });
  }

  get #isBypass() {
    return this.#parts.exact === undefined && this.#parts.url === undefined;
  }
}

const nameOf = (param) => param.split('=', 1)[0];

/** Percent-encodes what separates values, and what no key of a line protocol may hold. */
function escape(value) {
  return value.replace(/[|=% \x00-\x1f\x7f-\x9f]/g, encodeURIComponent);
}
