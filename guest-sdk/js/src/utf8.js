/** Text as bytes. */

/** The text in UTF-8: QuickJS has no `TextEncoder`. @param {string} string */
export function utf8(string) {
  const bytes = [];
  for (const [escaped, code] of encodeURIComponent(string).matchAll(/%(..)|./g)) {
    bytes.push(code === undefined ? escaped.charCodeAt(0) : Number.parseInt(code, 16));
  }
  return Uint8Array.from(bytes);
}
