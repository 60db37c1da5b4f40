/**
 * Lines for the plugin's log: the server's in Wasm, standard error in native tests.
 *
 * Logging never fails and never blocks; the server cuts long lines and drops floods.
 */

import { inspected } from './console.js';

/** Where this code runs; `guest` changes it inside a component. */
export const runtime = {
  isGuest: false,
  write: (level, message) => console.error(`${level}: ${message}`),
};

const line = (level) => (message) => runtime.write(level, inspected(message));

/** Writes lines: `debug` for the plugin's author, `info`, `warn` and `error` for the operator. */
export const log = {
  debug: line('debug'),
  info: line('info'),
  warn: line('warn'),
  error: line('error'),
};
