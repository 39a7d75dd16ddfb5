// Codes: drawing them, the way from one to another, and which of their latents matter.

/** A draw from the standard normal prior (Box and Muller 1958). */
export function draw(n: number): Float32Array {
  return Float32Array.from({ length: n }, () =>
    Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );
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
