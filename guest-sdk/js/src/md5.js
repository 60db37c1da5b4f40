/**
 * MD5 (RFC 1321), for the keys that other software computes with it: there is no Web Crypto in the
 * server. Not for anything that an attacker must not forge.
 */

const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];
const SINES = Uint32Array.from({ length: 64 }, (_, n) =>
  Math.floor(2 ** 32 * Math.abs(Math.sin(n + 1))),
);
const START = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/** The hash of these bytes in hexadecimal. @param {Uint8Array} bytes */
export function md5(bytes) {
  const blocks = padded(bytes);
  const state = Uint32Array.from(START);
  for (let at = 0; at < blocks.byteLength; at += 64) {
    addBlock(state, new DataView(blocks.buffer, at, 64));
  }
  const hash = new DataView(new ArrayBuffer(16));
  state.forEach((word, n) => hash.setUint32(4 * n, word, true));
  const hex = Array.from(new Uint8Array(hash.buffer), (b) => b.toString(16).padStart(2, '0'));
  return hex.join('');
}

/** The bytes, a one bit, zeros, and the length in bits, in whole blocks. */
function padded(bytes) {
  const blocks = new Uint8Array(64 * Math.ceil((bytes.length + 9) / 64));
  blocks.set(bytes);
  blocks[bytes.length] = 0x80;
  const length = new DataView(blocks.buffer, blocks.length - 8);
  length.setUint32(0, bytes.length * 8, true);
  length.setUint32(4, Math.floor(bytes.length / 2 ** 29), true);
  return blocks;
}

function addBlock(state, block) {
  let [a, b, c, d] = state;
  for (let n = 0; n < 64; n += 1) {
    const [mixed, word] = round(n, b, c, d);
    const sum = (a + mixed + SINES[n] + block.getUint32(4 * word, true)) | 0;
    const shift = SHIFTS[n >> 4][n & 3];
    [a, d, c, b] = [d, c, b, (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0];
  }
  [a, b, c, d].forEach((word, n) => {
    state[n] += word;
  });
}

/** The function of a round, and the word of the block that it takes. */
function round(n, b, c, d) {
  if (n < 16) return [(b & c) | (~b & d), n];
  if (n < 32) return [(d & b) | (~d & c), (5 * n + 1) % 16];
  if (n < 48) return [b ^ c ^ d, (3 * n + 5) % 16];
  return [c ^ (b | ~d), (7 * n) % 16];
}
