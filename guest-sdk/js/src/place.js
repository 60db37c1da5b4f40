/**
 * Where in the plugin an exception came from: not in this package, which has only looked at a
 * value.
 */

const FRAME = /^\s+at .*?\(?([^\s()]+\.[cm]?[jt]s):(\d+)(?::\d+)?\)?$/gm;

/** Files and lines, the innermost first. */
function framesOf(error) {
  const stack = typeof error?.stack === 'string' ? error.stack : '';
  return Array.from(stack.matchAll(FRAME), ([, file, line]) => ({ file, line }));
}

const OWN = framesOf(new Error())[0].file.replace(/[^/]*$/, '');

/**
 * The plugin's innermost line; the hook's first where only its answer was wrong. Only QuickJS knows
 * the latter.
 */
export function placeOf(error, hook) {
  const isOwn = ({ file }) => file.startsWith(OWN) || file.startsWith('node:');
  const frame = framesOf(error).find((frame) => !isOwn(frame));
  if (frame !== undefined) return `${frame.file}:${frame.line}`;
  return hook?.fileName === undefined ? '?' : `${hook.fileName}:${hook.lineNumber}`;
}
