/**
 * Patterns of names and paths, as in `utm_*`.
 *
 * `*` stands for any run of characters, also none, also with slashes; all else for itself. The time
 * is linear in pattern times text: no pattern explodes.
 */

/**
 * Whether the whole text fits the pattern.
 *
 * @param {string} pattern
 * @param {string} text
 */
export function matches(pattern, text) {
  const [first, ...pieces] = pattern.split('*');
  if (!text.startsWith(first)) return false;
  if (pieces.length === 0) return text === first;
  const last = pieces.pop();
  let position = first.length;
  for (const piece of pieces) {
    // The leftmost fit leaves the most for the pieces after it.
    const found = text.indexOf(piece, position);
    if (found < 0) return false;
    position = found + piece.length;
  }
  return text.length - position >= last.length && text.endsWith(last);
}
