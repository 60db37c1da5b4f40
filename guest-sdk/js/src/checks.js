/**
 * What values have to be before they cross to the server: the crossing itself would end the
 * instance, or change the value. So everything is looked at where the plugin names it, and `place`
 * finds that line in the exception.
 */

// The contract has 2 ** 32 - 1; on its way there QuickJS makes 2 ** 31 - 1 of all that is larger.
const NUMBER_MAX = 2 ** 31 - 1;

/** What a value is, for an error: `undefined`, `"text"`, `a function`. */
export function shown(value) {
  if (typeof value === 'function') return 'a function';
  if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
    return 'a promise';
  }
  return ['object', 'string'].includes(typeof value) ? JSON.stringify(value) : String(value);
}

/** The options, none of which may have another name: a slip would go unnoticed. */
export function known(what, options, names) {
  const other = Object.keys(options).find((name) => !names.includes(name));
  if (other !== undefined) {
    throw new TypeError(`${what} has no option ${other}; there are ${names.join(', ')}`);
  }
  return options;
}

/** The value, which must be a text that UTF-8 can hold. */
export function text(what, value) {
  if (typeof value !== 'string') {
    throw new TypeError(`${what} is ${shown(value)}; a text is wanted`);
  }
  // With `u`, pairs are one character and don't match. Without, the look is much faster.
  if (/[\ud800-\udfff]/.test(value) && /\p{Surrogate}/u.test(value)) {
    throw new TypeError(`${what} has half a surrogate pair`);
  }
  return value;
}

/** The value, which must be a whole number from 0 to `max`. */
export function number(what, value, max = NUMBER_MAX) {
  if (!Number.isInteger(value)) {
    throw new TypeError(`${what} is ${shown(value)}; a whole number is wanted`);
  }
  if (value < 0 || value > max) {
    throw new RangeError(`${what} is ${value}; limits are 0 and ${max}`);
  }
  return value;
}

/** The values, each of which must be a text. One text alone would be taken letter by letter. */
export function texts(what, values) {
  if (typeof values === 'string' || typeof values?.[Symbol.iterator] !== 'function') {
    throw new TypeError(`${what} are ${shown(values)}; a list of texts is wanted`);
  }
  return Array.from(values, (value) => text(what, value));
}
