/**
 * The keys under which Django's cache keeps things: fragments of templates, pages of `cache_page`
 * and of the cache middlewares, and whatever an application stores by itself.
 *
 * Django asks its cache for `makeKey` of these. They depend on the release that writes them: 5.2.19
 * and 6.0.10 changed the keys of pages, 6.1 those of pages and of fragments.
 *
 *     const release = new Release('5.2.19');
 *     // {% cache 120 message-count user.username %}
 *     hardKey(makeKey(makeTemplateFragmentKey(release, 'message-count', ['ada'])));
 *
 * Every key is byte for byte the one that Django computes. Not here: a `KEY_FUNCTION` of one's own,
 * and how Python shows values: `vary_on` takes texts, or numbers as JavaScript shows them.
 */

import { md5 } from './md5.js';
import { utf8 } from './utf8.js';

const NETSTRINGS = [6, 1, 0];
/** The first of each series of releases that marks absent fields. */
const MARKED = [
  [5, 2, 19],
  [6, 0, 10],
];

/** A release of Django, as `django.get_version()` names it: `5.2.19`, `6.1`. */
export class Release {
  /** Refuses what could compute keys in two ways, such as `5.2`. @param {string} text */
  constructor(text) {
    const shown = JSON.stringify(text);
    if (!/^\d+\.\d+(\.\d+)?$/.test(text)) {
      throw new RangeError(`${shown} is no release of Django like 5.2.19`);
    }
    const [major, minor, patch] = text.split('.').map(Number);
    const changed = MARKED.find((first) => first[0] === major && first[1] === minor);
    if (patch === undefined && changed) {
      const first = changed.join('.');
      throw new RangeError(`${shown} lacks its third number: keys changed in ${first}`);
    }
    const numbers = [major, minor, patch ?? 0];
    if (!isSince(numbers, [4, 2, 0])) {
      throw new RangeError(`${shown}: the keys of Django before 4.2 are unknown`);
    }
    this.hasNetstrings = isSince(numbers, NETSTRINGS);
    this.marksAbsence = this.hasNetstrings || Boolean(changed && isSince(numbers, changed));
    Object.freeze(this);
  }
}

/** The key that reaches the server: Django's default `KEY_FUNCTION`. */
export function makeKey(key, keyPrefix = '', version = 1) {
  return `${keyPrefix}:${version}:${key}`;
}

/** The key of a `{% cache %}` block by its name and the values that it varies on. */
export function makeTemplateFragmentKey(release, fragmentName, varyOn = []) {
  const code = release.hasNetstrings ? netstring : (value) => `${value}:`;
  const hashed = md5(utf8(varyOn.map((value) => code(String(value))).join('')));
  return `template.cache.${fragmentName}.${hashed}`;
}

/** What the keys of every copy of a `{% cache %}` block begin with. */
export function templateFragmentPrefix(fragmentName) {
  return `template.cache.${fragmentName}.`;
}

/**
 * A page that `cache_page` or the cache middlewares keep.
 *
 * `url` is what `request.build_absolute_uri()` returns (`absoluteUri` makes it), `keyPrefix` that
 * of `cache_page` or `CACHE_MIDDLEWARE_KEY_PREFIX`. `language` (`en-us`) is left out where
 * `USE_I18N` is off, `timeZone` (`Europe/Paris`) where `USE_TZ` is.
 */
export class Page {
  #urlHash;
  #keyPrefix;
  #language;
  #localities;

  /** @param {string} url */
  constructor(url, { keyPrefix = '', language, timeZone } = {}) {
    this.#urlHash = md5(utf8(url));
    this.#keyPrefix = keyPrefix;
    this.#language = language;
    this.#localities = [language, timeZone].filter((part) => part !== undefined);
  }

  /**
   * The key of the list of fields that the page varies by. Without this entry Django looks for no
   * copy; but when it is written anew, the copies that are still there count again.
   */
  headerKey() {
    return this.#localised(this.headerPrefix());
  }

  /**
   * The key of the copy for requests by this method (`GET`, `HEAD`) with these values of the fields
   * in `Vary`, an object; `null` for a field that the request lacks.
   *
   * `Accept-Language` has no part in it where there is a language.
   */
  key(release, method, vary) {
    const values = new Map();
    for (const [name, value] of Object.entries(vary)) {
      values.set(`HTTP_${name.toUpperCase().replaceAll('-', '_')}`, value);
    }
    if (this.#language !== undefined) values.delete('HTTP_ACCEPT_LANGUAGE');
    const coded = [...values.keys()].sort().map((name) => codedValue(release, values.get(name)));
    return this.#localised(this.prefix(method) + md5(utf8(coded.join(''))));
  }

  /** What `headerKey` begins with in every language and time zone. */
  headerPrefix() {
    return `views.decorators.cache.cache_header.${this.#keyPrefix}.${this.#urlHash}`;
  }

  /** What the keys of all copies begin with, whatever the page varies by. */
  prefix(method) {
    return `views.decorators.cache.cache_page.${this.#keyPrefix}.${method}.${this.#urlHash}.`;
  }

  #localised(key) {
    return [key, ...this.#localities].join('.');
  }
}

/**
 * A page's address as `request.build_absolute_uri()` returns it, of a path that is not
 * percent-encoded yet and a query as the visitor sends it.
 */
export function absoluteUri(origin, path, query = '') {
  const uri = origin + quoted(path, "/:@&+$,!*'()");
  return query ? `${uri}?${quoted(query, "/#%[]=:;$&()+,!?*@'")}` : uri;
}

/** Python's `urllib.parse.quote`. */
function quoted(text, safe) {
  const encode = (c) => {
    if (/[\w.~-]/.test(c) || safe.includes(c)) return c;
    const bytes = Array.from(utf8(c), (byte) => byte.toString(16).padStart(2, '0'));
    return `%${bytes.join('%').toUpperCase()}`;
  };
  return Array.from(text, encode).join('');
}

function codedValue(release, value) {
  if (value === null || value === undefined) return release.marksAbsence ? '-,' : '';
  return release.hasNetstrings ? netstring(value) : value;
}

function netstring(value) {
  return `${utf8(value).length}:${value},`;
}

function isSince(numbers, first) {
  const n = numbers.findIndex((number, place) => number !== first[place]);
  return n < 0 || numbers[n] > first[n];
}
