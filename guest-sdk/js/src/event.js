/**
 * A change notice from an application.
 *
 * The payload is parsed at most once, and only if it is asked for. Senders' formats are not here:
 * the server has translated them.
 */

/** One change. */
export class Event {
  #text;
  #payload;
  #texts;

  /** Made by the server or by `testing`; the payload is JSON text. */
  constructor(parts) {
    /** The sender's id of the delivery. @type {string} */
    this.id = parts.id;
    /** The configured source that it came from. @type {string} */
    this.source = parts.source;
    /** The application's name of the model, such as `treks.photo`. @type {string} */
    this.model = parts.model;
    /**
     * The last is anything else, such as a bulk write of unknown rows.
     * @type {'created' | 'updated' | 'deleted' | 'other'}
     */
    this.operation = parts.operation;
    /** The changed object's primary key as text; null for the whole model. @type {string | null} */
    this.objectId = parts.objectId ?? null;
    /** The changed fields that the sender named. @type {string[]} */
    this.changedFields = parts.changedFields;
    /** RFC 3339 time as the sender wrote it; empty where it did not. @type {string} */
    this.occurredAt = parts.occurredAt;
    this.#text = parts.payload;
  }

  /**
   * The change as JSON; null if it is none. Integers above 2^53 are not exact here, as in all of
   * JavaScript; `text` has their digits.
   */
  get payload() {
    if (this.#payload === undefined) {
      try {
        this.#payload = JSON.parse(this.#text);
      } catch {
        this.#payload = null;
      }
    }
    return this.#payload;
  }

  /**
   * Whether this field may have changed: senders that don't say which fields changed may have
   * changed any.
   *
   * @param {string} field
   */
  changed(field) {
    return this.changedFields.length === 0 || this.changedFields.includes(field);
  }

  /**
   * The payload's value at a path of names or positions: `before.category_id`, `lines.0.sku`. Null
   * where there is none.
   *
   * @param {string} path
   */
  field(path) {
    return found(this.payload, path);
  }

  /**
   * The same as text, where it is a text, a number or a truth value. A number has the digits that
   * were sent (`1.10`, `1e2`): others would name another object.
   *
   * @param {string} path
   * @returns {string | null}
   */
  text(path) {
    const value = this.field(path);
    if (typeof value === 'number') return found(this.#numbersAsTexts(), path);
    return ['string', 'boolean'].includes(typeof value) ? String(value) : null;
  }

  /** The payload with each number as the text that it was sent as. */
  #numbersAsTexts() {
    const quoted = (token) => (token.startsWith('"') ? token : `"${token}"`);
    this.#texts ??= JSON.parse(this.#text.replace(TEXT_OR_NUMBER, quoted));
    return this.#texts;
  }
}

const TEXT_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g;

function found(payload, path) {
  let value = payload;
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return null;
    // An array's own `length` is no field of the payload.
    if (Array.isArray(value) && name === 'length') return null;
    value = value[name];
  }
  return value;
}
