/**
 * A `console` over the plugin's log: QuickJS has none, and authors expect one.
 *
 * Logging never fails: what a value's own code throws is written in its place. There is no clock,
 * so timers measure nothing and say so.
 */

const TEXT_MAX = 2_000;

/** A value as a text for a line: texts as they are, objects with what is in them. */
export function inspected(value) {
  if (typeof value === 'string') return value;
  try {
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    const isPlain = value === null || typeof value !== 'object';
    return isPlain ? plain(value) : JSON.stringify(value, replacer()).slice(0, TEXT_MAX);
  } catch (error) {
    return `(${typeof value}: ${error?.message})`;
  }
}

function plain(value) {
  if (typeof value === 'function') return `[function ${value.name}]`;
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

/** What JSON has no words for; an object within itself is named instead of followed. */
function replacer() {
  const parents = [];
  return function replaced(_, value) {
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    if (typeof value === 'undefined' || typeof value === 'function') return plain(value);
    if (['bigint', 'symbol'].includes(typeof value)) return plain(value);
    if (value === null || typeof value !== 'object') return value;
    if (value instanceof Error) return inspected(value);
    while (parents.length > 0 && parents.at(-1) !== this) parents.pop();
    if (parents.includes(value)) return '[circular]';
    const shown = value instanceof Map || value instanceof Set ? [...value] : value;
    parents.push(shown);
    return shown;
  };
}

/** A console that writes lines of these levels by `write(level, line)`. */
export function consoleOf(write) {
  const at = (level) => (...values) => write(level, values.map(inspected).join(' '));
  const [debug, info, warn, error] = ['debug', 'info', 'warn', 'error'].map(at);
  const counts = new Map();
  const nothing = () => {};
  const timer = (label = 'default') => warn(`${label}: plugins have no clock`);
  return {
    debug,
    log: info,
    info,
    warn,
    error,
    trace: (...values) => info('Trace:', ...values, `\n${new Error().stack}`),
    dir: (value) => info(value),
    dirxml: info,
    table: (value) => info(value),
    assert(isTrue, ...values) {
      if (!isTrue) error('Assertion failed', ...values);
    },
    count(label = 'default') {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      info(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = 'default') => counts.delete(label),
    group: info,
    groupCollapsed: info,
    groupEnd: nothing,
    time: nothing,
    timeLog: timer,
    timeEnd: timer,
    clear: nothing,
  };
}
