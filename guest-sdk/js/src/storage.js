/**
 * What a plugin says about storing a page or an item.
 *
 * A time that is not named stays with the response's fields or with the client. The limits of tags
 * and times are the server's.
 */

import { known, number, shown, text, texts } from './checks.js';

const TIMES = ['ttlS', 'staleWhileRevalidateS', 'staleIfErrorS'];

/** Whether, for how long and under which tags. Each method returns a changed copy. */
export class Storage {
  store = true;
  ttlS = null;
  staleWhileRevalidateS = null;
  staleIfErrorS = null;
  allTags = [];

  /** Not for plugins: they call `keep` or `skip`. It is never changed. */
  constructor(parts = {}) {
    Object.assign(this, known('a Storage', parts, ['store', ...TIMES, 'allTags']));
    if (typeof this.store !== 'boolean') {
      throw new TypeError(`store is ${shown(this.store)}; true or false is wanted`);
    }
    for (const name of TIMES) {
      if (this[name] !== null) number(name, this[name]);
    }
    this.allTags = Object.freeze(texts('allTags', this.allTags));
    Object.freeze(this);
  }

  /** Stored for as long as the response, or the client, says. */
  static keep() {
    return new Storage();
  }

  /** The client is answered and nothing is stored. */
  static skip() {
    return new Storage({ store: false });
  }

  /** Stored for this many seconds. @param {number} seconds */
  ttl(seconds) {
    return this.#with({ ttlS: number('ttl', seconds) });
  }

  /**
   * For this many seconds longer it may be served while it is refreshed (RFC 5861 section 3).
   * @param {number} seconds
   */
  staleWhileRevalidate(seconds) {
    return this.#with({ staleWhileRevalidateS: number('staleWhileRevalidate', seconds) });
  }

  /**
   * For this many seconds longer it may be served while the origin fails (RFC 5861 section 4).
   * @param {number} seconds
   */
  staleIfError(seconds) {
    return this.#with({ staleIfErrorS: number('staleIfError', seconds) });
  }

  /**
   * Adds a tag: 1 to 256 bytes without control characters. One with a space or a comma is for
   * events and the API: most response fields take these for the end of a tag.
   * @param {string} tag
   */
  tag(tag) {
    return this.#with({ allTags: [...this.allTags, text('tag', tag)] });
  }

  /** Adds tags. @param {Iterable<string>} tags */
  tags(tags) {
    return this.#with({ allTags: [...this.allTags, ...texts('tags', tags)] });
  }

  #with(changes) {
    return new Storage({ ...this, ...changes });
  }
}
