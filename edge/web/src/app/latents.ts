// Codes: drawing them, the way from one to another, and which of their latents matter.

const LIKENESS = 0.8; // correlation of a draw with the code of a picture

/**
 * A random code. spread: of each latent. codes: of pictures, one of which the draw resembles.
 *
 * Where codes follow the prior, so does the draw; where they do not, it stays in their neighbourhood.
 */
export function draw(spread: Float32Array, codes: Float32Array[]): Float32Array {
  const like = codes[Math.floor(Math.random() * codes.length)];
  const rest = like ? Math.sqrt(1 - LIKENESS ** 2) : 1;
  return spread.map((s, i) => (like ? LIKENESS * like[i] : 0) + rest * s * normal());
}

/** Box and Muller 1958. */
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

/**
 * The standard deviation of each latent, from codes of a few pictures.
 *
 * A model that was trained to restore spreads its codes wider than its prior. So few codes say
 * little of one latent, so the spread of all counts as one more code; without any it is the prior's.
 */
export function spreads(codes: Float32Array[], n: number): Float32Array {
  if (!codes.length) return new Float32Array(n).fill(1);
  const squares = Float32Array.from({ length: n }, (_, i) => codes.reduce((sum, z) => sum + z[i] ** 2, 0));
  const all = squares.reduce((sum, v) => sum + v, 0) / (n * codes.length);
  return squares.map((v) => Math.sqrt((v + all) / (codes.length + 1)));
}

/**
 * A code on the way from a to b, by `part` of it.
 *
 * On the arc between their directions, with lengths between theirs: a straight way would pass nearer
 * to the middle than codes of pictures lie.
 */
export function between(a: Float32Array, b: Float32Array, part: number): Float32Array {
  const [la, lb] = [length(a), length(b)];
  const cosine = la && lb ? a.reduce((sum, v, i) => sum + v * b[i], 0) / (la * lb) : 1;
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  const sine = Math.sin(angle);
  if (sine < 1e-3) return a.map((v, i) => v * (1 - part) + b[i] * part);
  const wanted = la * (1 - part) + lb * part;
  const [fromA, fromB] = [Math.sin((1 - part) * angle) / sine / la, Math.sin(part * angle) / sine / lb];
  return a.map((v, i) => wanted * (v * fromA + b[i] * fromB));
}

const length = (z: Float32Array) => Math.sqrt(z.reduce((sum, v) => sum + v * v, 0));

/** Root mean square by which two pictures differ. */
export function difference(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length);
}
