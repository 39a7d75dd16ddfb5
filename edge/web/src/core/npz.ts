// NumPy's .npz: a ZIP archive of .npy files. Only what `edge.golden` and `edge.parts` write: uint8,
// int32 and floats, in C order, stored or deflated, no ZIP64.

export interface Values {
  shape: number[];
  data: Uint8Array | Int32Array | Float32Array | Float64Array;
}

const TYPES = { "|u1": Uint8Array, "<i4": Int32Array, "<f4": Float32Array, "<f8": Float64Array } as const;

/** The arrays by name. content: already verified against its hash. */
export async function readNpz(content: Uint8Array): Promise<Map<string, Values>> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let end = content.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  const arrays = new Map<string, Values>();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const method = view.getUint16(at + 10, true);
    const size = view.getUint32(at + 20, true);
    const nameLength = view.getUint16(at + 28, true);
    const name = new TextDecoder().decode(content.subarray(at + 46, at + 46 + nameLength));
    const local = view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const stored = content.subarray(start, start + size);
    arrays.set(name.replace(/\.npy$/, ""), readNpy(method ? await inflate(stored) : stored));
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return arrays;
}

async function inflate(content: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([content as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readNpy(content: Uint8Array): Values {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const long = content[6] > 1; // format 2 and later
  const from = long ? 12 : 10;
  const to = from + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder().decode(content.subarray(from, to));
  const type = /'descr': '([^']+)'/.exec(header)?.[1] ?? "";
  const shape = (/'shape': \(([^)]*)\)/.exec(header)?.[1] ?? "").split(",").filter((n) => n.trim()).map(Number);
  const of = TYPES[type as keyof typeof TYPES];
  if (!of || !header.includes("'fortran_order': False")) throw new Error(`an array of another kind: ${header}`);
  return { shape, data: new of(content.slice(to).buffer) };
}
