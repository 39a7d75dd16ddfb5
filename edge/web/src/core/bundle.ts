// A bundle behind an address. Its bytes are read once, checked against the manifest, and those same
// bytes are used.

import { BundleError } from "./errors";
import { type FileEntry, MANIFEST, type Manifest, parseManifest } from "./manifest";
import { sha256 } from "./sha256";

export class Bundle {
  private constructor(
    readonly manifest: Manifest,
    private readonly address: string,
    private readonly cache: RequestCache,
  ) {}

  /** address: of the folder, ending in "/". fresh: nothing that the browser kept. Raises: BundleError. */
  static async open(address: string, fresh: boolean): Promise<Bundle> {
    const cache = fresh ? "reload" : "default";
    return new Bundle(await parseManifest(await fetched(address + MANIFEST, MANIFEST, cache)), address, cache);
  }

  /** The bytes of a file. Raises: BundleError where it is missing, or differs by a byte. */
  async read(entry: FileEntry): Promise<Uint8Array> {
    const content = await fetched(this.address + entry.file, entry.file, this.cache);
    if (content.length !== entry.size || (await sha256(content)) !== entry.sha256) {
      throw new BundleError("damaged", `${entry.file} is damaged: it differs from the manifest's hash.`);
    }
    return content;
  }
}

async function fetched(address: string, name: string, cache: RequestCache): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(address, { cache });
  } catch {
    throw new BundleError("missing", `${name} could not be loaded: no answer from ${location.host}.`);
  }
  if (!response.ok) {
    throw new BundleError("missing", `${name} could not be loaded: ${response.status} ${response.statusText}`.trim() + ".");
  }
  return new Uint8Array(await response.arrayBuffer());
}
