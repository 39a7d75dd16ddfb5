// SHA-256 (FIPS 180-4). The browser's own is many times faster, but exists on secure origins only;
// a station in a workshop is often reached by plain HTTP.

/** The digest as 64 hexadecimal digits. */
export async function sha256(content: Uint8Array): Promise<string> {
  const digest = globalThis.crypto?.subtle
    ? new Uint8Array(await crypto.subtle.digest("SHA-256", content as BufferSource))
    : sha256Plain(content);
  return hex(digest);
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

/** The first 32 bits of the fractional parts of a root of each of the first n primes. */
function fractions(n: number, root: (prime: number) => number): Int32Array {
  const parts = new Int32Array(n);
  for (let candidate = 2, found = 0; found < n; candidate++) {
    let prime = true;
    for (let d = 2; d * d <= candidate; d++) if (candidate % d === 0) prime = false;
    if (prime) parts[found++] = ((root(candidate) % 1) * 2 ** 32) | 0;
  }
  return parts;
}

const START = fractions(8, Math.sqrt);
const ROUND = fractions(64, Math.cbrt);

/** The same without the browser's help. Returns: 32 bytes. */
export function sha256Plain(content: Uint8Array): Uint8Array {
  const state = START.slice();
  const words = new Int32Array(64);
  const whole = content.length >> 6;
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  for (let block = 0; block < whole; block++) mix(state, words, view, block << 6);
  const rest = content.subarray(whole << 6);
  const last = new Uint8Array(rest.length < 56 ? 64 : 128);
  last.set(rest);
  last[rest.length] = 0x80;
  const end = new DataView(last.buffer);
  end.setUint32(last.length - 8, Math.floor(content.length / 2 ** 29));
  end.setUint32(last.length - 4, content.length << 3);
  for (let at = 0; at < last.length; at += 64) mix(state, words, end, at);
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => digest.setInt32(4 * i, word));
  return new Uint8Array(digest.buffer);
}

function mix(state: Int32Array, words: Int32Array, view: DataView, at: number): void {
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const a = words[i - 15];
    const b = words[i - 2];
    const s0 = turn(a, 7) ^ turn(a, 18) ^ (a >>> 3);
    const s1 = turn(b, 17) ^ turn(b, 19) ^ (b >>> 10);
    words[i] = words[i - 16] + s0 + words[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const one = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + words[i]) | 0;
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
}

const turn = (word: number, by: number) => (word >>> by) | (word << (32 - by));
